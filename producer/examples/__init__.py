"""The job files that ship with the tool; `likewise compare article` finds them here by name."""
