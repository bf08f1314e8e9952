"""What bisections have judged before, so that one that was interrupted, or is asked again, goes on.

A comparison that a bisection has followed to its end keeps, as a finding beside it, what it came to and a
key: the SHA-256 of the job with both versions, of every array that is trained on, and of Likewise's own code.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ValidationError

from likewise.producer.bisecting import Tried
from likewise.producer.kept import keep
from likewise.producer.local.environments import whole_fingerprint
from likewise.producer.runs.submitted import SEARCHED
from likewise.shared.frozen import Frozen
from likewise.shared.ledger.records import ExperimentRecord

if TYPE_CHECKING:
    from likewise.producer.job.prepare import PreparedExperiment
    from likewise.producer.session import Session
    from likewise.shared.ledger.records import Kind

_FINDING: Kind = "bisection"


class JudgedVersion(Frozen):
    """What one version came to, and of what."""

    key: str
    tried: Tried


def key_of(prepared: PreparedExperiment) -> str:
    """Return a hash of all that the verdict on a version rests on."""
    digest = hashlib.sha256(whole_fingerprint().encode())
    digest.update(prepared.loaded.experiment.model_dump_json().encode())
    for run in prepared.runs.values():
        digest.update(run.job.model_dump_json().encode())
        for name, array in _arrays("", run.data):
            solid = np.ascontiguousarray(array)
            digest.update(f"{name} {solid.dtype} {solid.shape}".encode())
            digest.update(solid.tobytes() if solid.dtype.hasobject else solid.data)
    return digest.hexdigest()


def _arrays(name: str, value: Any) -> Iterator[tuple[str, np.ndarray[Any, Any]]]:
    """Yield every array that a value holds, with its place in it."""
    if isinstance(value, np.ndarray):
        yield name, value
    elif is_dataclass(value):
        for field in fields(value):
            yield from _arrays(f"{name}.{field.name}", getattr(value, field.name))
    elif isinstance(value, Mapping):
        for key, one in value.items():
            yield from _arrays(f"{name}.{key}", one)


def judged_before(session: Session, key: str) -> Tried | None:
    """Return what a version came to, where one of the newest comparisons has judged the same."""
    for record in islice(session.ledger.newest(), SEARCHED):
        if not isinstance(record, ExperimentRecord) or record.findings.get(_FINDING) != "complete":
            continue
        document = session.ledger.finding(record.experiment_id, _FINDING)
        try:
            found = None if document is None else JudgedVersion.model_validate_json(document)
        except ValidationError:  # another version of Likewise wrote it
            continue
        if found is not None and found.key == key:
            return found.tried
    return None


def keep_judged(session: Session, record: ExperimentRecord, key: str, tried: Tried) -> None:
    """Keep beside a comparison what it says of a version."""
    keep(session, record, _FINDING, JudgedVersion(key=key, tried=tried), complete=True)
