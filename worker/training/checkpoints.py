"""A run's checkpoint: what another worker needs to go on where this one stops, and when one is taken.

It has the results of the members that are done, whose arrays lie in the blob store already, and the state of
the training in hand. Knows nothing of Redis: `KeptCheckpoints` has the bytes.

The state of a training between blocks is a flat mapping of arrays, names joined by dots. Whatever has a state
has `state()`, which returns a copy, and `load_state()`, after which it goes on as if it had come there by
itself. What follows from the job and the number of updates is not part of the state.
"""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from likewise.shared.frozen import Frozen, first_problem
from likewise.shared.job.fields import Many
from likewise.shared.results.run_result import SeedArrays
from likewise.worker.adapters.trainer import State
from likewise.worker.training.results import Packer


def joined(**parts: State) -> State:
    """Return the states of several parts as one."""
    return {f"{part}.{name}": array for part, state in parts.items() for name, array in state.items()}


def part_of(state: State, part: str) -> State:
    """Return what `joined` put under that name."""
    begin = f"{part}."
    return {name.removeprefix(begin): array for name, array in state.items() if name.startswith(begin)}


def stacked(states: Sequence[State]) -> State:
    """Stack states of the same names, each of numbers or rows (n,), into one state of few arrays."""
    return {
        f"{name}.{kind}": array
        for name in states[0]
        for rows in [[np.atleast_1d(state[name]) for state in states]]
        for kind, array in (
            ("lengths", np.array([len(row) for row in rows], np.int64)),
            ("values", np.concatenate(rows)),
        )
    }


def unstacked(state: State) -> list[State]:
    """Return what `stacked` was given; a number comes back as a row of one."""
    rows = {
        name.removesuffix(".lengths"): np.split(
            state[f"{name.removesuffix('.lengths')}.values"], np.cumsum(lengths)[:-1]
        )
        for name, lengths in state.items()
        if name.endswith(".lengths")
    }
    return [dict(zip(rows, each, strict=True)) for each in zip(*rows.values(), strict=True)]


def document(value: Any) -> NDArray[np.uint8]:
    """Return a JSON value as an array of its bytes."""
    return np.frombuffer(json.dumps(value).encode(), np.uint8)


def read_document(array: NDArray[Any]) -> Any:
    """Return the value that `document` was given."""
    return json.loads(array.tobytes())


LAYOUT: Literal[2] = 2
"""The version of what `OngoingTraining.state` and the states within it are made of, and of `SoFar`. A
checkpoint of another one is of no use, so that its run starts from the beginning."""


class SoFar(Frozen):
    """Says what a run has come to, except for the training in hand."""

    schema_version: Literal[2] = LAYOUT
    made_by: str
    """The run, versions, device, threads: a checkpoint is only taken up where they are the same."""
    finished: int
    """How many members are done; their results are in `arrays`."""
    arrays: Many[SeedArrays] = ()
    notes: Many[str] = ()
    queue_s: float | None = None
    """How long the run waited for its first attempt; later attempts keep this number."""
    one_by_one: bool = False
    """Whether the members turned out to train one after another."""


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """Says how far a run has come, with all that is needed to go on."""

    so_far: SoFar
    training: State
    """The state of the next members, as `OngoingTraining.state` gives it; empty where it has not begun."""

    @property
    def updates(self) -> int:
        """Return how many updates each member of the training in hand has done."""
        return self.training["step"].item() if self.training else 0

    def encoded(self) -> bytes:
        """Return the checkpoint as bytes: arrays in NumPy's npz, without pickle, bit for bit."""
        head = np.frombuffer(self.so_far.model_dump_json().encode(), np.uint8)
        file = io.BytesIO()
        np.savez(file, allow_pickle=False, **{"head": head, **joined(training=self.training)})
        return file.getvalue()

    @classmethod
    def decoded(cls, data: bytes) -> Checkpoint:
        """Return the checkpoint of `encoded` bytes. Raises ValueError for others, or another layout's."""
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
                if sum(entry.file_size for entry in arrays.zip.infolist()) > len(data):
                    raise ValueError("its arrays are larger than the whole: nothing of ours is compressed")
                found = dict(arrays)
            head = found.pop("head").tobytes()
            if json.loads(head)["schema_version"] != LAYOUT:
                raise ValueError("another version of Likewise made it")
            so_far = SoFar.model_validate_json(head)
        except ValidationError as error:
            raise ValueError(first_problem(error)) from None
        except ValueError:
            raise
        except Exception as error:  # NumPy and the archive's reader have many words for what is damaged
            raise ValueError(f"{type(error).__name__}: {error}") from None
        return cls(so_far=so_far, training=part_of(found, "training"))


