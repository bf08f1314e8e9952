"""The command line: read a job file, enqueue its runs, follow, compare, report. Imports no framework.

cli, experiments  the commands, and the one machine that prepares, submits, follows and judges for them
session, local    what a command needs of Redis and the workers, and the stack on this machine that has them
job, data         a job file as a job for each side, with its data
runs              runs on the queue and back
judging, compare, verdict, wording
                  from what runs returned to a comparison
follow_ups, replay, traces, explaining, blame, bisecting
                  what is trained further to find out more, and what that says
bench, sweep, port
                  speed, grids of settings, and programs of the user's own
advice            the lines of a plain program that a setting stands in, and how they change
report, live, console, display, output
                  what is printed, and how it looks
doctor            what `likewise doctor` looks at
"""
