"""The tensorflow adapter (see `worker.adapters.base`).

adapter, importing, pools  what a worker asks of it: devices, versions, flags, threads
training, ensemble         a training, and many as one program
program, state, xla        a job's structure as pure functions, what they change, and the same through XLA
model, layers              the model in Keras layers, of which these are written out:
convolution, recurrence, normalization, merging, space, activations
                           by their kind
losses, optimizers, constraints
                           the formulas of `shared.job`
stock                      the plain program of a job, trained by its own `fit`
imported, imported_*       hosts a program that the user wrote in Keras (see `worker.port`)
"""