class KeptCheckpoints(Protocol):
    """Keeps the checkpoints of one run."""

    def last(self) -> tuple[bytes | None, str | None]:
        """Return the bytes of the newest undamaged one, and a sentence on what is wrong with newer ones."""

    def keep(self, checkpoint: Checkpoint) -> None:
        """Store it soon, without holding up the training; it takes the place of older ones."""

    @property
    def busy(self) -> bool:
        """Whether one is still being stored."""

    @property
    def wanted(self) -> bool:
        """Whether the worker is about to stop, so that one is wanted now."""

    @property
    def trouble(self) -> str | None:
        """Return why one could not be stored, as the end of a sentence."""


class Checkpoints:
    """Takes a run's checkpoints, at most one every `every_s` seconds; with 0, none at all."""

    def __init__(
        self, kept: KeptCheckpoints, *, packer: Packer, every_s: float, made_by: Callable[[], str]
    ) -> None:
        """Take the packer that has the results of members that are done; `made_by` gives `SoFar.made_by`."""
        self._kept = kept
        self._packer = packer
        self._every_s = every_s
        self._made_by = made_by
        self._taken_s = time.monotonic()
        self._wish_met = False
        self.notes: list[str] = []
        """What is to be told of where training went on, and of a checkpoint that is of no use."""

    @property
    def due(self) -> bool:
        """Whether it is time for one. Asked between two blocks."""
        if self._every_s == 0 or self._kept.busy:
            return False
        wish = self._kept.wanted and not self._wish_met
        return wish or time.monotonic() - self._taken_s >= self._every_s

    def take(
        self,
        *,
        finished: int,
        training: State,
        notes: Sequence[str],
        queue_s: float | None,
        one_by_one: bool,
    ) -> None:
        """Take one; the fields are those of `SoFar` and `Checkpoint`."""
        self._wish_met = self._kept.wanted
        self._packer.flush()
        so_far = SoFar(
            made_by=self._made_by(),
            finished=finished,
            arrays=tuple(self._packer.arrays),
            notes=tuple(notes),
            queue_s=queue_s,
            one_by_one=one_by_one,
        )
        self._kept.keep(Checkpoint(so_far=so_far, training=training))
        self._taken_s = time.monotonic()

    def resume(self, *, attempt: int, members: int) -> Checkpoint | None:
        """Return the checkpoint that this attempt at so many members goes on from, if any.

        The packer takes over the results in it.
        """
        checkpoint, wrong = self._found()
        if wrong:
            self.notes.append(wrong)
        if checkpoint is not None:
            self._packer.take_up(checkpoint.so_far.arrays)
            seeds = f"{checkpoint.so_far.finished:,} of {members:,} seeds and " if members > 1 else ""
            self.notes.append(
                f"Attempt {attempt} went on from a checkpoint, after {seeds}{checkpoint.updates:,} updates."
            )
        return checkpoint

    @property
    def trouble(self) -> list[str]:
        """Return a sentence on why one could not be kept, if so."""
        return [f"A checkpoint could not be kept: {self._kept.trouble}."] if self._kept.trouble else []

    def _found(self) -> tuple[Checkpoint | None, str | None]:
        """Return the checkpoint to go on from, if any, and a sentence on newer ones that are of no use."""
        data, wrong = self._kept.last()
        if data is None:
            return None, f"{wrong} It started from the beginning." if wrong else None
        try:
            checkpoint = Checkpoint.decoded(data)
        except ValueError as error:
            return None, f"Its checkpoint cannot be read ({error}). It started from the beginning."
        if checkpoint.so_far.made_by != self._made_by():
            return None, (
                "Its checkpoint was made by another run, with other versions or threads, "
                "or on another device. It started from the beginning."
            )
        return checkpoint, wrong
