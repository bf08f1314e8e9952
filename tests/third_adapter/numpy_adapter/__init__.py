"""NumPy as a third framework, in one folder that nothing else knows."""
