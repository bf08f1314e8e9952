"""The contract both sides agree on: jobs, runs, results, names. Imports no framework.

job, program        what a user can declare, and what a side trains of it
run, results        what is asked of a worker, and what it returns
ledger, store       where each run stands, and arrays by their hash
port                what goes between a hosted program and who asks it
names, connection, celery_app, replies, scripts, users
                    the keys in Redis, the way there, and who may do what
settings, limits    LIKEWISE_* variables, and what a worker takes at most
draws, learning_rates, losses
                    what both frameworks are given alike, in NumPy
errors, frozen      what can go wrong, and documents that are not changed
gpus, worker_code   the GPUs of a machine, and which code a worker runs
"""
