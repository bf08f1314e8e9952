"""What the user sees of a Comparison: one renderer a file, each a pure function of it."""
