"""The transitions of the ledger: Lua scripts, each one atomic step that refuses what no longer fits.

    queued ──claim──> leased ──finish──> succeeded | failed | cancelled
       │                │
       │                └─let_go──> queued, or cancelled where that was asked for, or failed after MAX_DEATHS
       └─cancel──> cancelled            (cancel only marks a leased run; its worker then stops)

Each claim raises the run's fence; a worker that comes with an older fence has lost the run and changes
nothing.

The scripts lie in `scripts/`, and each says at its head which keys and arguments it takes. They are loaded
here alone, with the names of the keys and the limits before them, so that these are written down once, in
Python. Redis is asked for a script by its SHA-1, and given the text only where it does not know it.

A run's record is a hash. Besides the fields of `RunRecord` it holds `run` (the document), `deaths`
(workers that died with it since its last checkpoint), `pid` (the child that holds it), `lease_until`,
`retention_s`, `hangs` (how often its training stood still), `checkpoints`
(`shared.ledger.checkpoints.CheckpointRef` as JSON, newest first), `arrays` (those that its result refers to),
`lane` (the list of its queue in which its message is, by its priority; a run that lost its worker waits in
the first), `spent_s` (seconds that attempts before this one have had it) and `let_go_s`.
Two sorted sets find runs by state: `queued:<lane>` and `leased`. All times are the server's, in seconds.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import redis

from likewise.shared import names
from likewise.shared.scripts import LastingScript

MAX_DEATHS = 3
"""A run is given up once so many workers have died with it: it is the likely cause."""

MAX_HANGS = 2
"""A run whose training has stood still so often is given up."""

KEPT_CHECKPOINTS = 2
"""Checkpoints of a run that are kept: the newest, and the one before in case the newest is damaged."""

MOST_CHUNKS = 4_096
"""A checkpoint lies in so many chunks at most: what a record claims beyond is not believed."""

STREAM_LENGTH = 5_000
"""About so many entries of an experiment's progress are kept; older ones are dropped."""

CHILD_KEPT_S = 600
"""How long Redis keeps which run a child holds, unless its worker's beat says it again."""

AHEAD_S = 1
"""A time that is further ahead of the server's clock than it can be shows that this was set back."""

_FOLDER = Path(__file__).parent / "scripts"

_LOCALS: dict[str, str | int] = {
    "ACTIVITY": names.ACTIVITY,
    "AHEAD_S": AHEAD_S,
    "BLOB": names.blob_key("", 0).removesuffix(":0"),
    "CHECKPOINT_CHUNK": names.CHECKPOINT_CHUNK,
    "CHILD": names.child_key(""),
    "CHILD_KEPT_S": CHILD_KEPT_S,
    "EXPERIMENT": names.experiment_key(""),
    "EXPERIMENTS": names.EXPERIMENTS,
    "FINDING": names.FINDING,
    "KEPT_CHECKPOINTS": KEPT_CHECKPOINTS,
    "LEASED": names.LEASED,
    "LEAST_RETENTION_S": str(24 * 3600),
    "MOST_RETENTION_S": 36_500 * 24 * 3600,
    "MAX_DEATHS": MAX_DEATHS,
    "MAX_HANGS": MAX_HANGS,
    "MOST_CHUNKS": MOST_CHUNKS,
    "NOTHING": names.NOTHING,
    "PROGRESS": names.progress_key(""),
    "QUEUED": names.queued_key(""),
    "RELATED": names.RELATED,
    "RESULT": names.result_key(""),
    "RUN": names.run_key(""),
    "STREAM_LENGTH": STREAM_LENGTH,
    "SUBMISSION": names.submission_key(""),
    "SUBMITTING": names.SUBMITTING,
    "WORKER": names.worker_key(""),
    "WORKERS": names.WORKERS,
}
"""What the scripts know by a name in capitals; a key that ends in an id is given without the id."""


def script(client: redis.Redis, name: str) -> LastingScript:
    """Return the script of `scripts/<name>.lua`, to be called with its `keys` and `args`."""
    return LastingScript(client, source(name))


@cache
def source(name: str) -> str:
    """Return the whole text of a script: the locals, then what the scripts share, then the script."""
    given = "".join(f"local {local} = {json.dumps(value)}\n" for local, value in _LOCALS.items())
    files = (_FOLDER / f"{part}.lua" for part in ("common", name))
    return given + "\n".join(file.read_text(encoding="utf-8") for file in files)
