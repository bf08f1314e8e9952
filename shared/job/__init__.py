"""The job file's models: what a user can declare. Pure: no files, network, environment or hardware."""

from shared.job.data import Data
from shared.job.experiment import Experiment, Job
from shared.job.layers import Layer
from shared.job.loss import Loss
from shared.job.model import Model
from shared.job.optimizer import Optimizer
from shared.job.schedule import Schedule
from shared.job.training import EarlyStopping, Training
from shared.job.weights import InitialWeights

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
