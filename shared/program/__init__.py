"""Holds what a side trains, compiled once from a job and the shape of its samples."""

from likewise.shared.program.addresses import DrawAddresses, as_drawn_in
from likewise.shared.program.compiling import compile_job, compile_model
from likewise.shared.program.spec import Mask, ModelOutput, ProgramSpec, Stage, Weight

__all__ = [
    "DrawAddresses",
    "Mask",
    "ModelOutput",
    "ProgramSpec",
    "Stage",
    "Weight",
    "as_drawn_in",
    "compile_job",
    "compile_model",
]
