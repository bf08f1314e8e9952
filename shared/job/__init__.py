"""The job file's models: what a user can declare. Pure: no files, network, environment or hardware.

experiment, side, several  the whole file, a side, and what has names where there are several outputs
data, shape                the samples
model, layers, activations, regularizers, weights
                           what is trained, and what it starts from
loss, metrics, optimizer, schedule, training
                           how it is trained
fields, kinds              types of fields, and models that are told apart by `type`
"""

from likewise.shared.job.data import Data
from likewise.shared.job.experiment import Experiment, Job
from likewise.shared.job.layers import Layer
from likewise.shared.job.loss import Loss
from likewise.shared.job.model import Model
from likewise.shared.job.optimizer import Optimizer
from likewise.shared.job.schedule import Schedule
from likewise.shared.job.training import EarlyStopping, Training
from likewise.shared.job.weights import InitialWeights

__all__ = [
    "Data",
    "EarlyStopping",
    "Experiment",
    "InitialWeights",
    "Job",
    "Layer",
    "Loss",
    "Model",
    "Optimizer",
    "Schedule",
    "Training",
]
