"""The local stack: a private Redis and one worker a framework, made on first use, gone when idle."""
