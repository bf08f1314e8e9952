"""Progress of running trainings: one capped Redis Stream an experiment.

Workers append events; the ledger's scripts append the id and the new state of each run whose record
changes, so that one blocking read is enough to follow an experiment. A run's final state comes after all
its events.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from shared.job.side import Framework, Label, OfSide
from shared.names import progress_key

if TYPE_CHECKING:
    import redis

STREAM_LENGTH = 5_000
"""About how many entries of an experiment are kept; older ones are dropped."""


class ProgressEvent(OfSide):
    """Where one run stands. `epoch` counts finished epochs; `position` counts seeds from 1.

    Of seeds that train together it names the first, and gives the median of their losses.
    """

    run_id: str
    framework: Framework
    side: Label = ""
    """The label of its side."""
    seed: int
    position: int
    seeds: int
    together: int = 1
    """Seeds that train at once, from `position` on."""
    epoch: int
    epochs: int
    loss: float | None = None
    """The last finished epoch's loss; null before the first, or when it is not finite."""
    validation_loss: float | None = None
    compiling: bool = False
    """Whether a program is compiled first, which can take half a minute without another event."""
    samples_per_s: float | None = None
    """Training rate since the event before; null for the first."""

    @property
    def share(self) -> float:
        """How much of the run is done, from 0 to 1."""
        return (self.position - 1 + self.together * self.epoch / self.epochs) / self.seeds


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One entry of the stream: a training's event, or the id of a run whose record changed."""

    position: str
    event: ProgressEvent | None = None
    changed_run_id: str | None = None
    state: str | None = None
    """What that run became; None in streams that an older version has written."""


def append(pipe: redis.client.Pipeline, experiment_id: str, event: ProgressEvent) -> None:
    """Add an event to what the pipeline sends. The ledger's scripts set the stream's time to live."""
    pipe.xadd(
        progress_key(experiment_id),
        {"event": event.model_dump_json()},
        maxlen=STREAM_LENGTH,
        approximate=True,
    )


def read(
    client: redis.Redis, experiment_id: str, *, after: str = "0", block_ms: int | None = None
) -> Sequence[Entry]:
    """Entries after a position, oldest first; waits up to `block_ms` for one."""
    answer = cast(
        "list[tuple[bytes, list[tuple[bytes, dict[bytes, bytes]]]]]",
        client.xread({progress_key(experiment_id): after}, count=1_000, block=block_ms),
    )
    return [_entry(position, fields) for position, fields in (answer[0][1] if answer else [])]


def end(client: redis.Redis, experiment_id: str) -> str:
    """The position after which nothing has been appended yet."""
    last = cast("list[tuple[bytes, Any]]", client.xrevrange(progress_key(experiment_id), count=1))
    return last[0][0].decode() if last else "0"


def _entry(position: bytes, fields: dict[bytes, bytes]) -> Entry:
    if b"event" in fields:
        return Entry(position=position.decode(), event=ProgressEvent.model_validate_json(fields[b"event"]))
    state = fields[b"state"].decode() if b"state" in fields else None
    return Entry(position=position.decode(), changed_run_id=fields[b"run"].decode(), state=state)
