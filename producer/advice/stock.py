"""The printed program of a side with `execution: stock`, as a worker runs it.

It is what `likewise code` prints for the same job with its initial weights given, but for three things, so
that its training can be compared: the worker puts the weights that all sides start from into `weights`, finds
the dropouts in `dropouts`, and hears of an epoch's loss from `after_epoch`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from likewise.producer.advice.layer_view import variable
from likewise.producer.advice.program import NotWrittenError, Part, channels_first
from likewise.producer.advice.whole import SAYS_EPOCH, assembled, whole_parts
from likewise.producer.data.prepare import PreparedRun
from likewise.shared.errors import UsageError
from likewise.shared.job.experiment import Precision
from likewise.shared.job.weights import NpzWeights
from likewise.shared.run import ProgramFile

_OF_THE_WORKER = """weights = {}  # the worker puts here what all sides start from, by name
dropouts = {}  # each dropout by its layer's path, and whether its channels come first


def after_epoch(loss):  # the worker's
    print(f"loss {loss:.6g}")"""


def write_programs(run: PreparedRun, folder: Path) -> dict[Precision, ProgramFile]:
    """Write a side's program into the folder of the workers' programs, in its precision and in float64.

    Returns what a run says of them. Raises UsageError where one cannot be printed or written.
    """
    precisions: set[Precision] = {run.job.precision, "float64"}
    found = {}
    for precision in sorted(precisions):
        job = run.job.model_copy(update={"precision": precision})
        try:
            code = stock_program(replace(run, job=job)).encode()
        except NotWrittenError as error:
            raise UsageError(
                f"{run.side.label} cannot train as stock: a plain program of it cannot say {error}; leave "
                "that out of the job, or train it with execution: auto"
            ) from None
        try:
            found[precision] = _written(code, folder)
        except OSError as error:
            raise UsageError(
                f"the program of {run.side.label} cannot be written to {folder} (LIKEWISE_PROGRAMS): "
                f"{(error.strerror or str(error)).lower()}"
            ) from None
    return found


def _written(code: bytes, folder: Path) -> ProgramFile:
    digest = hashlib.sha256(code).hexdigest()
    file = folder / "stock" / f"{digest}.py"
    if not file.is_file() or file.read_bytes() != code:
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_suffix(f".{os.getpid()}")
        partial.write_bytes(code)
        partial.replace(file)
    return ProgramFile(file=f"stock/{file.name}", sha256=digest)


def stock_program(run: PreparedRun) -> str:
    """Return the text of a side's program. Raises NotWrittenError."""
    if run.job.model.outputs is not None:
        raise NotWrittenError("a model of several outputs")
    given = replace(
        run, job=run.job.model_copy(update={"initial_weights": NpzWeights(type="npz", path="start.npz")})
    )
    parts = [part for part in whole_parts(given) if (part.place, part.name) != ("give", "weights")]
    written = assembled(given, [*parts, *_dropouts(given)], name=run.job.name, arrays_file="data.npz")
    imports, *blocks = written.code.split("\n\n\n")
    code = "\n\n\n".join([f"{imports}\n\n{_OF_THE_WORKER}", *blocks])
    return code.replace(SAYS_EPOCH, "after_epoch(epoch_loss)")


def _dropouts(run: PreparedRun) -> Iterator[Part]:
    """Yield the lines that tell the worker where the dropouts are."""
    first = channels_first(run.job, run.program, run.side.framework)
    for mask in run.program.masks:
        name = variable(mask.path)
        yield Part("give", name, f'dropouts["{mask.path}"] = {name}, {mask.path in first}')
