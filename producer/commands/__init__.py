"""One module a command, each with a function `command`; heavy imports stay inside it."""
