"""A run's training in NumPy: everything but the arithmetic, which is an adapter's, and the queue.

A reader follows one job from top to bottom; no module imports one that stands above it.

runner, run_trainer   a run from its arrays to its result, seed by seed or many seeds at once
checkpoints, packing  what another worker needs to go on, and the form of the results
tracing               the replay that lays updates open
seed_training, ensemble_training
                      one trainer from its first step to its last
members, seed_record  which trainings there are, and what each has come to
feed, initial_weights, schedules, draws
                      what every framework is given alike
samples, metrics      the data, and what is made of what comes back
pacing, resources     blocks, clocks and progress; memory and threads
state, failures       the state between blocks, and typed failures
"""
