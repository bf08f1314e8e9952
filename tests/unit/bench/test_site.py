"""Timed runs go to one host that has every framework."""

from __future__ import annotations

from typing import Any

import pytest

from producer.bench.site import sites_for
from shared.errors import NoWorkerError, UsageError
from shared.ledger.records import WorkerPresence
from shared.names import host_queue

BOTH: dict[str, Any] = {"tensorflow": "auto", "torch": "auto"}


def worker(framework: str, host: str, *, device: Any = "cpu", busy: bool = False) -> WorkerPresence:
    queues = (f"train.{framework}.{device}", f"train.{framework}.any", host_queue(framework, device, host))
    return WorkerPresence(
        worker_id=f"{framework}-{host}-{device}", framework=framework, device=device, host=host,
        queues=queues, pid=1, versions={}, threads=1, state="busy" if busy else "idle", started_s=0, seen_s=0,
    )  # fmt: skip


RACK = [
    worker("torch", "a"),
    worker("tensorflow", "b", busy=True),
    worker("torch", "b"),
    worker("torch", "c"),
    worker("tensorflow", "c"),
]


def test_the_host_that_has_every_framework_is_taken_and_of_several_the_quietest() -> None:
    sites = sites_for(BOTH, RACK)
    assert {name: site.queue for name, site in sites.items()} == {
        "tensorflow": "train.tensorflow.cpu@c",
        "torch": "train.torch.cpu@c",
    }


def test_the_host_asked_for_is_taken() -> None:
    assert {site.host for site in sites_for(BOTH, RACK, host="b").values()} == {"b"}


def test_a_host_without_a_worker_is_refused_with_those_there_are() -> None:
    with pytest.raises(UsageError, match="--host is 'd'; live workers are on a, b and c"):
        sites_for(BOTH, RACK, host="d")


def test_a_host_that_lacks_a_framework_is_refused_with_what_it_has() -> None:
    with pytest.raises(NoWorkerError, match="host a has no worker for tensorflow; it has torch on cpu"):
        sites_for(BOTH, RACK, host="a")


def test_a_framework_without_any_worker_is_refused() -> None:
    with pytest.raises(NoWorkerError, match="no live worker serves tensorflow"):
        sites_for(BOTH, RACK[:1])


def test_where_no_host_has_all_each_framework_keeps_to_one() -> None:
    sites = sites_for(BOTH, [RACK[0], RACK[1], RACK[3]])
    assert (sites["tensorflow"].host, sites["torch"].host) == ("b", "a")


def test_one_device_is_taken_for_all_and_the_gpu_where_all_have_one() -> None:
    gpus = [worker("torch", "c", device="cuda")]
    assert {one.device for one in sites_for(BOTH, RACK + gpus).values()} == {"cpu"}
    gpus.append(worker("tensorflow", "c", device="cuda"))
    assert {one.device for one in sites_for(BOTH, RACK + gpus).values()} == {"cuda"}
    on_cpu = {**BOTH, "torch": "cpu"}
    assert {one.device for one in sites_for(on_cpu, RACK + gpus).values()} == {"cpu"}


def test_a_device_asked_for_is_kept_to() -> None:
    wanted = {**BOTH, "torch": "cuda"}
    with pytest.raises(NoWorkerError, match="no live worker serves torch on cuda"):
        sites_for(wanted, RACK)
    sites = sites_for(wanted, [*RACK, worker("torch", "c", device="cuda")])
    assert (sites["tensorflow"].device, sites["torch"].device) == ("cpu", "cuda")
