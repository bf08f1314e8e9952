"""Writes a trained model out: as a plain program with its weights, and as checkpoints of its framework.

The program runs without Likewise. A checkpoint is written by the framework itself: the program is imported in
the side's environment, in a process of its own. Every export is proved: the program predicts once more what
the training predicted.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from likewise.producer.advice.program import NotWrittenError
from likewise.producer.advice.trained import SCALING, TARGET_SCALING, trained_program
from likewise.producer.data.prepare import Arrays, PreparedData, PreparedRun
from likewise.producer.display import gap
from likewise.producer.local.home import WorkerEnvironment
from likewise.producer.port.channels import Pipe
from likewise.producer.port.exchanged import relative_difference
from likewise.producer.port.flow import interpreters_of
from likewise.producer.port.hosted import Hosted
from likewise.producer.runs.results import untrained
from likewise.shared.errors import RunFailedError, UsageError
from likewise.shared.job.weights import NpzWeights
from likewise.shared.settings import Settings

if TYPE_CHECKING:
    from likewise.producer.follow_ups import Judged
    from likewise.shared.results.seed_table import Load
    from likewise.shared.run import Run

FORMATS: Mapping[str, str] = {
    "program": ".py",
    "safetensors": ".safetensors",
    "state_dict": ".pt",
    "keras": ".keras",
    "npz": ".npz",
    "onnx": ".onnx",
}
"""The formats, and the endings of their files."""
TOLERANCE = 1e-5
"""The program's outputs may lie so far from those of the training, by the largest."""
_PROVE = (
    "import runpy, sys, numpy; program, rows, out, *names = sys.argv[1:]; "
    "found = runpy.run_path(program)['predict'](numpy.load(rows)); "
    "numpy.save(out, numpy.concatenate([found[one] for one in names], 1) if names else numpy.asarray(found))"
)


@dataclass(frozen=True, kw_only=True)
class Exported:
    """An export: the files that were written, and what was made sure of."""

    files: tuple[Path, ...]
    apart: float | None
    """How far the program's predictions are from those of the training; None where there were none."""


def export(
    outcome: Judged, side: str, file: Path, *, seed: int | None = None, tell: Callable[[str], None]
) -> Exported:
    """Write the model that a side has trained, in the format of the file's ending.

    Raises UsageError for what cannot be written so, RunFailedError where it predicts otherwise; no file is
    left then.
    """
    run, row = _trained(outcome, side, seed)
    table = next(one.table for one in outcome.comparison.runs if one.side == side)
    arrays = {name: array[row] for name, array in table.weights().items()}
    beside = f"{file.stem}_weights.npz" if file.suffix == ".npz" else f"{file.stem}.npz"
    prepared = _prepared(run, outcome.arrays, beside)
    try:
        code = trained_program(prepared, name=run.job.name, weights_file=beside)
    except NotWrittenError as error:
        raise UsageError(f"a plain program of {side} cannot say {error}") from None
    if prepared.data.scaling is not None:
        arrays[SCALING] = np.asarray(prepared.data.scaling)
    if prepared.data.target_scaling is not None:
        arrays[TARGET_SCALING] = np.asarray(prepared.data.target_scaling)
    more = _exporter(run) if file.suffix == ".onnx" else ()
    wanted = WorkerEnvironment(framework=run.framework, requirements=tuple(more))
    [interpreter] = interpreters_of([wanted], Settings.from_environment(), tell)
    predictions, folder = table.rows[row].predictions, file.absolute().parent
    with tempfile.TemporaryDirectory(prefix=".likewise-", dir=folder) as unproved:
        program, weights = Path(unproved, f"{file.stem}.py"), Path(unproved, beside)
        program.write_text(code, encoding="utf-8")
        np.savez(weights, allow_pickle=False, **arrays)
        apart = _proved(interpreter, program, run, predictions, outcome.arrays)
        written = [program, weights]
        if file.suffix != ".py":
            model = Path(unproved, file.name)
            written.insert(0, model)
            with _opened(run, (program, weights), interpreter) as host:
                if file.suffix == ".onnx":
                    apart = _write_onnx(host, run, model, predictions, outcome.arrays)
                else:
                    _save(host, model)
        files = tuple(one.replace(file.parent / one.name) for one in written)
    return Exported(files=files, apart=apart)


def _save(host: Hosted, model: Path) -> None:
    """Write the model in the format of its ending. Raises UsageError where the framework has no such one."""
    try:
        host.save(model)
    except RunFailedError as error:
        raise UsageError(str(error)) from None


def _trained(outcome: Judged, side: str, seed: int | None) -> tuple[Run, int]:
    runs = {run.side: run for run in outcome.runs}
    if side not in runs:
        raise UsageError(f"--side is {side!r}; the sides are {', '.join(runs)}")
    run, seeds = runs[side], outcome.record.experiment.seed_list
    if seed is not None and seed not in seeds:
        raise UsageError(f"--seed is {seed}; the seeds are {', '.join(map(str, seeds[:20]))}")
    row = 0 if seed is None else seeds.index(seed)
    (of_side,) = [one for one in outcome.comparison.runs if one.side == side]
    if not of_side.table.succeeded[row]:
        raise untrained(side, of_side.table.rows[row], outcome.record.experiment_id)
    return run, row


