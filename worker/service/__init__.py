"""The worker as a service: the Celery parent that stays answerable, and the child that claims and trains.

app         the parent: settings, queues, signals
tasks       the child: claim, train, finish
presence, reconciler, quarantine
            the parent's threads: beats and leases, lost runs, messages that are not ours
claimed_run what passes between a training and Redis: progress, checkpoints, wishes to stop
machine     its cores, a host to oneself for a timed run, and what disturbed it
"""
