"""The worker as a service: the Celery parent that stays answerable, and the child that claims and trains.

app         the parent: settings, queues, signals
tasks       the child: claim, train, finish
presence, reconciler, quarantine
            the parent's threads: beats and leases, lost runs, messages that are not ours
line        a running training's line to Redis
host_lease, conditions
            a host to oneself for a timed run, and what disturbed it
"""
