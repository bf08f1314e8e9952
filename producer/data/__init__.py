"""From a job's `data` section to NumPy arrays: one loader a module, then splitting and standardising.

Knows files; knows nothing of Redis, frameworks or the terminal.
"""

from producer.data.prepare import Done, prepare, prepare_all
from producer.data.prepared import Arrays, PreparedData, PreparedRun

__all__ = ["Arrays", "Done", "PreparedData", "PreparedRun", "prepare", "prepare_all"]
