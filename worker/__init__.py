"""The Celery worker: claim a run, prepare it in NumPy, train it in one framework, return the result."""
