"""Workers killed again and again while a queue of short runs is full: none is lost, none ends twice.

A single long run never meets the moment between a message's pop and its claim; a full queue does.
LIKEWISE_TEST_KILLS sets the number of kills; `make kills` makes 500, and writes them into docs/faults.md.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from typing import Any

import pytest

from likewise.producer.runs.submit import Submission, enqueue, new_id
from likewise.shared.ledger.records import FINAL, read_progress
from likewise.shared.names import result_key

KILLS = int(os.environ.get("LIKEWISE_TEST_KILLS", "4"))
RUNS_A_KILL = 60
WORKERS = 2
"""Workers at a time: the one that has served for longest is killed, and another one starts."""


class Queue:
    """Runs of one update each, and what has become of them."""

    def __init__(self, stack: Any) -> None:
        self._desk = stack.desk
        self._template = stack.submit(epochs=1)
        self._run = self._desk.ledger.run(self._template.run_ids[0])
        self._open: dict[str, str] = {}
        """Those that have not ended, each with its experiment."""
        self._left: Counter[str] = Counter()
        self.runs = self.ended = self.taken_again = 0
        self.wrong: list[str] = []
        """What is lost, doubled, or ended as it should not."""

    @property
    def waiting(self) -> int:
        """Return how many have not ended, as they were last looked at."""
        return len(self._open)

    def fill(self) -> None:
        """Submit more, twice as many as end before the next kill."""
        experiment_id = new_id()
        changes = [{"run_id": new_id(), "experiment_id": experiment_id} for _ in range(2 * RUNS_A_KILL)]
        runs = [self._run.model_copy(update=one) for one in changes]
        ids = tuple(one.run_id for one in runs)
        record = self._template.model_copy(update={"experiment_id": experiment_id, "run_ids": ids})
        enqueue(self._desk, Submission(record=record, runs=runs))
        self._open |= dict.fromkeys(ids, experiment_id)
        self._left[experiment_id] = len(ids)
        self.runs += len(ids)

    def look(self) -> int:
        """Account for those that have ended meanwhile, and return how many have ended in all."""
        records = self._desk.ledger.records(list(self._open))
        if len(records) != len(self._open):
            self.wrong.append(f"{len(self._open) - len(records)} records are gone")
        for one in records:
            if not one.final:
                continue
            self.ended += 1
            self.taken_again += one.attempt > 1
            if one.state != "succeeded" or not self._desk.client.exists(result_key(one.run_id)):
                self.wrong.append(f"{one.run_id} is {one.state}, or has no result")
            experiment_id = self._open.pop(one.run_id)
            self._left[experiment_id] -= 1
            if not self._left[experiment_id]:
                self._look_for_second_ends(experiment_id)
        return self.ended

    def _look_for_second_ends(self, experiment_id: str) -> None:
        after, ends = "0", Counter[str]()
        while entries := read_progress(self._desk.client, experiment_id, after=after):
            after = entries[-1].position
            ends.update(str(one.changed_run_id) for one in entries if one.state in FINAL)
        self.wrong += [f"{run_id} has ended {count} times" for run_id, count in ends.items() if count != 1]
        if len(ends) != 2 * RUNS_A_KILL:
            self.wrong.append(f"{len(ends)} of {2 * RUNS_A_KILL} runs of {experiment_id} tell of their end")


@pytest.mark.timeout(300 + 30 * KILLS)
def test_no_run_is_lost_when_workers_are_killed_on_a_full_queue(
    start_stack: Any, until: Any, record: Any
) -> None:
    stack = start_stack()
    queue = Queue(stack)
    begin = time.monotonic()
    chance = random.Random(7)
    workers = [stack.worker() for _ in range(WORKERS)]
    amid = 0
    for _ in range(KILLS):
        if queue.waiting < 2 * RUNS_A_KILL:
            queue.fill()
        goal = queue.look() + chance.randint(1, RUNS_A_KILL)
        until(lambda goal=goal: queue.look() >= goal, within_s=180, what=f"{goal} runs have ended")
        killed = workers.pop(0)
        until(
            lambda killed=killed: killed.presence(stack.desk.ledger), within_s=60, what="the next one serves"
        )
        killed.kill_group()
        assert killed.process.returncode == -9
        queue.look()
        amid += queue.waiting > 0
        workers.append(stack.worker())
    assert amid > KILLS / 2, "most kills found an empty queue"
    until(lambda: queue.look() == queue.runs, within_s=180, what="every run has ended")
    assert queue.wrong == []
    record(
        "kills",
        kills=KILLS,
        amid=amid,
        runs=queue.runs,
        taken_again=queue.taken_again,
        lost=len(queue.wrong),
        minutes=round((time.monotonic() - begin) / 60, 1),
    )
