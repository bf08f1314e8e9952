"""Progress of running trainings: events on one capped Redis Stream an experiment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from shared.frozen import Frozen
from shared.names import progress_key

if TYPE_CHECKING:
    import redis

STREAM_LENGTH = 5_000
"""Events kept an experiment, about; older ones are dropped."""


class ProgressEvent(Frozen):
    """Where one run stands. `epoch` counts finished epochs; `position` counts seeds from 1."""

    run_id: str
    framework: str
    seed: int
    position: int
    seeds: int
    epoch: int
    epochs: int
    loss: float | None = None
    """The last finished epoch's loss; null before the first, or when it is not finite."""
    validation_loss: float | None = None
    samples_per_s: float | None = None
    """Training rate since the event before; null for the first."""


def publish(client: redis.Redis, experiment_id: str, event: ProgressEvent, *, retention_s: float) -> None:
    """Append an event; the stream outlives the last one by `retention_s`."""
    key = progress_key(experiment_id)
    with client.pipeline(transaction=False) as pipe:
        pipe.xadd(key, {"event": event.model_dump_json()}, maxlen=STREAM_LENGTH, approximate=True)
        pipe.expire(key, int(retention_s))
        pipe.execute()


def read(
    client: redis.Redis, experiment_id: str, *, after: str = "0", block_ms: int | None = None
) -> Sequence[tuple[str, ProgressEvent]]:
    """Events after a stream id, oldest first, each with its id; waits up to `block_ms` for one."""
    answer = client.xread({progress_key(experiment_id): after}, count=1_000, block=block_ms)
    entries = answer[0][1] if answer else []
    return [
        (_text(entry_id), ProgressEvent.model_validate_json(fields[b"event"])) for entry_id, fields in entries
    ]


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
