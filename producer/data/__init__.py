"""Turns a job's `data` section into NumPy arrays. It knows files, and no Redis, framework or terminal."""

from producer.data.prepare import Arrays, Done, PreparedData, PreparedRun, prepare, prepare_all

__all__ = ["Arrays", "Done", "PreparedData", "PreparedRun", "prepare", "prepare_all"]
