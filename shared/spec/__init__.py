"""The job file's models: what a user can declare. Pure: no files, network, environment or hardware."""

from shared.spec.data import Data
from shared.spec.experiment import Experiment, Job
from shared.spec.loss import Loss
from shared.spec.model import Layer, Model
from shared.spec.optimizer import Optimizer
from shared.spec.schedule import Schedule
from shared.spec.training import EarlyStopping, Training
from shared.spec.weights import InitialWeights

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
