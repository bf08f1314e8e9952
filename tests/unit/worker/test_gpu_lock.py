"""Workers share out a host's GPUs. The list of devices is made up; locks and processes are real."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from likewise.shared.errors import ServiceError, UsageError
from likewise.shared.gpus import Gpu, gpus_here, too_old
from likewise.worker.service.gpu_lock import devices_served, take_gpu

WORKER = """
    import importlib, os, sys
    from pathlib import Path
    from likewise.shared.settings import Settings
    from likewise.worker.service.gpu_lock import own_gpu
    settings = Settings(device=sys.argv[2], cache_dir=Path(sys.argv[3]))
    with own_gpu(settings, sys.argv[1], environ=os.environ) as gpu:
        seen = os.environ["CUDA_VISIBLE_DEVICES"], os.environ["CUDA_DEVICE_ORDER"]
        print(gpu.index, *seen, flush=True)
        sys.stdin.read()
"""


@pytest.fixture
def four(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine whose nvidia-smi shows four GPUs, not in their order; the folder of the locks."""
    return_rows(
        tmp_path, [f"{index}, GPU-{index}f6a, NVIDIA H200, 580.95.05, 9.0, 143771" for index in (1, 0, 3, 2)]
    )
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return tmp_path / "cache"


def return_rows(folder: Path, rows: list[str], *, status: int = 0) -> None:
    program = folder / "nvidia-smi"
    program.write_text("#!/bin/sh\n" + "".join(f"echo '{row}'\n" for row in rows) + f"exit {status}\n")
    program.chmod(0o755)


class Worker:
    """A process that takes a GPU as a worker does, before any framework, and holds it until it ends."""

    def __init__(self, cache: Path, framework: str = "torch", device: str = "cuda") -> None:
        command = [sys.executable, "-c", textwrap.dedent(WORKER), framework, device, str(cache)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def gpu(self) -> tuple[int, str]:
        assert self.process.stdout is not None
        index, uuid, order = self.process.stdout.readline().split()
        assert order == "PCI_BUS_ID"
        return int(index), uuid

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate(timeout=30)


@pytest.fixture
def workers() -> Iterator[list[Worker]]:
    started: list[Worker] = []
    yield started
    for worker in started:
        worker.process.communicate(timeout=30)


def test_four_workers_of_a_framework_take_four_gpus_and_see_only_their_own(
    four: Path, workers: list[Worker]
) -> None:
    workers += [Worker(four) for _ in range(4)]
    taken = sorted(worker.gpu() for worker in workers)
    assert taken == [(index, f"GPU-{index}f6a") for index in range(4)]


def test_a_worker_takes_the_gpu_of_one_that_was_killed(four: Path, workers: list[Worker]) -> None:
    first = [Worker(four) for _ in range(4)]
    by_gpu = {worker.gpu()[0]: worker for worker in first}
    workers += [worker for index, worker in by_gpu.items() if index != 2]
    waiting = Worker(four)  # all are taken, so it waits
    workers.append(waiting)
    by_gpu[2].kill()
    assert waiting.gpu()[0] == 2


def test_two_frameworks_share_a_gpu_so_that_they_can_be_compared_on_it(
    four: Path, workers: list[Worker]
) -> None:
    workers += [Worker(four, "torch"), Worker(four, "tensorflow")]
    assert [worker.gpu()[0] for worker in workers] == [0, 0]


def test_a_worker_may_ask_for_a_gpu_by_its_number(four: Path, workers: list[Worker]) -> None:
    workers.append(Worker(four, device="cuda:3"))
    assert workers[0].gpu() == (3, "GPU-3f6a")


def test_all_taken_is_told_with_what_there_is(four: Path) -> None:
    held = [take_gpu("cuda", framework="torch", folder=four, visible="1", patience_s=0)]
    with pytest.raises(ServiceError, match=r"has a worker of torch already \(cuda:1 NVIDIA H200\)"):
        take_gpu("cuda", framework="torch", folder=four, visible="1", patience_s=0)
    held[0].release()
    assert take_gpu("cuda", framework="torch", folder=four, visible="GPU-1", patience_s=0).gpu.index == 1


def test_a_number_that_is_not_there_is_told_with_those_that_are(four: Path) -> None:
    with pytest.raises(
        UsageError, match="LIKEWISE_DEVICE is cuda:7, and there is no such GPU here; there is cuda:0"
    ):
        take_gpu("cuda:7", framework="torch", folder=four, visible=None, patience_s=0)


def test_without_a_driver_there_is_no_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpus_here() == []
    with pytest.raises(ServiceError, match="nvidia-smi shows no GPU here"):
        take_gpu("cuda", framework="torch", folder=tmp_path, visible=None, patience_s=0)


@pytest.mark.parametrize(
    ("rows", "status", "message"),
    [
        (
            ["NVIDIA-SMI has failed because it could not communicate with the NVIDIA driver."],
            9,
            "fails: NVIDIA-SMI",
        ),
        (["0, GPU-1, some, words"], 0, "describes a GPU as '0, GPU-1, some, words'"),
    ],
)
def test_a_driver_that_fails_is_told_in_its_words(
    four: Path, rows: list[str], status: int, message: str
) -> None:
    return_rows(four.parent, rows, status=status)
    with pytest.raises(ServiceError, match=message):
        gpus_here()


@pytest.mark.parametrize(
    ("needs", "has", "message"),
    [
        ("13.0", "12.4", "550.54 runs CUDA up to 12.4, and this framework was made for CUDA 13.0; install"),
        ("12.8", "12.2", None),  # a driver runs every minor version of the major one that it knows
        ("12.8", "13.0", None),
        (None, "12.4", None),
        ("13.0", None, None),
    ],
)  # fmt: skip
def test_a_driver_that_is_too_old_is_told_with_both_versions(
    needs: str | None, has: str | None, message: str | None
) -> None:
    gpu = Gpu(index=0, uuid="GPU-1", name="T4", driver="550.54", compute_capability="7.5")
    told = too_old(gpu, needs=needs, has=has)
    assert told is None if message is None else message in str(told)


def test_a_worker_of_a_gpu_serves_its_kind_and_its_number() -> None:
    gpu = Gpu(index=1, uuid="GPU-1", name="T4", driver="550.54", compute_capability="7.5")
    assert devices_served("cuda", gpu) == ("cuda", "cuda:1")
    assert devices_served("cpu", None) == ("cpu",)