def _prepared(run: Run, load: Load, weights_file: str) -> PreparedRun:
    """Return a run that starts from the trained weights, with as much of its data as a program says."""
    dataset, train = run.dataset, run.dataset.train
    scaling = dataset.target_scaling
    data = PreparedData(
        task=dataset.task,
        outputs={},
        train=Arrays(
            x=load(train.x),
            y=load(train.y),
            weights=None if train.weights is None else load(train.weights),
        ),
        validation=None,
        test=None,
        predict=None,
        predict_given=None,
        classes=dataset.classes,
        class_names=dataset.class_names,
        feature_names=dataset.feature_names,
        target_names=dataset.target_names,
        given_weights=None,
        columns=dataset.columns,
        scaling=None if dataset.scaling is None else load(dataset.scaling),
        target_scaling=None if scaling is None else (scaling[0], scaling[1]),
    )
    weights = NpzWeights(type="npz", path=weights_file)
    job = run.job.model_copy(update={"initial_weights": weights})
    return PreparedRun(side=_side(run), job=job, data=data)


def _side(run: Run) -> Any:
    from likewise.shared.job.side import Side

    return Side(label=run.side, framework=run.framework)


def _proved(
    interpreter: Path, program: Path, run: Run, trained: NDArray[Any] | None, load: Load
) -> float | None:
    """Return how far the program's predictions lie from the training's, by the program run on its own."""
    if run.dataset.predict is None or trained is None:
        return None
    rows = _own_units(load(run.dataset.predict), run, load)
    with tempfile.TemporaryDirectory() as folder:
        given, found = Path(folder, "rows.npy"), Path(folder, "outputs.npy")
        np.save(given, rows)
        command = [str(interpreter), "-I", "-c", _PROVE, str(program.absolute()), str(given), str(found)]
        command += run.job.model.outputs or ()
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise RunFailedError(f"{program.name} does not run: {last}")
        outputs = np.load(found, allow_pickle=False)
    apart = relative_difference(np.asarray(trained), outputs.reshape(np.shape(trained)))
    if not apart <= TOLERANCE:
        raise RunFailedError(
            f"the predictions of {program.name} are {gap(apart)} apart from those of the training"
        )
    return apart


def _own_units(rows: NDArray[Any], run: Run, load: Load) -> NDArray[Any]:
    """Return rows in their own units; they are stored standardised, and not yet rescaled."""
    if run.dataset.scaling is None:
        return rows
    mean, scale = load(run.dataset.scaling)
    own: NDArray[Any] = rows * scale + mean
    return own


@contextmanager
def _opened(run: Run, written: tuple[Path, Path], interpreter: Path) -> Iterator[Hosted]:
    """Yield the program in a process of its framework, imported from a folder of its own."""
    from likewise.producer.local import environments
    from likewise.producer.local.home import stack_paths

    paths = stack_paths(Settings.from_environment().home)
    paths.make()
    environments.link_worker_code(paths.code)
    with (
        tempfile.TemporaryDirectory() as folder,
        Hosted(run.side, run.framework, Pipe(run.framework, interpreter, paths.code)) as host,
    ):
        program, _ = (shutil.copy(one, folder) for one in written)
        host.open(Path(program), "model", "float32")
        yield host


def _exporter(run: Run) -> tuple[str, ...]:
    """Return the packages that write ONNX. Raises UsageError where the framework has none."""
    from likewise.producer.local.environments import ADAPTERS
    from likewise.producer.local.packages import exporter_of

    found = exporter_of(run.framework, ADAPTERS)
    if not found:
        raise UsageError(f"--format onnx: nothing that writes ONNX is known for {run.framework}")
    return found


def _write_onnx(host: Hosted, run: Run, file: Path, trained: NDArray[Any] | None, load: Load) -> float | None:
    """Write the model with its preprocessing; return how far what it predicts lies from the training's.

    Raises RunFailedError where that is too far.
    """
    dataset = run.dataset
    before: list[tuple[str, NDArray[Any]]] = []
    if dataset.scaling is not None:
        mean, scale = load(dataset.scaling)
        before += [("subtract", mean), ("divide", scale)]
    for operation, value in (("subtract", run.job.data.mean), ("divide", run.job.data.scale)):
        before += [] if value is None else [(operation, np.asarray(value, np.float64))]
    after: list[tuple[str, NDArray[Any]]] = []
    if dataset.target_scaling is not None:
        mean, scale = (np.asarray(one, np.float64) for one in dataset.target_scaling)
        after = [("multiply", scale), ("add", mean)]
    names = {
        "features": dataset.feature_names,
        "targets": dataset.target_names,
        "classes": dataset.class_names,
    }
    told = {"name": run.job.name, **{key: json.dumps(value) for key, value in names.items() if value}}
    asked = dataset.predict is not None and trained is not None
    rows = {"rows": _own_units(load(dataset.predict), run, load)} if dataset.predict and asked else {}
    found = host.export(dataset.train.x.shape[1:], before, after, told=told, rows=rows)
    apart = None
    if trained is not None and "outputs" in found:
        apart = relative_difference(np.asarray(trained), found["outputs"].reshape(np.shape(trained)))
        if not apart <= TOLERANCE:
            raise RunFailedError(f"as ONNX its predictions are {gap(apart)} apart from those of the training")
    file.write_bytes(found["bytes"].tobytes())
    return apart
