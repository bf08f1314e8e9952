"""`likewise sweep`: one experiment at every point of a grid of settings.

points.py   the grid's points, each an experiment of its own
place.py    the runs: points that one program can train together are one run
table.py    what each side gave at each point, and whether they agree there
"""
