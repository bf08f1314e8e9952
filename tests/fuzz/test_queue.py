"""What a worker takes from Redis and from its disk: messages, records, runs, checkpoints, spooled results."""

from __future__ import annotations

import base64
import io
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from likewise.shared.errors import ResultError
from likewise.shared.frozen import read_short
from likewise.shared.job.shape import ShapeError
from likewise.shared.ledger.checkpoints import read_refs
from likewise.shared.ledger.reading import RECORD_FIELDS, kept_of, record_of, run_of
from likewise.shared.ledger.records import ProgressEvent, WorkerPresence
from likewise.shared.limits import DEFAULT_LIMITS, excesses_of
from likewise.shared.run import Run
from likewise.worker.service.child_page import ChildReport
from likewise.worker.service.quarantine import NotOursError, envelope_for, run_id_of
from likewise.worker.service.spool import SpooledResult, _opened
from likewise.worker.training.checkpoints import Checkpoint, SoFar
from tests.fuzz.conftest import bounded
from tests.fuzz.spoiling import HOSTILE_NUMBERS, as_json, documents, files

GOLDEN = Path(__file__).parents[1] / "golden"
RUN = json.loads((GOLDEN / "run.v1.json").read_text())
RESULT = json.loads((GOLDEN / "result.v1.json").read_text())
EXPERIMENT = json.loads((GOLDEN / "job-words.v1.json").read_text())
RUN_ID = "0123456789abcdef0123"


def envelope() -> dict[str, Any]:
    """A message of ours, its body unpacked."""
    message: dict[str, Any] = json.loads(envelope_for(RUN_ID, "train.torch.any"))
    message["body"] = json.loads(base64.b64decode(message["body"]))
    return message


def packed(message: Any) -> bytes:
    """A message as it travels."""
    if isinstance(message, dict) and "body" in message:
        message = {**message, "body": base64.b64encode(as_json(message["body"])).decode()}
    return as_json(message)


@given(documents(envelope()).map(packed) | files(envelope_for(RUN_ID, "train.torch.any")))
def test_a_message_names_a_run_or_is_not_ours(raw: bytes) -> None:
    with bounded(), suppress(NotOursError):
        assert run_id_of(raw).isascii()


def hashes(*valid: dict[str, Any]) -> st.SearchStrategy[dict[bytes, bytes]]:
    """The hash of a record in Redis, whose values are text, some of them documents."""

    def written(value: Any) -> bytes:
        return value.encode("utf-8", "surrogatepass") if isinstance(value, str) else as_json(value)

    fields = documents(*valid).filter(lambda one: isinstance(one, dict))
    spoilt = fields.map(lambda one: {name: written(value) for name, value in one.items()})
    junk = st.one_of(
        st.binary(max_size=30), st.sampled_from([str(one).encode() for one in HOSTILE_NUMBERS[:8]] + [b"inf"])
    )

    @st.composite
    def with_bytes(draw: Any) -> dict[bytes, bytes]:
        found = {name.encode("utf-8", "surrogatepass"): value for name, value in draw(spoilt).items()}
        if found and draw(st.booleans()):
            found[draw(st.sampled_from(sorted(found)))] = draw(junk)
        return found

    return with_bytes()


RECORD = dict.fromkeys(RECORD_FIELDS, "1") | {
    "run_id": RUN_ID,
    "experiment_id": RUN_ID,
    "framework": "torch",
    "side": "torch",
    "queue": "train.torch.any",
    "lane": "train.torch.any",
    "state": "failed",
    "worker": "torch-cpu-a",
    "submitted_s": "1.5",
    "failure": {"reason": "diverged", "message": "x"},
}
EXPERIMENT_RECORD = {
    "experiment": EXPERIMENT,
    "run_ids": [RUN_ID],
    "submitted_s": "1.5",
    "priority": "low",
    "kind": "sweep",
    "tags": ["a"],
    "note": "b",
    "verdict": "agree",
    "related:twin": RUN_ID,
    "finding:bench": "complete",
}


