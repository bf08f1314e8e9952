"""Prove on a machine with an NVIDIA GPU what elsewhere can only be written: `python -m tests.gpu`.

Run it with the Python of an environment that has a framework's GPU packages (`likewise up torch@cuda
--only-environments` makes one) and pytest, in the checkout:

    PYTHONPATH=.:.venvs/tools .../torch-cuda-…/bin/python -m tests.gpu

It takes ten minutes at the most: what does not begin in time is listed as not run. At the end it says of each
step whether it was proved, failed, or not run, and why. Exit status: 0 all proved, 1 one failed, 77 nothing
could be run, since there is no GPU or no framework with CUDA.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from likewise.shared.errors import ServiceError
from likewise.shared.gpus import gpus_here
from likewise.worker.adapters import adapter_names

MOST_S = 600.0
CONTRACT_S = 240.0
NOT_RUN = 77
ROOT = Path(__file__).parents[2]
began = time.monotonic()

Step = Callable[[str], str]


def in_child(framework: str, script: str, *, timeout_s: float = 120, **variables: str) -> Any:
    """Return what a script prints as JSON, in a process that has a GPU to itself as a worker's has."""
    head = (
        "import json, os, sys, time\nfrom pathlib import Path\nimport numpy as np\n"
        "from likewise.shared.settings import Settings\n"
        "from likewise.worker.adapters import load_adapter\n"
        "from likewise.worker.service.gpu_lock import own_gpu\n"
        f"framework, device = {framework!r}, os.environ.get('DEVICE', 'cuda')\n"
        "settings = Settings(device=device, cache_dir=Path(os.environ['LOCKS']))\n"
        "with own_gpu(settings, framework, environ=os.environ) as gpu:\n"
        "    adapter = load_adapter(framework)\n"
        "    adapter.start(device=device.partition(':')[0], threads=4)\n"
    )
    body = "".join(f"    {line}\n" for line in script.strip().splitlines())
    with tempfile.TemporaryDirectory() as locks:
        done = subprocess.run(
            [sys.executable, "-c", head + body], cwd=ROOT, capture_output=True, text=True, check=False,
            timeout=timeout_s, env={**os.environ, "PYTHONPATH": str(ROOT), "LOCKS": locks, **variables},
        )  # fmt: skip
    if done.returncode:
        raise AssertionError("\n".join(done.stderr.strip().splitlines()[-5:]))
    return json.loads(done.stdout.strip().splitlines()[-1])


TRAIN = """
from likewise.shared.job import Job
from likewise.shared.program import compile_job
from likewise.worker.adapters.trainer import Batch, Block
units, rows, steps = (int(word) for word in os.environ['SIZE'].split())
job = Job.model_validate_json(json.dumps({
    'data': {'type': 'inline', 'x': [0.0], 'y': [0.0]}, 'loss': 'mse', 'training': {'epochs': 1},
    'model': {'layers': [{'type': 'dense', 'units': units}, {'type': 'dense', 'units': 1}]},
    'optimizer': {'type': 'adam', 'learning_rate': 0.001},
    'precision': os.environ.get('PRECISION', 'float32')}))
program = compile_job(job, (units,))
draw = np.random.default_rng(0)
weights = {one.name: draw.normal(size=one.shape).astype(job.precision) / units for one in program.weights}
x = draw.normal(size=(rows, units)).astype(job.precision)
samples = Batch(x, x[:, :1].copy())
def block(first):
    indices = np.tile(np.arange(rows), (steps, 1))
    return Block(indices=indices, learning_rates=np.full(steps, 0.001), first_step=first)
adapter.reset_device_peak()
"""


def says_what_it_is(framework: str) -> str:
    """The result names the GPU, its driver, the CUDA of both, and what the GPU can do."""
    said = in_child(framework, "print(json.dumps([vars(adapter.describe()), gpu.model_dump()]))")
    description, gpu = said
    wanted = ("cuda", "cudnn", "nvidia-driver", "cuda of the driver")
    lacking = [name for name in wanted if name not in description["versions"]]
    assert not lacking, f"the result does not say {lacking}"
    assert description["flags"]["compute_capability"] == gpu["compute_capability"]
    versions = description["versions"]
    return f"{description['device']}, driver {versions['nvidia-driver']}, CUDA {versions['cuda']}"


def trains_as_the_cpu(framework: str) -> str:
    """Fifty updates in float64 on the GPU and on the CPU end with the same weights but for rounding."""
    script = (
        TRAIN
        + """
trainer = adapter.build(program, job, weights=weights, samples=samples)
trainer.train(block(0))
print(json.dumps({name: array.tolist() for name, array in trainer.weights().items()}))
"""
    )
    ends = [
        in_child(framework, script, DEVICE=device, SIZE="32 64 50", PRECISION="float64")
        for device in ("cuda", "cpu")
    ]
    import numpy as np

    apart = max(float(np.max(np.abs(np.array(ends[0][name]) - np.array(ends[1][name])))) for name in ends[0])
    assert apart <= 1e-10, f"the weights are {apart:.1e} apart"
    return f"weights at most {apart:.1e} apart"


