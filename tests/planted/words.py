"""A planted fault for each word of the job file: another value of a setting of its own, in PyTorch alone.

The pairs of jobs are those whose advice is run (`tests/advice/cases.py`), which has a place for each word.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from likewise.shared.job import Job
from likewise.shared.job.weights import Initializer
from likewise.shared.program import compile_job

sys.path.insert(0, str(Path(__file__).parent.parent / "advice"))
cases = __import__("cases")

PREFERRED = (
    "activation", "gate", "interpolation", "normalize", "axes", "layout", "offset", "mask_value", "order",
    "epsilon", "shared_axes", "reset_after", "use_causal_mask", "count_include_pad", "padding", "pool_size",
    "cropping", "target_shape", "dims", "n", "axis", "type", "mask_zero", "activity_regularizer",
    "reduction", "-", "learning_rate",
)  # fmt: skip
"""Which setting of a word is planted, the first that it has: one of its own before one that all have."""
LIKE_ANOTHER = {
    "layer.input": "it takes its numbers as they are; other numbers are other data",
    "layer.dropout": "its masks are drawn by NumPy; `drop rate` of faults.yaml is of it",
    "activation.linear": "it does nothing; any other activation is a fault beside it",
}
"""Words without a fault here, with the reason."""


@dataclass(frozen=True, kw_only=True)
class WordFault:
    """One difference in a setting of a word: the job file's document, its arrays, and what is blamed."""

    word: str
    document: dict[str, Any]
    setting: str
    stage: str | None
    tensor: str | None
    arrays: dict[str, np.ndarray]
    verdict: str = "differ"


def word_faults() -> list[WordFault]:
    """One for each word of layers, activations, losses, optimizers, schedules, initializers, regularizers and
    constraints, and for each metric that has settings."""
    chosen: dict[str, Any] = {}
    for pair in cases.trained_pairs():
        section, word, *_ = pair.kind.split(".")
        name = f"{section}.{word}"
        if section in PLACES and (name not in chosen or _rank(pair) < _rank(chosen[name])):
            chosen[name] = pair
    return [*(_fault(word, pair) for word, pair in chosen.items()), *_starts(), *_kept(), *_metrics()]


PLACES = {
    "layer": ("forward", "middle"),
    "activation": ("forward", "middle"),
    "loss": ("loss", "loss"),
    "optimizer": ("update", "any"),
    "schedule": ("update", "any"),
}
"""Where a fault in a word of each section shows first: the stage and the tensor."""
OTHER_SHAPES = (
    "padding", "pool_size", "cropping", "target_shape", "shared_axes", "reset_after", "mask_zero", "type",
    "axis", "-", "count_include_pad", "mask_value", "n",
)  # fmt: skip
"""Settings that change a weight's shape, or what is behind the layer: the first tensor is another one."""


def _rank(pair: Any) -> int:
    """Return how far from the most telling a pair's setting is."""
    field = pair.kind.split(".")[2] if pair.kind.count(".") > 1 else "-"
    return PREFERRED.index(field) if field in PREFERRED else len(PREFERRED)


def _fault(word: str, pair: Any) -> WordFault:
    section, field = word.partition(".")[0], pair.path.rpartition(".")[2]
    path = pair.path.removesuffix(".type") if section == "activation" else pair.path
    stage, tensor = PLACES[section]
    if field == "activity_regularizer":
        stage, tensor = PLACES["loss"]
    return WordFault(
        word=word,
        document=_document(word, pair.one, {path: _at(pair.other, path)}),
        setting=f"{path}.type" if _is_of_a_type(pair.other, path) else path,
        stage=stage,
        tensor="any" if field in OTHER_SHAPES else tensor,
        arrays=arrays(Job.model_validate(pair.one), pair.shape, word),
    )


def _starts() -> Iterator[WordFault]:
    """A kernel of each initializer, of which another side takes the next one's."""
    words = list(cases.members(Initializer))
    exact = {"constant": {"value": 0.5}, "variance_scaling": {"scale": 2.0}}
    kinds = [{"type": word} | exact.get(word, {}) for word in words]
    for one, other in zip(kinds, [*kinds[1:], kinds[0]], strict=True):
        middle = cases.dense(4, name="middle", kernel_initializer=one)
        document = cases.job([middle, cases.dense(name="head")])
        path = "model.layers.0.kernel_initializer"
        yield WordFault(
            word=f"initializer.{one['type']}",
            document=_document(one["type"], document, {path: other}),
            setting=path,
            stage="forward",
            tensor="middle.kernel",
            arrays=arrays(Job.model_validate(document), (4,), one["type"]),
        )


