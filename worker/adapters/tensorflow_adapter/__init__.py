"""The tensorflow adapter (see `worker.adapters.base`)."""
