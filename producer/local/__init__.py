"""The local stack: a private Redis and one worker a framework, made on first use, gone when idle.

client        what commands ask of it
supervisor    the process that owns it; `children` are its Redis and its workers
environments  what workers run in; `installing` makes it, with the tools of `installers`
private_redis the server, its port and its users
devices       which devices this machine's workers can be for
packages      requirements of a side as pip has them; `versions` are those that the index has
processes     starting child processes that never outlive the stack
home          its folder: documents, logs, locks
"""
