"""Trains a side with `execution: stock`: finds its program in the worker's folder, and lets it train itself.

The program is a file in the folder that the worker was given (LIKEWISE_PROGRAMS). A run names it with its
SHA-256; another hash, or a path that leads out of the folder, is refused. What is compared, and when, is as
for any training: `OngoingTraining` has it.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likewise.shared.program.penalties import penalized_outputs
from likewise.shared.run import ProgramData, ProgramFile
from likewise.worker.adapters.base import FrameworkAdapter, Start, UnsupportedError
from likewise.worker.adapters.trainer import EnsembleBlock, Floats, StockTrainer, Trainer, Watch, Weights
from likewise.worker.port.verified import VerifiedLoader
from likewise.worker.training.blocks import Cut, Phase, cut
from likewise.worker.training.failures import TrainingError
from likewise.worker.training.results import Member
from likewise.worker.training.samples import RunData
from likewise.worker.training.training import OngoingTraining


def read_program(wanted: ProgramFile | ProgramData, folder: Path | None) -> bytes:
    """Return the text of a program, or the bytes of a file that it reads.

    Raises TrainingError (`program_refused`) with the reason.
    """
    if folder is None:
        raise _refused("This worker runs no programs; give it a folder with LIKEWISE_PROGRAMS")
    whole = folder.resolve()
    file = (whole / wanted.file).resolve()
    if not file.is_relative_to(whole):
        raise _refused(f"The program {wanted.file} leads out of the worker's folder of programs")
    try:
        code = file.read_bytes()
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise _refused(
            f"The program {wanted.file} cannot be read in the worker's folder of programs: {why}; it must be "
            "the folder that the producer writes (LIKEWISE_PROGRAMS)"
        ) from None
    found = hashlib.sha256(code).hexdigest()
    if found != wanted.sha256:
        raise _refused(
            f"The program {wanted.file} has the SHA-256 {found[:12]}…; the run is for {wanted.sha256[:12]}…"
        )
    return code


def _refused(message: str) -> TrainingError:
    return TrainingError("program_refused", message)


def imported(code: bytes, file: str) -> dict[str, Any]:
    """Return the names of a program's module."""
    spec = importlib.util.spec_from_loader("likewise_stock", VerifiedLoader(code, file))
    if spec is None or spec.loader is None:
        raise TypeError(f"{file} has no loader")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return vars(module)


@dataclass(frozen=True, kw_only=True)
class StockProgram:
    """A program that was found, and whether the framework draws its order and masks itself."""

    code: bytes
    file: str
    own_draws: bool


class StockTraining(OngoingTraining):
    """The training of one member by its own program."""

    def __init__(
        self, member: Member, program: StockProgram, *, data: RunData, adapter: FrameworkAdapter
    ) -> None:
        """Make the program's model. Raises UnsupportedError."""
        self._stock = program
        self.between: Callable[[], None] = lambda: None
        """It is called after each epoch, since one call of `advance` goes on to the end."""
        self._segment: AbstractContextManager[None] | None = None
        self._last_masks: tuple[int, dict[str, Floats]] = (-1, {})
        super().__init__([member], data=data, adapter=adapter)
        self._monitor = None  # what a monitor would do between two blocks stands in the program
        self._feed = self._feeds.feed(0)

    def _built(self, adapter: FrameworkAdapter, weights: Weights) -> Trainer:
        job, plan = self.job, self.plan
        if plan.remainder and (job.loss.reduction, job.training.epoch_loss) != ("mean", "per_sample"):
            raise UnsupportedError(
                "a plain program gives the mean of its batches' losses by their sizes, which of batches of "
                "several sizes is not the loss that the job asks for; drop the last batch, or choose "
                "loss.reduction: mean"
            )
        if (
            penalized_outputs(self.program)
            and self.job.training.report_penalty
            and "validation" in self.data.parts
        ):
            raise UnsupportedError(
                "the validation loss has the penalty of layers' outputs in it, which a plain program does "
                "not give; set training.report_penalty: false, or leave the validation data out"
            )
        names = imported(self._stock.code, self._stock.file)
        start = Start(weights=weights, samples=self.data.train, seed=self.members[0].seed)
        trainer = adapter.build_stock(names, self.program, job, start=start)
        if not self._stock.own_draws:
            trainer.weights()  # refuses what cannot be read before all is trained; where it is timed, after
        return trainer

    @property
    def compiles(self) -> bool:
        """Whether there is anything to compile ahead: each `fit` compiles its own."""
        return False

    def advance(self, *, most: int | None = None) -> None:
        """Train to the end, whatever `most` says."""
        del most
        trainer = self.alone()
        if not isinstance(trainer, StockTrainer):
            raise TypeError("a stock program has a trainer of its own")
        watch = Watch(
            after_epoch=self._after_epoch,
            compiled=self._compiled,
            order=None if self._stock.own_draws else self._order,
            masks=self._mask,
        )
        self._begin("compile_s" if trainer.compiles else "train_s")
        try:
            trainer.train_whole(watch)
        except _DivergedError:
            return
        self._end()
        if self.step != self.plan.steps:
            raise TrainingError(
                "internal", f"The printed program did {self.step:,} of {self.plan.steps:,} updates"
            )

    def _begin(self, phase: Phase) -> None:
        self._segment = self.stopwatch.measure(phase)
        self._segment.__enter__()

    def _end(self) -> None:
        if self._segment is not None:
            self._segment.__exit__(None, None, None)
            self._segment = None

    def _compiled(self) -> None:
        self._end()
        self._begin("train_s")

    def _after_epoch(self, loss: float) -> None:
        """Take in an epoch whose loss the program gave; stop its training where it diverged."""
        self._end()
        for part in self._parts(self.epochs_done):
            losses = np.full(part.steps, loss)
            if not np.isfinite(loss):  # which update it was is not known: the last is the first that is
                losses[:] = 0.0
                losses[-1] = loss
            indices = self._feed.indices(part)
            block = EnsembleBlock(
                indices=indices[:, :0] if self._stock.own_draws else indices,
                learning_rates=np.zeros((1, part.steps)),
                first_step=part.first_step,
            )
            self._take(losses[None], block, part.batch_size)
        if self._left() and "validation" in self.data.parts:
            self._end_epoch()
        if not self._left():
            raise _DivergedError
        self.between()
        self._begin("train_s")

    def _parts(self, epoch: int) -> Iterator[Cut]:
        """Yield the blocks of an epoch: its full batches, and a smaller last one."""
        step, end = epoch * self.plan.steps_per_epoch, (epoch + 1) * self.plan.steps_per_epoch
        while step < end:
            part = cut(self.plan, step, wanted=end - step, stop_at_epochs=True)
            yield part
            step += part.steps

    def _order(self, epoch: int) -> NDArray[np.int64]:
        return np.concatenate([self._feed.indices(part).reshape(-1) for part in self._parts(epoch)])

    def _mask(self, path: str, step: int) -> Floats:
        if self._last_masks[0] != step:
            part = Cut(first_step=step, steps=1, batch_size=self.plan.batch_size_at(step))
            self._last_masks = (step, self._feed.masks(part))
        mask: Floats = self._last_masks[1][path][0]
        return mask


class _DivergedError(Exception):
    """Ends a program's loop whose loss is no number."""