@given(hashes(RECORD))
def test_a_record_of_a_run_is_one_or_none(values: dict[bytes, bytes]) -> None:
    with bounded():
        record_of({name: values.get(name.encode()) for name in RECORD_FIELDS})


@given(hashes(EXPERIMENT_RECORD))
def test_a_record_of_an_experiment_is_one_or_is_told(values: dict[bytes, bytes]) -> None:
    with bounded(), suppress(ResultError):
        kept_of(RUN_ID, values)


@given(documents(RUN).map(as_json) | files(as_json(RUN)))
def test_a_run_is_measured_or_refused(document: bytes) -> None:
    with bounded():
        with suppress(ResultError):
            run_of(RUN_ID, document)
        with suppress(ValidationError, ShapeError):
            list(excesses_of(Run.model_validate_json(document), DEFAULT_LIMITS))


PROGRESS = {
    "run_id": RUN_ID,
    "framework": "torch",
    "side": "torch",
    "seed": 0,
    "position": 1,
    "seeds": 1,
    "epoch": 1,
    "epochs": 2,
    "loss": 0.5,
    "compiling": False,
    "done": 0.5,
}
PRESENCE = {
    "worker_id": "torch-cpu-a",
    "framework": "torch",
    "device": "cpu",
    "queues": ["train.torch.any"],
    "host": "h",
    "pid": 1,
    "versions": {"torch": "2.0"},
    "threads": 1,
    "state": "idle",
    "started_s": 1.0,
    "seen_s": 2.0,
}
CHECKPOINTS = [{"fence": 1, "sha256": "a" * 64, "chunks": 1, "nbytes": 10}]


@given(documents(PROGRESS, PRESENCE, CHECKPOINTS).map(as_json))
def test_what_processes_say_of_themselves_is_read_or_refused(document: bytes) -> None:
    with bounded():
        for model in (ProgressEvent, WorkerPresence, ChildReport):
            found = read_short(model, document)
            if isinstance(found, ProgressEvent):
                assert found.share == found.share
        read_refs(document)


def checkpoint() -> bytes:
    """A checkpoint of a training in hand."""
    so_far = SoFar(made_by="torch 2, cpu, 1 thread", finished=0, notes=("a",))
    training = {"step": np.array(3), "weights.dense.kernel": np.ones((3, 2), np.float32), "rng": np.arange(4)}
    return Checkpoint(so_far=so_far, training=training).encoded()


@given(files(checkpoint()))
def test_a_checkpoint_is_read_or_is_of_no_use(data: bytes) -> None:
    with bounded(), suppress(ValueError):
        found = Checkpoint.decoded(data)
        assert sum(array.nbytes for array in found.training.values()) < 2 * len(data) + 1_000


def bomb(member: str, array: np.ndarray[Any, Any]) -> bytes:
    """A packed archive, of which a member unpacks to far more than it has bytes."""
    file = io.BytesIO()
    np.savez_compressed(file, allow_pickle=False, **{member: array})
    return file.getvalue()


@given(files(bomb("head", np.zeros(2**27, np.uint8))))
def test_a_checkpoint_that_unpacks_without_end_is_of_no_use(data: bytes) -> None:
    with bounded(), suppress(ValueError):
        Checkpoint.decoded(data)


SPOOLED = SpooledResult.model_validate_json(
    json.dumps(
        {"run_id": RUN_ID, "fence": 1, "state": "succeeded", "failure": None, "payload": "{}", "arrays": []}
    )
).model_dump(mode="json")


@given(documents(SPOOLED).map(as_json), st.booleans())
def test_a_spooled_result_is_sent_or_set_aside(tmp_path_factory: Any, document: bytes, whole: bool) -> None:
    import hashlib

    file = tmp_path_factory.getbasetemp() / f"{RUN_ID}.1"
    checksum = hashlib.sha256(document if whole else b"").hexdigest().encode()
    file.write_bytes(checksum + b"\n" + document)
    with bounded():
        found = _opened(file)
    if found is None:
        damaged = file.with_name(f"{file.name}.damaged")
        assert damaged.exists()
        damaged.unlink()
    else:
        found[0].remove()
