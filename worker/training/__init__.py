"""A run's training in NumPy: everything but the arithmetic, which is an adapter's, and the queue.

A reader follows one job from top to bottom; no module imports one that stands above it.

runner, run_trainer   a run from its arrays to its result; members at once or in turn, progress
tracing, starts       the replay that lays updates open, and where it begins
stock                 a job's plain program, trained by its own loop
training, evaluating  members from their first step to their last, and what they give
monitor               what a member's losses decide: early stopping, lower rates
seed_record, metrics  what one member's numbers come to
checkpoints           what another worker needs to go on
results               members, what they come to, and how that is stored
feeds, draws, schedules
                      what every framework is given alike, block by block
blocks                how a training is cut into them, and how long they take
samples, resources    the data; memory and threads
failures              typed failures
"""