def repeats_its_bits(framework: str) -> str:
    """Two trainings on the GPU end with the same bits."""
    script = (
        TRAIN
        + """
import hashlib
ends = []
for _ in range(2):
    trainer = adapter.build(program, job, weights=weights, samples=samples)
    trainer.train(block(0))
    ends.append(hashlib.sha256(b''.join(a.tobytes() for a in trainer.weights().values())).hexdigest())
print(json.dumps(ends))
"""
    )
    ends = in_child(framework, script, SIZE="512 256 50")
    assert ends[0] == ends[1]
    return f"sha256 {ends[0][:12]} twice"


def waits_for_the_gpu(framework: str) -> str:
    """After `synchronize` nothing is left to wait for: it returns at once when it is called again."""
    script = (
        TRAIN
        + """
trainer = adapter.build(program, job, weights=weights, samples=samples)
trainer.train(block(0))
begin = time.perf_counter()
trainer.train(block(steps))
adapter.synchronize()
trained = time.perf_counter() - begin
begin = time.perf_counter()
adapter.synchronize()
print(json.dumps([trained, time.perf_counter() - begin]))
"""
    )
    trained_s, left_s = in_child(framework, script, SIZE="4096 2048 20")
    assert left_s < trained_s / 20, f"{left_s:.4f} s were left of {trained_s:.4f} s"
    return f"{trained_s:.3f} s of training, {left_s * 1e6:.0f} µs left"


def counts_its_memory(framework: str) -> str:
    """The peak of the GPU's memory is at least what the samples, weights and moments take."""
    script = (
        TRAIN
        + """
trainer = adapter.build(program, job, weights=weights, samples=samples)
trainer.train(block(0))
least = x.nbytes + 3 * sum(array.nbytes for array in weights.values())
print(json.dumps([adapter.device_peak_bytes(), least]))
"""
    )
    peak, least = in_child(framework, script, SIZE="4096 4096 2")
    assert peak >= least, f"the peak is {peak} bytes, and what is there takes {least}"
    return f"peak {peak / 1e6:.0f} MB, of which weights and samples {least / 1e6:.0f} MB"


def outlives_full_memory(framework: str) -> str:
    """A training that does not fit is typed as out of memory, and the next one trains."""
    script = (
        TRAIN
        + """
reason = None
kept = []
try:
    for _ in range(4000):
        kept.append(adapter.build(program, job, weights=weights, samples=samples))
except Exception as error:
    reason = adapter.reason_of(error)
kept.clear()
trainer = adapter.build(program, job, weights=weights, samples=samples)
losses = trainer.train(block(0))
print(json.dumps([reason, bool(np.isfinite(losses).all())]))
"""
    )
    reason, trained = in_child(framework, script, SIZE="16384 1024 2", timeout_s=180)
    assert reason == "out_of_memory", f"it was typed {reason}"
    assert trained
    return "typed out_of_memory, then trained"


def keeps_the_contract(framework: str) -> str:
    """The suite that every adapter has to meet, with the adapter started on the GPU."""
    command = [
        *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/contract/test_layers.py"),
        *("tests/contract/test_updates.py", "tests/contract/test_gradients.py", "-k", framework),
    ]
    variables = {**os.environ, "LIKEWISE_TEST_DEVICE": "cuda"}
    done = subprocess.run(
        command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False, timeout=CONTRACT_S
    )
    last = (done.stdout.strip().splitlines() or ["it said nothing"])[-1]
    assert done.returncode == 0, last
    return last.strip("= ")


STEPS: tuple[Step, ...] = (
    says_what_it_is, trains_as_the_cpu, repeats_its_bits, waits_for_the_gpu, counts_its_memory,
    outlives_full_memory, keeps_the_contract,
)  # fmt: skip


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    """Run every step for every framework that is here; return the exit status."""
    try:
        gpus = gpus_here()
    except ServiceError as error:
        say(f"not run: {error}; nothing was proved")
        return NOT_RUN
    frameworks = [name for name in adapter_names() if importlib.util.find_spec(name) is not None]
    if not gpus or not frameworks:
        lacking = "nvidia-smi shows no GPU here" if not gpus else "this Python has no framework"
        say(f"not run: {lacking}; nothing was proved")
        return NOT_RUN
    say(", ".join(f"cuda:{gpu.index} {gpu.name} (driver {gpu.driver})" for gpu in gpus))
    failed = proved = 0
    for framework in frameworks:
        for step in STEPS:
            name = f"{framework} {step.__name__.replace('_', ' ')}"
            if time.monotonic() - began > MOST_S - CONTRACT_S * (step is keeps_the_contract):
                say(f"not run  {name}: no time was left")
                continue
            try:
                say(f"proved   {name}: {step(framework)}")
                proved += 1
            except (AssertionError, subprocess.TimeoutExpired, ValueError) as error:
                say(f"failed   {name}: {error}")
                failed += 1
    say(f"{proved} proved, {failed} failed, in {time.monotonic() - began:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
