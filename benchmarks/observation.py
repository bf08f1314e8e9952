"""What it costs to be observed: progress, cancellation and checkpoints on, against all of them off.

    python benchmarks/observation.py --framework torch [--repeats 9]       # in that framework's environment

Trains the same job in turns, in one process, with a redis-server of its own. On is what a worker does: its
link to Redis sends progress and looks for a wish to cancel, and checkpoints are kept, here thirty
times as often as by default. Off is the same runner with nobody there; both look up between blocks of at
most a quarter second. Prints a JSON document: `ratio` is the median over the turns of on to off, at most 1.05
is wanted; `cpu_ratio` is that of CPU time, which other programs disturb less.
"""

from __future__ import annotations

import json
import secrets
import statistics
import time
from contextlib import closing

import numpy as np
import redis
from adapter_side import started_adapter
from numpy.typing import NDArray
from processes import private_redis

from likewise.shared.connection import connect
from likewise.shared.job import Experiment, Job
from likewise.shared.ledger.checkpoints import CheckpointStore
from likewise.shared.ledger.leases import Claim, Leases
from likewise.shared.ledger.ledger import Ledger
from likewise.shared.ledger.records import ExperimentRecord
from likewise.shared.names import progress_key
from likewise.shared.results.run_result import RunResult
from likewise.shared.run import Dataset, Run, Samples
from likewise.shared.store.blobs import BlobStore
from likewise.worker.adapters.base import FrameworkAdapter
from likewise.worker.service.child_page import ChildPage
from likewise.worker.service.claimed_run import RunCheckpoints, RunLink
from likewise.worker.training.checkpoints import Checkpoint
from likewise.worker.training.run_trainer import RunServices
from likewise.worker.training.runner import Attempt, train_run

TARGET = 1.05
CHECKPOINT_S = 1.0
TRAINING_S = 3.0
"""One training takes about so long."""
JOB = {
    "data": {"type": "builtin", "name": "digits"},
    "model": {
        "layers": [{"type": "dense", "units": 128, "activation": "relu"}, {"type": "dense", "units": 10}]
    },
    "loss": {"type": "categorical_crossentropy", "from_logits": True},
    "optimizer": {"type": "adam", "learning_rate": 0.001},
    "metrics": [],
}
SAMPLES, FEATURES, CLASSES, BATCH_SIZE = 1_797, 64, 10, 32
"""The digits data set has these sizes; what the numbers are makes no difference to the time."""


class CountedCheckpoints(RunCheckpoints):
    """Says how many were kept."""

    count = 0

    def keep(self, checkpoint: Checkpoint) -> None:
        self.count += 1
        super().keep(checkpoint)


class Side:
    """A worker's child without its parent."""

    def __init__(self, client: redis.Redis, adapter: FrameworkAdapter) -> None:
        self._client = client
        self._adapter = adapter
        self._ledger = Ledger(client, retention_s=3600)
        self._blobs = BlobStore(client, url=None, redis_limit_bytes=2**26, retention_s=3600)
        self._leases = Leases(client, worker_id="side", host="side", lease_s=600)
        self._link = RunLink(client, ChildPage.create())
        self._link.start()
        self.checkpoints: list[int] = []
        self.events: list[int] = []

    def run(self, *, epochs: int) -> Run:
        """The job on random samples."""
        draw = np.random.default_rng(0)
        samples = Samples(
            x=self._blobs.put(draw.random((SAMPLES, FEATURES))),
            y=self._blobs.put(draw.integers(0, CLASSES, SAMPLES)),
        )
        training = {"epochs": epochs, "batch_size": BATCH_SIZE, "shuffle": True}
        return Run(
            run_id=secrets.token_hex(8),
            experiment_id=secrets.token_hex(8),
            framework=self._adapter.name,
            job=Job.model_validate_json(json.dumps({**JOB, "training": training})),
            seeds=(0,),
            dataset=Dataset(task="multiclass", train=samples, classes=CLASSES),
        )

    def alone(self, run: Run) -> NDArray[np.float64]:
        """What a run takes that nobody watches."""
        begin = now()
        _checked(self._train(run))
        return now() - begin

    def observed(self, run: Run) -> NDArray[np.float64]:
        """What a run takes as a worker trains it."""
        claim = self._claim(run)
        begin = now()
        checkpoints = CountedCheckpoints(
            CheckpointStore(self._client, url=None, redis_limit_bytes=2**26),
            claim,
            wanted=self._link.worker_stopping,
            before=lambda: None,
        )
        with self._link.open(claim), closing(checkpoints):
            result = self._train(run, link=self._link, checkpoints=checkpoints)
        taken = now() - begin
        _checked(result)
        self.checkpoints.append(checkpoints.count)
        self.events.append(self._client.xlen(progress_key(run.experiment_id)))
        return taken

    def _claim(self, run: Run) -> Claim:
        experiment = Experiment.model_validate_json(
            json.dumps({**JOB, "training": {"epochs": 1}, "frameworks": [run.framework]})
        )
        record = ExperimentRecord(
            experiment_id=run.experiment_id, submitted_s=0.0, experiment=experiment, run_ids=(run.run_id,)
        )
        self._ledger.add(record, [(run, "nobody")])
        claim = self._leases.claim(run.run_id, pid=1)
        if not isinstance(claim, Claim):
            raise TypeError(f"not claimed: {claim.state}")
        return claim

    def _train(
        self, run: Run, *, link: RunLink | None = None, checkpoints: RunCheckpoints | None = None
    ) -> RunResult:
        return train_run(
            run,
            adapter=self._adapter,
            attempt=Attempt(worker="side", host="side", threads=1),
            services=RunServices(
                load=self._blobs.get,
                store=self._blobs.put,
                report=link.send if link else lambda _: None,
                stop_requested=link.stop_requested if link else lambda: False,
                checkpoints=checkpoints,
                checkpoint_s=CHECKPOINT_S,
            ),
        )


def now() -> NDArray[np.float64]:
    """Seconds of the clock, and of the process's CPU time in all threads."""
    return np.array([time.perf_counter(), time.process_time()])


def main() -> None:
    """Measure what observing costs and print it."""
    adapter, repeats = started_adapter(__doc__, repeats=9)
    with private_redis() as url, connect(url) as client:
        side = Side(client, adapter)
        side.alone(side.run(epochs=10))  # compiles
        epochs = max(10, int(10 * TRAINING_S / side.alone(side.run(epochs=10))[0]))
        on: list[NDArray[np.float64]] = []
        off: list[NDArray[np.float64]] = []
        for turn in range(repeats):
            for measured, train in ((on, side.observed), (off, side.alone))[:: 1 if turn % 2 else -1]:
                measured.append(train(side.run(epochs=epochs)))
    ratio, cpu_ratio = np.median(np.array(on) / np.array(off), axis=0)
    print(
        json.dumps(
            {
                "what": "Progress and checkpoints on against off",
                "framework": adapter.name,
                "epochs": epochs,
                "on_s": np.median(on, axis=0)[0],
                "off_s": np.median(off, axis=0)[0],
                "ratio": ratio,
                "cpu_ratio": cpu_ratio,
                "target": f"at most {TARGET}",
                "met": "yes" if ratio <= TARGET else "no",
                "checkpoints_a_training": statistics.median(side.checkpoints),
                "events_a_training": statistics.median(side.events),
            }
        )
    )


def _checked(result: RunResult) -> None:
    if result.status != "succeeded" or any("could not" in note for note in result.notes):
        raise ValueError(f"{result.failure} {result.notes}")


if __name__ == "__main__":
    main()