HELD: tuple[tuple[str, tuple[str, ...], dict[str, Any], dict[str, Any]], ...] = (
    ("regularizer", ("kernel", "bias", "activity"), {"type": "l1", "l1": 0.125}, {"l1": 0.0625}),
    ("regularizer", ("kernel", "bias", "activity"), {"type": "l2", "l2": 0.125}, {"l2": 0.0625}),
    (
        "regularizer",
        ("kernel", "bias", "activity"),
        {"type": "l1_l2", "l1": 0.125, "l2": 0.25},
        {"l2": 0.125},
    ),
    ("constraint", ("kernel", "bias"), {"type": "max_norm", "max_value": 0.5}, {"max_value": 0.25}),
    ("constraint", ("kernel", "bias"), {"type": "min_max_norm", "max_value": 0.5}, {"rate": 0.5}),
    ("constraint", ("kernel",), {"type": "unit_norm"}, {"axis": 1}),
    ("constraint", ("bias",), {"type": "unit_norm"}, {"type": "max_norm"}),
    ("constraint", ("kernel", "bias"), {"type": "non_neg"}, {"type": "unit_norm"}),
)
"""What keeps a weight or an output small, of what, and what another side has in its place."""


def _kept() -> Iterator[WordFault]:
    """A layer of which another side keeps the kernel, the bias or the output small by other numbers."""
    drawn = {"type": "random_normal", "stddev": 0.75}
    for end, weights, one, change in HELD:
        for weight in weights:
            held = {f"{weight}_{end}": one}
            middle = cases.dense(4, name="middle", activation="tanh", bias_initializer=drawn, **held)
            document = cases.job([middle, cases.dense(name="head")])
            path, word = f"model.layers.0.{weight}_{end}", f"{end}.{one['type']}.{weight}"
            yield WordFault(
                word=word,
                document=_document(word, document, {path: one | change}),
                setting=path,
                stage="loss" if end == "regularizer" else "update",
                tensor="loss" if end == "regularizer" else f"middle.{weight}",
                arrays=arrays(Job.model_validate(document), (4,), word),
            )


METRICS = {
    "precision": ({"type": "precision"}, {"type": "precision", "average": "micro"}),
    "recall": ({"type": "recall"}, {"type": "recall", "average": "micro"}),
    "top_k_accuracy": ({"type": "top_k_accuracy", "k": 2}, {"type": "top_k_accuracy", "k": 1}),
}


def _metrics() -> Iterator[WordFault]:
    """The same training, of which another side reports a metric with another setting."""
    for word, (one, other) in METRICS.items():
        document = cases.job(
            [cases.dense(3, name="head")],
            loss={"type": "categorical_crossentropy"},
            metrics=["accuracy", one],
        )
        yield WordFault(
            word=f"metric.{word}",
            document=_document(f"metric.{word}", document, {"metrics": ["accuracy", other]}),
            setting="metrics.1" if word == "top_k_accuracy" else "metrics",  # reported by its k
            stage=None,
            tensor=None,
            arrays=arrays(Job.model_validate(document), (4,), word),
            verdict="agree",
        )


def _document(word: str, one: dict[str, Any], override: dict[str, Any]) -> dict[str, Any]:
    data = {"type": "npz", "path": "arrays.npz"}
    if one["data"].get("sample_weights"):
        data["sample_weights"] = "w"
    return {
        "schema_version": 1,
        **one,
        "name": word.replace(".", "-"),
        "data": data,
        "overrides": {"torch": override},
    }


def _is_of_a_type(document: dict[str, Any], path: str) -> bool:
    """Return whether a path has a mapping whose type is a setting of its own."""
    full = Job.model_validate(document).model_dump(mode="json")
    return path.endswith((".activation", ".schedule")) and isinstance(_at(full, path), dict)


def _at(document: dict[str, Any], path: str) -> Any:
    """Return what a document has at a path; null where it is left out."""
    here: Any = document
    for part in path.split("."):
        here = here[int(part)] if isinstance(here, list) else here.get(part)
    return here


def arrays(job: Job, shape: tuple[int, ...], word: str) -> dict[str, np.ndarray]:
    """Return samples for a job, drawn for the word alone."""
    draw = np.random.default_rng(int.from_bytes(hashlib.sha256(word.encode()).digest()[:4]))
    count, outputs = cases.SAMPLES, compile_job(job, shape).output_shape
    x = draw.standard_normal((count, *shape))
    if job.model.layers[0].type == "embedding":
        x = draw.integers(0, 7, (count, *shape)).astype(float)
    match job.loss.task if job.loss.task != "regression" else job.loss.type:
        case "multiclass":
            y = draw.integers(0, outputs[-1], count).astype(float)
        case "binary":
            y = draw.integers(0, 2, (count, *outputs)).astype(float)
        case "poisson":
            y = draw.integers(0, 5, (count, *outputs)).astype(float)
        case "kl_divergence":
            y = draw.dirichlet(np.ones(outputs[-1]), count)
        case _:
            y = draw.standard_normal((count, *outputs))
    return {"x": x, "y": y.reshape(count, -1), "w": draw.uniform(0.2, 3.0, count)}
