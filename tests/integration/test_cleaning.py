"""What is deleted leaves nothing behind, and a full Redis can be emptied."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from likewise.producer.runs import cleaning
from likewise.producer.runs.cleaning import delete, prune
from likewise.producer.runs.submitted import cancel
from likewise.shared.errors import RedisError
from likewise.shared.ledger.leases import Claim, Leases, RunEnd
from likewise.shared.names import blob_key, wanted_key
from likewise.shared.store.blobs import BlobStore


@pytest.fixture
def own(start_redis: Any, desk_at: Any) -> Any:
    """A producer at a Redis of its own."""
    return desk_at(start_redis(policy="noeviction").url)


def ended(desk: Any, **changes: Any) -> Any:
    """An experiment whose run is cancelled before anybody took it."""
    record = desk.submit(queue_anyway=True, **changes)
    cancel(record.experiment_id, ledger=desk.ledger)
    return record


def arrays(desk: Any) -> list[bytes]:
    return list(desk.client.keys("likewise:blob:*"))


def likewise(url: str, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "LIKEWISE_REDIS_URL": url}
    command = [sys.executable, "-m", "likewise.producer", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_arrays_go_with_the_last_experiment_that_refers_to_them(own: Any) -> None:
    first, second = ended(own), ended(own)
    stored = arrays(own)
    assert stored
    assert delete(own, first).freed_bytes == 0
    assert sorted(arrays(own)) == sorted(stored)
    assert delete(own, second).freed_bytes > 0
    assert arrays(own) == []


def test_arrays_are_freed_at_once_while_a_later_experiment_waits(own: Any) -> None:
    """The end of an experiment gives them a new time to live; that does not say that they are new."""
    first = own.submit(queue_anyway=True)
    ref = own.blobs.put(np.arange(3_000.0))
    leases = Leases(own.client, worker_id="w", host="h", lease_s=60)
    claim = leases.claim(first.run_ids[0], pid=1)
    assert isinstance(claim, Claim)
    end = RunEnd(state="succeeded", payload=f'{{"array": {ref.model_dump_json()}}}')
    assert leases.finish(claim.run_id, fence=claim.fence, end=end)
    own.client.zadd(wanted_key(ref.sha256), {"stored": own.ledger.now() - 10})
    later = own.submit(queue_anyway=True)
    assert delete(own, first).freed_bytes == ref.nbytes
    assert not own.client.exists(blob_key(ref.sha256, 0), wanted_key(ref.sha256))
    cancel(later.experiment_id, ledger=own.ledger)


def test_arrays_behind_the_url_go_too(own: Any, tmp_path: Path) -> None:
    own.blobs = BlobStore(own.client, url=f"file://{tmp_path}", redis_limit_bytes=1, retention_s=3600)
    record = ended(own)
    assert [path for path in tmp_path.rglob("*") if path.is_file()]
    under_way = own.submit(queue_anyway=True, frameworks=("nobody",))  # of the same data
    assert delete(own, record).kept == 0
    assert [path for path in tmp_path.rglob("*") if path.is_file()]
    early = own.blobs.put(np.arange(5.0))
    assert early.sha256 in own.blobs.stored()
    assert prune(own, older_than_s=0, keep=20, dry_run=False).kept == 1, "a run under way may refer to it"
    own.client.zadd(wanted_key(early.sha256), {"stored": own.ledger.now() - 10})
    assert prune(own, older_than_s=0, keep=20, dry_run=False).freed_bytes > 0
    assert early.sha256 not in own.blobs.stored()
    cancel(under_way.experiment_id, ledger=own.ledger)
    assert delete(own, under_way).freed_bytes > 0
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_what_is_stored_while_the_arrays_in_use_are_looked_for_stays(own: Any, monkeypatch: Any) -> None:
    """A submission that begins just then is not seen; its data may be those that nothing else refers to."""
    first = ended(own)
    looked = cleaning._arrays_of

    def submits_meanwhile(*given: Any) -> set[str]:
        found = looked(*given)
        if not own.ledger.records(first.run_ids):  # deleted already
            own.submit(queue_anyway=True)
        return found

    monkeypatch.setattr(cleaning, "_arrays_of", submits_meanwhile)
    stored = arrays(own)
    assert delete(own, first).kept > 0
    assert set(stored) <= set(arrays(own))


def test_what_a_run_under_way_may_refer_to_stays_and_is_freed_later(own: Any) -> None:
    """A worker stores the arrays of its result before the result."""
    under_way = own.submit(queue_anyway=True)
    finished = ended(own, data={"type": "inline", "x": [1, 2], "y": [3, 4]})
    early = own.blobs.put(np.arange(7.0))
    run = own.ledger.run(finished.run_ids[0])
    assert early.sha256 not in run.model_dump_json()
    assert prune(own, older_than_s=0, keep=20, dry_run=False).kept == 1
    cancel(under_way.experiment_id, ledger=own.ledger)
    assert prune(own, older_than_s=0, keep=20, dry_run=False).freed_bytes == early.nbytes


def test_a_full_redis_can_be_emptied(own: Any) -> None:
    waiting = own.submit(queue_anyway=True)
    own.client.config_set("maxmemory", "1mb")  # less than it holds already
    said = likewise(own.url, "cancel", waiting.experiment_id)
    assert (said.returncode, said.stderr) == (0, "")
    said = likewise(own.url, "list")
    assert said.returncode == 0
    assert "cancelled" in said.stdout
    said = likewise(own.url, "delete", waiting.experiment_id)
    assert (said.returncode, said.stderr) == (0, "")
    assert "freed" in said.stdout
    assert arrays(own) == []
    own.client.config_set("maxmemory", "64mb")
    assert own.ledger.experiments() == []


def test_new_runs_do_not_get_the_room_that_those_under_way_need(own: Any) -> None:
    used = int(own.client.info("memory")["used_memory"])
    own.client.config_set("maxmemory", str(int(used / 0.93)))
    with pytest.raises(RedisError, match="kept for runs that are under way"):
        own.submit(queue_anyway=True)
    assert "new submissions are refused" in likewise(own.url, "doctor").stdout
    own.client.config_set("maxmemory", "64mb")
    assert own.submit(queue_anyway=True)


def test_old_experiments_are_pruned_but_for_the_newest_and_the_unfinished(own: Any) -> None:
    first, unfinished, second, third = ended(own), own.submit(queue_anyway=True), ended(own), ended(own)
    words = ("prune", "--older-than", "0", "--keep", "1")
    said = likewise(own.url, *words, "--dry-run")
    assert said.returncode == 0, said.stderr
    assert "2 experiments would be deleted" in said.stdout
    assert len(own.ledger.experiments()) == 4
    said = likewise(own.url, *words)
    assert first.experiment_id in said.stdout
    assert second.experiment_id in said.stdout
    left = {record.experiment_id for record in own.ledger.experiments()}
    assert left == {unfinished.experiment_id, third.experiment_id}
    assert likewise(own.url, "prune", "--older-than", "soon").returncode == 2
