"""Workers killed again and again while a queue of short runs is full: none is lost, none ends twice.

A single long run never meets the moment between a message's pop and its claim; a full queue does.
LIKEWISE_TEST_KILLS sets the number of kills (the bar of 200 takes a quarter of an hour).
"""

from __future__ import annotations

import os
import random

from likewise.producer.runs.submit import Submission, enqueue, new_id
from likewise.shared.names import result_key

KILLS = int(os.environ.get("LIKEWISE_TEST_KILLS", "4"))
RUNS_A_KILL = 60


def test_no_run_is_lost_when_workers_are_killed_on_a_full_queue(start_stack, until):
    stack = start_stack()
    desk = stack.desk
    template = stack.submit(epochs=1)
    run = desk.ledger.run(template.run_ids[0])
    ids: list[str] = []

    def fill_the_queue() -> None:
        experiment_id = new_id()
        runs = [
            run.model_copy(update={"run_id": new_id(), "experiment_id": experiment_id})
            for _ in range(2 * RUNS_A_KILL)
        ]
        new = tuple(one.run_id for one in runs)
        record = template.model_copy(update={"experiment_id": experiment_id, "run_ids": new})
        enqueue(desk, Submission(record=record, runs=runs))
        ids.extend(new)

    def ended() -> int:
        return sum(one.final for one in desk.ledger.records(ids))

    chance = random.Random(7)
    amid = 0
    for _ in range(KILLS):
        fill_the_queue()
        worker = stack.worker()
        goal = ended() + chance.randint(1, RUNS_A_KILL)
        until(lambda goal=goal: ended() >= goal, within_s=60, what=f"{goal} runs have ended")
        worker.kill_group()
        amid += ended() < len(ids)
    assert amid > KILLS / 2, "most kills found an empty queue"
    stack.worker()
    until(lambda: ended() == len(ids), within_s=120, what="every run has ended")
    states = {one.state for one in desk.ledger.records(ids)}
    assert states == {"succeeded"}
    assert desk.client.exists(*map(result_key, ids)) == len(ids)
