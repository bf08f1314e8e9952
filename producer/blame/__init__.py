"""Blame: which settings make two trainings differ, told by training with them switched. Pure but `flow`."""
