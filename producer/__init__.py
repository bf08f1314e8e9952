"""The command line: read a job file, enqueue its runs, follow, compare, report. Imports no framework."""
