"""The command line: read a job file, enqueue its runs, follow, compare, report. Imports no framework.

cli, experiments  the commands, and the one machine that prepares, submits, follows and judges for them
interface, results, subject
                  the same as functions of Python, and what a job or a program is for all of them
session, local    what a command needs of Redis and the workers, and the stack on this machine that has them
job, data         a job file as a job for each side, with its data
runs              runs on the queue and back
judging, compare, verdict, wording
                  from what runs returned to a comparison
follow_ups, replay, traces, explaining, blame, bisecting, judged_versions
                  what is trained further to find out more, and what that says
bench, benching, sweep, port, porting
                  speed, grids of settings, and programs of the user's own
kept, listing, history, golden, bundle, verifying
                  what has ended: found again, beside each other, held against, proved elsewhere
exporting, predicting, classifying, tracking
                  the trained model out of the door, and what it says of new rows
advice            the lines of a plain program that a setting stands in, and how they change
report, live, console, display, output
                  what is printed, and how it looks
doctor, metrics   what `likewise doctor` looks at, and what Prometheus is told
"""
