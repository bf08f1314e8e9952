"""From a job file to resolved jobs: read, point at what is wrong, resolve for each framework, prepare.

jobfile, jobtext, paths, problems   the text, its `--set` and overrides, and what is wrong with them
resolve, native, origins            each framework's job, and where each setting comes from
checks, prepare, summary            what the data has to say to it
starter, new_file, editor_schema    job files written for you
"""
