"""The command line: options in, exit status out. A module is a few commands that belong together.

app, commands, options, reading
                        the program, how a command begins and ends, and the options that several have
compare, sweep, bisection, port
                        what is trained
experiments, past, evidence, models, cleaning, completing
                        what has been trained: shown, held against, sent on, removed, completed by a shell
job_files, listing      files made and read, and lists
stack, logs, metrics    the local stack and the workers
"""
