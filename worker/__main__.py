"""`python -m likewise.worker` starts a worker for the framework and device that LIKEWISE_* name."""

from likewise.worker.service.app import main

# A spawned child imports this module, too, under another name.
if __name__ == "__main__":
    main()
