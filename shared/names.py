"""Every name that both sides must spell alike: frameworks' naming rule, tasks, queues, Redis keys.

Nothing here lists the frameworks: a framework is whatever folder `worker/adapters/<name>_adapter`
exists for, and the producer learns the live ones from the workers' presence.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Literal, cast

TRAIN_TASK = "likewise.train"

PREFIX = "likewise:"
"""Every key of ours begins with this, so that access rules can name it."""

EXPERIMENTS = PREFIX + "experiments"
"""Sorted set: experiment id scored by submission time (server clock, seconds)."""

ACTIVITY = PREFIX + "activity"
"""Server time of the last command or run, so that an idle local stack can stop."""

SUBMITTING = PREFIX + "submitting"
"""Sorted set: ids of experiments whose arrays are being stored before their records, by when that began."""

NOTHING = PREFIX + "nothing"
"""A key that there never is: a change there changes nothing, and is refused as any other is."""

DEAD_LETTERS = PREFIX + "dead-letters"
"""Capped stream of messages that are not ours, each with the reason."""


def environment_name(framework: str, version: str | None = None, requirements: Collection[str] = ()) -> str:
    """Return how a user writes the environment that a side asks for.

    That is `torch`, `torch==2.13.0`, or with further packages `tensorflow==2.21.0+keras==3.14.*`.
    """
    return "+".join([framework if version is None else f"{framework}=={version}", *requirements])


def parts_of_environment(environment: str) -> tuple[str, str | None, tuple[str, ...]]:
    """Return what `environment_name` was made of: the framework, its version, and further packages."""
    first, *requirements = environment.split("+")
    framework, _, version = first.partition("==")
    return framework, version or None, tuple(requirements)


def package_name(requirement: str) -> str:
    """Return the name that a requirement begins with, as package indexes compare names."""
    return re.sub(r"[-_.]+", "-", re.split(r"[^\w.-]", requirement.strip(), maxsplit=1)[0]).lower()


def environment_key(framework: str, version: str | None = None, requirements: Collection[str] = ()) -> str:
    """Return how queues name the environments that a run may train in.

    `torch` stands for every environment of that framework, `torch==2.13` for those with that version.
    Versions that are equal by PEP 440, such as 2.13, 2.13.0 and 2.13.0+cpu, give one key, and so do
    requirements in any order.
    """
    if version is not None:
        version = re.sub(r"([.]0)+$", "", version.partition("+")[0])
    return environment_name(framework, version, sorted(one.lower().replace("_", "-") for one in requirements))


DeviceKind = Literal["cpu", "cuda", "mps"]
"""What a worker trains on: NVIDIA's GPUs are `cuda`, Apple's `mps`."""


def kind_of(device: str) -> DeviceKind:
    """Return the kind of a device that may have a number: `cuda:1` is of the kind `cuda`."""
    return cast(DeviceKind, device.partition(":")[0])


def train_queue(environment: str, device: str) -> str:
    """Return the queue of an environment's runs, by its key.

    `device` is `cpu`, `cuda`, `cuda:1`, `mps` or `any`.
    """
    return f"train.{environment}.{device}"


def requirements_of_queue(queue: str) -> tuple[str, ...]:
    """Return the packages in versions of their own that a queue's runs ask for."""
    environment = queue.partition("@")[0].removeprefix("train.").rpartition(".")[0]
    return parts_of_environment(environment)[2]


def host_queue(environment: str, device: str, host: str) -> str:
    """Return the queue of runs that only that host's workers may train: timed ones, which are compared."""
    return f"{train_queue(environment, device)}@{host}"


Priority = Literal["high", "normal", "low"]
"""Runs of a higher priority are taken first, and those of one priority in the order of their submission."""

LANES: dict[Priority, str] = {"high": "", "normal": "\x06\x163", "low": "\x06\x166"}
"""A queue has a list of messages, a lane, for each priority: its name ends so. Kombu names a queue's lists
so, and a worker's one wait for a message names them in this order."""


def lane_of(queue: str, priority: Priority) -> str:
    """Return the list of a queue that takes the messages of a priority."""
    return queue + LANES[priority]


