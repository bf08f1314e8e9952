"""A run's way from submission to result, through real Redis and real workers."""

from __future__ import annotations

import time

import pytest

from likewise.producer.runs.follow import Changed, Progressed, follow
from likewise.producer.runs.results import collect
from likewise.shared.errors import NoWorkerError, ResultError, UsageError
from likewise.shared.names import child_key, environment_key, lane_of, lanes_of, messages_key, result_key


@pytest.mark.parametrize("framework", ["torch", "tensorflow"])
def test_a_run_is_trained_by_a_worker_of_its_framework(desk, session_worker, framework):
    worker = session_worker(framework)
    record = desk.submit(frameworks=(framework,))
    states = [
        update.record.state
        for update in follow(record, ledger=desk.ledger, client=desk.client)
        if isinstance(update, Changed)
    ]
    result = desk.result(record)
    assert states[-1] == "succeeded"
    assert result.status == "succeeded"
    assert result.run_id == record.run_ids[0]
    assert desk.table(record).losses.shape == (1, 20)
    assert result.environment.framework == framework
    assert result.worker == worker.presence(desk.ledger).worker_id
    assert desk.run(record).attempt == 1


@pytest.mark.usefixtures("torch_worker")
def test_celery_reads_the_result_under_the_runs_id(desk):
    record = desk.submit()
    desk.wait(record, "succeeded", within_s=20)
    answer = desk.app.AsyncResult(record.run_ids[0]).get(timeout=5)
    assert answer["run_id"] == record.run_ids[0]


@pytest.mark.usefixtures("torch_worker")
def test_a_follower_that_joins_midway_sees_progress_and_the_end(desk):
    record = desk.submit(epochs=20_000)
    desk.wait(record, "leased", within_s=20)
    updates = list(follow(record, ledger=desk.ledger, client=desk.client, after="$"))
    assert any(isinstance(update, Progressed) for update in updates)
    last = [update for update in updates if isinstance(update, Changed)][-1]
    assert last.record.state == "succeeded"
    replayed = list(follow(record, ledger=desk.ledger, client=desk.client))
    assert any(isinstance(update, Progressed) and update.event.epoch == 20_000 for update in replayed)


@pytest.mark.usefixtures("torch_worker")
def test_the_end_is_noticed_at_once(desk, promptly):
    def late_s():
        record = desk.submit(epochs=2_000)
        for update in follow(record, ledger=desk.ledger, client=desk.client):
            seen_s = desk.ledger.now()
            if isinstance(update, Changed) and update.record.final:
                return seen_s - update.record.finished_s
        raise AssertionError("no end was told")

    promptly(late_s, within_s=0.25)


def test_the_parent_imports_no_framework_and_the_child_only_its_own(desk, torch_worker):
    def loaded(pid: int) -> str:
        with open(f"/proc/{pid}/maps") as maps:
            return maps.read()

    child = torch_worker.child_pid(desk.ledger)
    assert "libtorch" in loaded(child)
    assert "libtorch" not in loaded(torch_worker.pid)
    assert "tensorflow" not in loaded(child)


def test_the_child_is_reused(desk, torch_worker):
    before = torch_worker.child_pid(desk.ledger)
    for _ in range(3):
        desk.wait(desk.submit(), "succeeded", within_s=20)
    assert torch_worker.child_pid(desk.ledger) == before


def test_a_worker_says_who_it_is(desk, torch_worker):
    presence = torch_worker.presence(desk.ledger)
    assert presence.framework == "torch"
    plain = ("train.torch.cpu", "train.torch.any", f"train.torch.cpu@{presence.host}")
    environment = environment_key("torch", presence.version)
    assert presence.queues == plain + tuple(name.replace("torch", environment) for name in plain)
    assert "torch" in presence.versions
    assert presence.state == "idle"


@pytest.mark.usefixtures("torch_worker")
def test_a_framework_without_a_worker_is_refused_with_those_there_are(desk):
    with pytest.raises(NoWorkerError, match=r"jax.*torch [0-9.]+ on cpu"):
        desk.submit(frameworks=("jax",))
    with pytest.raises(NoWorkerError, match="torch on cuda"):
        desk.submit(device="cuda")


def test_a_run_may_wait_for_a_worker_that_comes_later(desk):
    record = desk.submit(frameworks=("jax",), queue_anyway=True)
    assert desk.run(record).state == "queued"
    assert desk.ledger.cancel(record.run_ids[0]) == "cancelled"


