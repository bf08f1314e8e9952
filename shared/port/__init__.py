"""What the producer and the host of a user's program say to each other. Standard library and NumPy alone."""
