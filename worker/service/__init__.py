"""The worker as a service: the Celery parent that stays answerable, and the child that claims and trains.

app         the parent: settings, queues, signals
tasks       the child: claim, train, finish
keeper      the parent's thread that keeps the run in hand, and says in Redis what the worker is
reconciler  the parent's thread that puts back runs whose lease or message was lost
child_page  what parent and child tell each other, without Redis
patience    waiting out a Redis that is away or refuses
intake      whether messages may be taken, and whether they are
spool       results on disk until Redis has them
quarantine  messages that are not ours, kept away from Celery
claimed_run what passes between a training and Redis: progress, checkpoints, wishes to stop
hosting     programs of the user's own on this worker
gpu_lock    one worker of a framework a GPU
logs        what a worker writes of itself, as text or as JSON
metrics     what it tells Prometheus
offspring   the processes that a training has left behind
memory      what its control group may take, and whether the kernel has killed for it
"""
