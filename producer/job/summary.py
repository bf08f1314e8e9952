"""What a prepared experiment would train, in a few lines or as a document."""

from __future__ import annotations

from math import prod
from typing import Any

from likewise.producer.data.prepare import PreparedData, PreparedRun
from likewise.producer.data.reading import LARGE_BYTES
from likewise.producer.display import asked, count, printable, short, size
from likewise.producer.job.prepare import PreparedExperiment
from likewise.producer.job.resolve import SettingDifference, setting_differences
from likewise.shared.job import Experiment, Job
from likewise.shared.job.training import BatchPlan
from likewise.shared.program import ProgramSpec


def lines_of(prepared: PreparedExperiment) -> list[str]:
    """Tell a reader the data, model, training, sides, what differs, and advice."""
    experiment = prepared.loaded.experiment
    first = next(iter(prepared.runs.values()))
    seeds = len(experiment.seed_list)
    return [
        f"{prepared.loaded.source} is a valid job, {experiment.name!r}",
        f"  data        {_data(first.job, first.data)}",
        f"  model       {_model(first.program)}",
        f"  training    {_training(first.job, first.data)}",
        f"  sides       {', '.join(prepared.runs)}; {count(seeds, 'seed')} each",
        *_grid(experiment),
        *_differences(setting_differences({side: run.job for side, run in prepared.runs.items()}), first.job),
        *(f"  advice      {sentence}" for sentence in prepared.advice),
    ]


def document_of(prepared: PreparedExperiment) -> dict[str, Any]:
    """Tell a program the same."""
    experiment = prepared.loaded.experiment
    differences = setting_differences({side: run.job for side, run in prepared.runs.items()})
    return {
        "valid": True,
        "source": prepared.loaded.source,
        "name": experiment.name,
        "seeds": list(experiment.seed_list),
        "grid": {path: list(values) for path, values in experiment.grid.items()},
        "runs": {side: _run_document(run) for side, run in prepared.runs.items()},
        "setting_differences": [{"path": d.path, **d.values} for d in differences],
        "advice": list(prepared.advice),
        "problems": [],
    }


def _run_document(run: PreparedRun) -> dict[str, Any]:
    job, data = run.job, run.data
    return {
        "task": data.task,
        "input_shape": list(data.input_shape),
        "classes": data.classes,
        "class_names": list(data.class_names),
        "samples": {
            "train": len(data.train.x),
            "validation": len(data.validation.x) if data.validation else 0,
            "test": len(data.test.x) if data.test else 0,
            "predict": 0 if data.predict is None else len(data.predict),
        },
        "parameters": run.program.parameters,
        "job": job.model_dump(mode="json", exclude={"data", "predict", "initial_weights"}),
    }


def _data(job: Job, data: PreparedData) -> str:
    held = [
        f"{len(part.x):,} {name}"
        for name, part in (("validation", data.validation), ("test", data.test))
        if part is not None
    ]
    samples = count(len(data.train.x), "training sample")
    shape = data.input_shape
    width = count(shape[0], "feature") if len(shape) == 1 else " x ".join(map(str, shape)) + " values"
    goals = [
        (f"{name}: " if len(data.outputs) > 1 else "")
        + (f"{one.classes} classes" if one.classes else one.task)
        for name, one in data.outputs.items()
    ]
    goal = "; ".join(goals)
    return (
        f"{job.data.type}: {', '.join([samples, *held])}; {width}{_stored(data)}"
        f"{', standardised' if job.data.standardize else ''}{_rescaled(job)}; {goal}"
    )


def _stored(data: PreparedData) -> str:
    """Say how the samples are stored, where that is not in the usual float64, or much."""
    parts = [part.x for part in (data.train, data.validation, data.test) if part is not None]
    nbytes, dtype = sum(x.nbytes for x in parts), data.train.x.dtype
    return f" of {dtype}, {size(nbytes)}" if dtype != "float64" or nbytes > LARGE_BYTES else ""


def _numbers(value: Any) -> str | None:
    """Return `255`, `(123.7, 116.3, 103.5)` for one a channel, or `(image 255)` by input."""
    return None if value is None else asked(list(value) if isinstance(value, tuple) else value)


def _rescaled(job: Job) -> str:
    """Say what is done to each batch before the first layer."""
    mean, scale = (_numbers(value) for value in (job.data.mean, job.data.scale))
    return f"{'' if mean is None else f', less {mean}'}{'' if scale is None else f', divided by {scale}'}"


def _model(program: ProgramSpec) -> str:
    names = [stage.summary for stage in program.stages]
    shown = names if len(names) <= 8 else [*names[:4], "…", *names[-3:]]
    return f"{' > '.join(shown)}: {count(program.parameters, 'parameter')}"


def _training(job: Job, data: PreparedData) -> str:
    size = job.training.batch_size
    batches = "the whole set at once" if size is None else f"batches of {size}"
    steps = BatchPlan.of(job.training, len(data.train.x)).steps_per_epoch
    return (
        f"{job.loss.type} ({job.loss.reduction}), {job.optimizer.type} at {job.optimizer.learning_rate:g}; "
        f"{count(job.training.epochs, 'epoch')} of {count(steps, 'step')}, {batches}"
    )


def _grid(experiment: Experiment) -> list[str]:
    if not experiment.grid:
        return []
    points = prod(len(values) for values in experiment.grid.values())
    varied = "; ".join(
        f"{printable(path)} {', '.join(map(short, values))}" for path, values in experiment.grid.items()
    )
    return [f"  grid        {count(points, 'point')} for likewise sweep: {varied}"]


def _differences(differences: list[SettingDifference], job: Job) -> list[str]:
    if not differences:
        own = job.initial_weights.type == "framework"
        but = ", but each draws its own initial weights" if own else ": like for like"
        return [f"  differs     nothing; every setting is the same in every side{but}"]
    return [
        f"  differs     {printable(one.path)}: "
        + ", ".join(f"{side} {short(value)}" for side, value in one.values.items())
        for one in differences
    ]
