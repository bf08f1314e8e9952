"""Runs go to any live worker that offers what they need, timed ones to one host that has every side."""

from __future__ import annotations

from typing import Any

import pytest

from likewise.producer.runs.routing import Need, common_device, refuse_unserved, sites_for, threads_alone
from likewise.shared.errors import NoWorkerError, UsageError
from likewise.shared.gpus import Gpu
from likewise.shared.ledger.records import WorkerPresence
from likewise.shared.names import environment_key, train_queue


def need(framework: str, *, device: Any = "auto", version: str | None = None, label: str = "") -> Need:
    return Need(label=label or framework, framework=framework, device=device, version=version)


def worker(
    framework: str, host: str, *, device: Any = "cpu", version: str | None = None, busy: bool = False
) -> WorkerPresence:
    device, _, number = device.partition(":")
    gpu = Gpu(
        index=int(number or 0), uuid=f"GPU-{number}", name="T4", driver="580.1", compute_capability="7.5"
    )
    return WorkerPresence(
        worker_id=f"{framework}-{host}-{device}{number}", framework=framework, device=device, host=host,
        gpu=gpu if number else None,
        queues=tuple(train_queue(environment_key(framework, one), device) for one in {version, None}), pid=1,
        versions={framework: version} if version else {}, threads=1,
        state="busy" if busy else "idle", started_s=0, seen_s=0,
    )  # fmt: skip


BOTH = [need("tensorflow"), need("torch")]
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


def test_runs_of_one_worker_get_all_cores_unless_another_of_its_host_is_busy() -> None:
    own = worker("torch", "a").model_copy(update={"threads_alone": 8})
    beside = worker("tensorflow", "a")
    twice = [need("torch"), need("torch")]
    assert threads_alone(twice, [own, beside]) == 8
    assert threads_alone(twice, [own, beside.model_copy(update={"state": "busy"})]) is None
    elsewhere = worker("tensorflow", "b").model_copy(update={"state": "busy"})
    assert threads_alone(twice, [own, elsewhere]) == 8
    assert threads_alone(BOTH, [own, beside]) is None, "they train at once"
    assert threads_alone(twice, [own, worker("torch", "b")]) is None, "so may these"
    assert threads_alone(twice, [beside]) is None, "they wait for a worker"


def test_where_no_host_has_all_each_framework_keeps_to_one() -> None:
    sites = sites_for(BOTH, [RACK[0], RACK[1], RACK[3]])
    assert (sites["tensorflow"].host, sites["torch"].host) == ("b", "a")


def test_one_device_is_taken_for_all_and_the_gpu_where_all_have_one() -> None:
    gpus = [worker("torch", "c", device="cuda")]
    assert {one.device for one in sites_for(BOTH, RACK + gpus).values()} == {"cpu"}
    gpus.append(worker("tensorflow", "c", device="cuda"))
    assert {one.device for one in sites_for(BOTH, RACK + gpus).values()} == {"cuda"}
    on_cpu = [need("tensorflow"), need("torch", device="cpu")]
    assert {one.device for one in sites_for(on_cpu, RACK + gpus).values()} == {"cpu"}


def test_a_device_asked_for_is_kept_to() -> None:
    wanted = [need("tensorflow"), need("torch", device="cuda")]
    with pytest.raises(NoWorkerError, match="no live worker serves torch on cuda"):
        sites_for(wanted, RACK)
    sites = sites_for(wanted, [*RACK, worker("torch", "c", device="cuda")])
    assert (sites["tensorflow"].device, sites["torch"].device) == ("cpu", "cuda")


VERSIONS = [
    worker("torch", "a", version="2.12.1+cpu"),
    worker("torch", "b", version="2.13.0+cu130", device="cuda"),
    worker("torch", "c", version="2.13.1"),
    worker("tensorflow", "c", version="2.21.0"),
]


@pytest.mark.parametrize(
    ("version", "device", "hosts"),
    [
        (None, "auto", "abc"),
        ("2.13.*", "auto", "bc"),
        ("2.13", "auto", "b"),
        ("2.13.*", "cpu", "c"),
        ("2.12.1", "auto", "a"),
        ("2.12.1", "cuda", ""),
        ("2.1.*", "auto", ""),
    ],
)
def test_workers_of_one_framework_are_told_apart_by_version_and_device(version, device, hosts) -> None:
    wanted = need("torch", version=version, device=device)
    assert "".join(one.host for one in VERSIONS if wanted.met_by(one)) == hosts


