"""The torch adapter (see `worker.adapters.base`).

adapter                  what a worker asks of it: devices, versions, flags, threads
training, ensemble       a training, and many side by side
execution                which way an update is run: as written, or
replay, replay_graph, compiled
                         recorded and run again without Python, or compiled whole
model, layers, weights   the model in torch.nn modules, and how its weights lie; modules are written by kind:
convolution, recurrent, normalization, merging, space, activations
                         each with its channels last
losses, optimizers, constraints
                         the formulas of `shared.job`
stock                    the plain program of a job, trained by its own loop
imported, imported_*     hosts a program that the user wrote in PyTorch (see `worker.port`)
"""
