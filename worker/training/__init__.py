"""A run's training in NumPy: everything but the arithmetic, which is an adapter's, and the queue.

runner, run_trainer   a run from its arrays to its result, seed by seed or many seeds at once
seed_training, ensemble_training, seed_record, tracing
                      one trainer from its first step to its last, and what is kept of it
samples, batches, draws, masks, initial_weights, schedules, constants
                      what every framework is given alike
metrics, epoch_losses, early_stopping, divergence
                      what is made of what comes back
pacing, reporter, stopwatch, memory, failures
                      blocks, progress, clocks, typed failures
"""
