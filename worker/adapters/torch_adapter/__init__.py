"""The torch adapter (see `worker.adapters.base`)."""
