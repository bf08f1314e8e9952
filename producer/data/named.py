"""Inputs and outputs that have names: the model's order of them, their shapes, and what lies side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likewise.producer.data.arrays import table
from likewise.producer.data.loaded import Floats, Loaded
from likewise.producer.data.memory import put_together
from likewise.producer.display import both, did_you_mean
from likewise.shared.errors import DataError
from likewise.shared.job import Data, Job
from likewise.shared.job.data import in_order, inputs_field, names_in, outputs_field
from likewise.shared.program.compiling import input_columns


def as_the_model_takes_them(job: Job) -> Data:
    """Return the job's data, their named inputs and outputs in the order of the model's. Raises DataError."""
    inputs, outputs = [one.name for one in job.model.inputs], list(job.model.outputs or ())
    input_place, output_place = inputs_field(job.data), outputs_field(job.data)
    given = names_in(job.data, input_place), names_in(job.data, output_place)
    if given[0] and not inputs:
        raise DataError(
            f"data.{input_place}: is a mapping with {both(given[0])}, and the model has no such inputs; give "
            f"it a layer {{type: input, name: {given[0][0]}, shape: […]}} for each"
        )
    if given[1] and not outputs:
        raise DataError(
            f"data.{output_place}: is a mapping with {both(given[1])}, and the model has one output; let "
            "model.outputs name them"
        )
    if outputs and not given[1]:
        raise DataError(
            f"data.{output_place}: is for one output, and the model has {both(outputs)}; give a mapping with "
            "the targets of each"
        )
    _refuse_other_names(given[0], inputs, input_place, "input")
    _refuse_other_names(given[1], outputs, output_place, "output")
    return in_order(in_order(job.data, input_place, inputs), output_place, outputs)


def _refuse_other_names(given: Sequence[str], wanted: Sequence[str], field: str, what: str) -> None:
    """Raise DataError where the data have other inputs or outputs than the model."""
    for name in given:
        if name not in wanted:
            raise DataError(
                f"data.{field}.{name}: the model has no such {what} ({did_you_mean(name, wanted)})"
            )
    for name in wanted if given else ():
        if name not in given:
            raise DataError(f"data.{field}: lacks {name}, which the model has as an {what}")


def check_inputs(loaded: Loaded, job: Job) -> None:
    """Raise DataError where an input has samples of another shape than the model says."""
    for one in job.model.inputs:
        found = loaded.inputs.get(one.name, one.shape)
        if found != one.shape:
            raise DataError(
                f"data.{inputs_field(job.data)}.{one.name}: has samples of the shape {found}, and the input "
                f"of the model takes {one.shape}; shape: {list(found)} would do"
            )


def scaled_features(loaded: Loaded, job: Job) -> NDArray[np.bool_] | None:
    """Return which features are standardised; None for all. Raises DataError for unknown inputs."""
    only = None if loaded.features is None else loaded.features.scaled
    listed = job.data.standardize
    if isinstance(listed, bool):
        return only
    columns = input_columns(job.model)
    for name in listed:
        if name not in columns:
            hint = (
                did_you_mean(name, list(columns)) if columns else "it has no inputs by name; true takes all"
            )
            raise DataError(f"data.standardize {name}: the model has no such input ({hint})")
    chosen = np.zeros(max(end for _, end in columns.values()), bool)
    for name in listed:
        chosen[slice(*columns[name])] = True
    return chosen if only is None else chosen & only


def predict_inputs(given: Mapping[str, Any], job: Job, loaded: Loaded) -> Floats:
    """Return the rows of `predict` that are given by input. Raises DataError."""
    shapes = {one.name: one.shape for one in job.model.inputs}
    if loaded.features is not None:
        raise DataError("predict: gives rows by input, and these data are a table; give rows by column")
    if given.keys() != shapes.keys():
        wanted = f"are {both(list(shapes))}" if shapes else "have no names"
        raise DataError(f"predict: has rows of {both(list(given))}, and the model's inputs {wanted}")
    for name, values in given.items():
        width = table(values).shape[1]
        if width != prod(shapes[name]):
            raise DataError(
                f"predict.{name}: its rows have {width} value{'s' * (width != 1)}, and a sample of the input "
                f"has {prod(shapes[name])}"
            )
    rows, _ = put_together({name: given[name] for name in shapes}, table, "predict")
    return np.asarray(rows, np.float64)


def refuse_for_several(job: Job) -> None:
    """Raise DataError for what is not done yet where a model has several outputs."""
    if job.model.outputs is None:
        return
    names = both(list(job.model.outputs))
    if job.data.split.stratify:
        raise DataError(
            f"data.split.stratify: keeps the shares of one target's classes, and the model has {names}; "
            "leave it out, or split by a column of the table"
        )
    if getattr(job.data, "standardize_target", False):
        raise DataError(
            f"data.standardize_target: is for one output, and the model has {names}; leave it out"
        )


def beside_each_other(every: Sequence[NDArray[Any]]) -> Floats:
    """Return the targets of several outputs in one row a sample, class numbers in a column."""
    return np.concatenate([one.reshape(len(one), -1).astype(np.float64) for one in every], axis=1)
