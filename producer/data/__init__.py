"""Turns a job's `data` section into NumPy arrays. It knows files, and no Redis, framework or terminal."""
