"""`likewise sweep`: one experiment at every point of a grid of settings.

points  the grid's points, each an experiment of its own
runs    the runs: points that one program can train together are one run; and their results, collected
table   what each side gave at each point, and whether they agree there
"""