def test_a_wait_without_a_worker_gets_a_word(desk):
    record = desk.submit(frameworks=("jax",), queue_anyway=True)
    for update in follow(record, ledger=desk.ledger, client=desk.client):
        if hasattr(update, "text"):
            assert "train.jax.any" in update.text
            desk.ledger.cancel(record.run_ids[0])
            return
    pytest.fail("no word")


@pytest.mark.usefixtures("torch_worker")
def test_the_same_key_gives_the_same_experiment(desk):
    first = desk.submit(key="weekly-1")
    second = desk.submit(key="weekly-1")
    other = desk.submit()
    assert second.experiment_id == first.experiment_id
    assert second.run_ids == first.run_ids
    assert other.experiment_id != first.experiment_id


@pytest.mark.usefixtures("torch_worker")
def test_experiments_are_listed_newest_first_and_deleted(desk):
    old, new = desk.submit(), desk.submit()
    for record in (old, new):
        desk.wait(record, "succeeded", within_s=20)
    listed = [record.experiment_id for record in desk.ledger.experiments(limit=2)]
    assert listed == [new.experiment_id, old.experiment_id]
    desk.ledger.delete(old.experiment_id)
    assert desk.ledger.experiment(old.experiment_id) is None
    assert not desk.client.exists(result_key(old.run_ids[0]))
    with pytest.raises(UsageError, match="no experiment"):
        desk.ledger.delete(old.experiment_id)


@pytest.mark.usefixtures("torch_worker")
def test_a_running_experiment_is_not_deleted(desk):
    record = desk.submit(epochs=1_000_000)
    desk.wait(record, "leased", within_s=20)
    with pytest.raises(UsageError, match="cancel it first"):
        desk.ledger.delete(record.experiment_id)
    desk.ledger.cancel(record.run_ids[0])
    desk.wait(record, "cancelled", within_s=5)


@pytest.mark.usefixtures("torch_worker")
def test_a_stored_result_is_kept_for_the_retention(desk):
    record = desk.submit()
    desk.wait(record, "succeeded", within_s=20)
    assert 3500 < desk.client.ttl(result_key(record.run_ids[0])) <= 3600


@pytest.mark.parametrize(
    ("stored", "said"),
    [
        (b"\xff\xfe", "damaged"),
        (b'{"status": "SUCCESS", "result": {"schema_version": 99}}', "schema_version = 99"),
        (b"", "gone"),
    ],
)
@pytest.mark.usefixtures("torch_worker")
def test_a_result_that_cannot_be_read_is_told(desk, stored, said):
    record = desk.submit()
    desk.wait(record, "succeeded", within_s=20)
    desk.client.set(result_key(record.run_ids[0]), stored) if stored else desk.client.delete(
        result_key(record.run_ids[0])
    )
    with pytest.raises(ResultError, match=said):
        collect(record, ledger=desk.ledger)


def test_runs_are_sent_quickly(desk, promptly):
    """At least 300 a second from one producer, records and messages."""
    from likewise.producer.runs.submit import Submission, enqueue, new_id

    template = desk.submit(frameworks=("jax",), queue_anyway=True)
    run = desk.ledger.run(template.run_ids[0])

    def took_s():
        experiment_id = new_id()
        runs = [
            run.model_copy(update={"run_id": new_id(), "experiment_id": experiment_id}) for _ in range(600)
        ]
        record = template.model_copy(
            update={"experiment_id": experiment_id, "run_ids": tuple(one.run_id for one in runs)}
        )
        begin = time.perf_counter()
        enqueue(desk, Submission(record=record, runs=runs, queue="train.jax.bulk"))
        took_s = time.perf_counter() - begin
        assert desk.client.llen(messages_key(lane_of("train.jax.bulk", "normal"))) == 600
        assert len(desk.ledger.records(record.run_ids)) == 600
        assert desk.ledger.run(runs[-1].run_id) == runs[-1]
        for one in runs:
            desk.ledger.cancel(one.run_id)
        desk.client.delete(*map(messages_key, lanes_of("train.jax.bulk")))
        return took_s

    promptly(took_s, within_s=2.0)


@pytest.mark.usefixtures("torch_worker")
def test_no_subscription_is_left_behind(desk):
    for _ in range(5):
        desk.wait(desk.submit(), "succeeded", within_s=20)
    assert desk.client.pubsub_channels() == []


def test_a_final_run_frees_the_child(desk, torch_worker):
    desk.wait(desk.submit(), "succeeded", within_s=20)
    worker_id = torch_worker.presence(desk.ledger).worker_id
    assert not desk.client.hget(child_key(worker_id), "run_id")
