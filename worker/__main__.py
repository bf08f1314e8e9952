"""`python -m worker`: a worker for the framework and device that LIKEWISE_* name."""

from worker.service.app import main

# A spawned child imports this module, too, under another name.
if __name__ == "__main__":
    main()
