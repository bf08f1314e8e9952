"""The job file's models: what a user can declare. Pure: no files, network, environment or hardware."""

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