def test_a_version_whose_queue_a_worker_does_not_serve_is_not_offered() -> None:
    deaf = VERSIONS[0].model_copy(update={"queues": ("train.torch.cpu",)})
    assert not need("torch", version="2.12.1").met_by(deaf)
    assert need("torch").met_by(deaf)


def test_what_no_worker_offers_is_refused_with_what_those_that_live_offer() -> None:
    wanted = [need("torch", version="2.11.0", label="old"), need("torch", version="2.13.*", label="new")]
    with pytest.raises(NoWorkerError) as refused:
        refuse_unserved(wanted, VERSIONS)
    assert str(refused.value).startswith(
        "no live worker serves old (torch 2.11.0); live workers: torch 2.12.1 on cpu (a), "
        "torch 2.13.0 on cuda (b), torch 2.13.1 on cpu (c), tensorflow 2.21.0 on cpu (c)."
    )


def test_a_pattern_is_settled_on_the_newest_version_that_is_offered() -> None:
    assert need("torch", version="2.*").settled(VERSIONS).queue() == "train.torch==2.13.1.any"
    assert need("torch", version="2.*", device="cuda").settled(VERSIONS).queue() == "train.torch==2.13.cuda"
    assert need("torch").settled(VERSIONS).queue() == "train.torch.any"


def test_with_nobody_to_settle_it_a_version_stands_and_a_pattern_is_refused() -> None:
    assert need("torch", version="2.11.0").settled([]).queue() == "train.torch==2.11.any"
    with pytest.raises(
        NoWorkerError, match=r"serves torch 2\.11\.\*; to wait for one, name the version in full"
    ):
        need("torch", version="2.11.*").settled([])


@pytest.mark.parametrize("version", ["2.13", "2.13.0", "2.13.0+cpu"])
def test_versions_that_are_equal_have_one_queue(version) -> None:
    assert environment_key("torch", version) == "torch==2.13"
    assert environment_key("torch", "2.10.0") == "torch==2.10"


def test_timed_runs_of_two_versions_go_to_the_queues_of_those_versions() -> None:
    rack = [worker("torch", "a", version="2.12.1"), worker("torch", "a", version="2.13.1")]
    sides = [need("torch", version="2.12.*", label="old"), need("torch", version="2.13.*", label="new")]
    assert {label: site.queue for label, site in sites_for(sides, rack).items()} == {
        "old": "train.torch==2.12.1.cpu@a",
        "new": "train.torch==2.13.1.cpu@a",
    }


GPUS = [
    worker(framework, "g", device=f"cuda:{number}")
    for framework in ("torch", "tensorflow")
    for number in (0, 1)
]


def test_a_gpu_is_asked_for_by_its_number() -> None:
    wanted = need("torch", device="cuda:1")
    assert [one.worker_id for one in GPUS if wanted.met_by(one)] == ["torch-g-cuda1"]
    assert wanted.queue() == "train.torch.cuda:1"
    with pytest.raises(NoWorkerError, match="no live worker serves torch on cuda:2; live workers: torch"):
        refuse_unserved([need("torch", device="cuda:2")], GPUS)


def test_timed_runs_of_all_sides_go_to_one_and_the_same_gpu() -> None:
    only_second = [one for one in GPUS if one.worker_id != "tensorflow-g-cuda0"]
    assert {site.device for site in sites_for(BOTH, only_second).values()} == {"cuda:1"}
    cpu_and_gpu = [need("torch", device="cpu", label="here"), need("torch", device="cuda", label="there")]
    sites = sites_for(cpu_and_gpu, [*GPUS, worker("torch", "g")])
    assert {name: site.queue for name, site in sites.items()} == {
        "here": "train.torch.cpu@g",
        "there": "train.torch.cuda:0@g",
    }


def test_sides_that_leave_the_device_open_take_the_fastest_that_all_of_them_can_have() -> None:
    torch_alone = [*RACK, GPUS[0]]
    assert common_device(BOTH, RACK) is None  # there is no choice
    assert common_device(BOTH, torch_alone) == "cpu"
    assert common_device(BOTH, RACK + GPUS) == "cuda"
    assert common_device([need("torch", device="cpu"), need("tensorflow")], RACK + GPUS) == "cuda"
