"""Advice: the lines of a plain program of each framework that a setting stands in, and how they change."""