def lanes_of(queue: str) -> tuple[str, ...]:
    """Return the lists of a queue, the one that is served first before the others."""
    return tuple(queue + end for end in LANES.values())


def priority_of(lane: str) -> Priority:
    """Return the priority whose runs wait in a lane."""
    return next((name for name, end in LANES.items() if end and lane.endswith(end)), "high")


def messages_key(lane: str) -> str:
    """List: the messages of a lane, which Kombu names so under a prefix of ours."""
    return f"{PREFIX}{lane}"


def experiment_key(experiment_id: str) -> str:
    """Hash: the experiment's document, its run ids, its submission time, and what belongs to it."""
    return f"{PREFIX}experiment:{experiment_id}"


def findings_key(experiment_id: str) -> str:
    """Hash: what was found of the experiment and cannot be computed anew, by kind, such as a bench."""
    return f"{experiment_key(experiment_id)}:findings"


FINDING = "finding:"
"""Begins the fields of an experiment's hash that say which findings there are, and whether they are whole."""

RELATED = "related:"
"""Begins the fields of an experiment's hash that name experiments which belong to it."""


def run_key(run_id: str) -> str:
    """Hash: the run's record (see `shared.ledger.ledger`)."""
    return f"{PREFIX}run:{run_id}"


def questions_key(run_id: str) -> str:
    """List: what a producer asks of a program that a worker hosts, in pieces of bytes, the newest first."""
    return f"{run_key(run_id)}:questions"


def answers_key(run_id: str) -> str:
    """List: what the program answers, in the same form."""
    return f"{run_key(run_id)}:answers"


def asker_key(run_id: str) -> str:
    """String with a short time to live: the producer that asks is there."""
    return f"{run_key(run_id)}:asker"


def progress_key(experiment_id: str) -> str:
    """Capped stream of the experiment's progress events."""
    return f"{PREFIX}progress:{experiment_id}"


WORKERS = PREFIX + "workers"
"""Set: ids of the workers that have announced themselves, live or lately gone."""


def worker_key(worker_id: str) -> str:
    """String with a time to live: a live worker's presence document."""
    return f"{PREFIX}worker:{worker_id}"


def blob_key(sha256: str, chunk: int) -> str:
    """String: one chunk of a blob's bytes."""
    return f"{PREFIX}blob:{sha256}:{chunk}"


def wanted_key(sha256: str) -> str:
    """Sorted set: who wants a blob for how long.

    Each experiment that has not ended and refers to it is a member, scored by infinity. `until` is scored by
    when those that have ended want it no more, and `stored` by when it was last stored (server clock).
    """
    return f"{PREFIX}blob:{sha256}:wanted"


def submission_key(given_key: str) -> str:
    """String: the experiment id that a caller's idempotency key stands for."""
    return f"{PREFIX}submission:{given_key}"


LEASED = PREFIX + "leased"
"""Sorted set: ids of runs that a worker holds, scored by the end of the lease (server clock)."""


def queued_key(lane: str) -> str:
    """Sorted set: ids of runs waiting in a lane, scored by when a message was last sent for them."""
    return f"{PREFIX}queued:{lane}"


def reconciler_key(subject: str) -> str:
    """String with a short time to live: the worker that looks for lost runs there just now.

    The subject is a queue, or `leases`. One lock for all would let workers that only serve other queues
    keep a queue's own from ever looking, since all look at the same rate.
    """
    return f"{PREFIX}reconciler:{subject}"


def child_key(worker_id: str) -> str:
    """Hash: the process id of a worker's child, and the run and fence that it holds, for others to read."""
    return f"{PREFIX}child:{worker_id}"


CHECKPOINT_CHUNK = PREFIX + "checkpoint:%s:%d:%s:%d"
"""String: one chunk of a run's checkpoint, by run id, fence of the claim that wrote it, SHA-256 of the whole,
and number; to be filled in by Python and by Lua."""


def host_key(host: str) -> str:
    """String with a short time to live: the worker that has a machine to itself for a timed run."""
    return f"{PREFIX}host:{host}"


def result_key(run_id: str) -> str:
    """String: the run's result, under the key that Celery's Redis result backend gives its id."""
    return f"celery-task-meta-{run_id}"
