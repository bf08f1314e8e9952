"""Two programs of the user's own, checked rung by rung: settings, mapping, forward, loss, gradients, updates.

A reader begins at `flow`, which starts both programs, and `ladder`, which climbs.

file, new, frameworks    a `port.yaml`, read or written; what is known of each framework
hosted, channels, shipping, exchanged
                         a program in a process of its own, here or on a worker, and what is asked of it
batch, layouts, inputs   what both are fed, how it lies in each, and what each calls it
pairing                  both programs side by side, on the same weights
mapping, alignment, fused, wiring, settling, rows
                         which module is which: by order and shape, by what feeds it, proved by values
evidence, finiteness, partings, refeeding, unrolling, forms
                         a forward pass fed by the reference's tensors, and the calls where the two part
settings, crops, draws   what differs in what modules are made with, and which random draws are one
steps, step_stages, updates, training
                         the loss, gradients, optimizers, and what only training mode shows
rehearsal, loaders, loaded, loaded_targets
                         the rung of data: what both loaders give first
causes, setting_causes, unmatched
                         all this as findings, each with its edit
trainings, explaining, switches, timing, holding, convert
                         what is done with two programs that are paired
models, trees            what it comes to, for the reports
"""
