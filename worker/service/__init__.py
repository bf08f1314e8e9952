"""The worker as a service: the Celery parent that stays answerable, and the child that claims and trains.

app         the parent: settings, queues, signals
tasks       the child: claim, train, finish
leases      the parent's threads: the lease of the run in hand, and runs whose lease was lost
quarantine  messages that are not ours, kept away from Celery
claimed_run what passes between a training and Redis: progress, checkpoints, wishes to stop
machine     its cores, a host to oneself for a timed run, and what disturbed it
"""
