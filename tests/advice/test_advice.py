"""Every line of advice runs in its framework, and closes the gap that it is for.

Each pair of jobs differs in one setting. A framework's plain program of the one is given the advice for the
other's value, and the reverse; trained, it comes to what Likewise's own training of the other comes to, and
without the advice it does not. Numbers are in float64.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from likewise.producer.advice import program as plain
from likewise.producer.advice.program import PLACES, program_parts
from likewise.producer.job.resolve import SettingDifference
from likewise.producer.verdict.knowledge import Setup
from likewise.producer.verdict.mending import fixes
from likewise.shared.draws import draw_starts
from likewise.shared.job import Job
from likewise.shared.program import compile_job

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE))
cases = __import__("cases")

BAR = 1e-9
"""How far outputs may be from Likewise's, relative to the largest, in float64."""
OWN_ROUNDING = {
    ("tensorflow", "activation.gelu"): 1e-8,
    ("tensorflow", "activation.hard_silu"): 1e-6,
    ("tensorflow", "layer.upsampling2d.interpolation"): 1e-6,
    ("tensorflow", "layer.upsampling2d.align_corners"): 1e-6,
    ("tensorflow", "layer.upsampling2d.size"): 1e-6,
    ("tensorflow", "layer.upsampling2d.activity_regularizer"): 1e-6,
    ("tensorflow", "layer.conv3d_transpose.bias_regularizer"): 1e-8,
}
"""What a framework's own function rounds to float32 in float64, too: TensorFlow the √2 of gelu, and each
image that it resizes, and Keras a regularizer's number, such as 0.01 (2e-8 of a penalty, 1e-9 of outputs)."""
FRAMEWORKS = ("tensorflow", "torch")
TIMES = 40
"""How often a layer is drawn."""
WITHOUT_FLOAT64 = {("tensorflow", f"{kind}_pooling3d") for kind in ("max", "average")}
"""Layers whose stock form has no kernel in float64, in which all advice is run. Their lines are
those of one and two axes, from the same macro."""
NO_ADVICE = {
    ("tensorflow", "training.evaluation_mode"): "Keras's evaluate and predict know one mode alone",
    ("tensorflow", "training.accumulation"): "Keras gathers by the mean alone",
    ("tensorflow", "training.accumulation_remainder"): "Keras always carries a group into the next epoch",
    **{
        ("tensorflow", f"optimizer.{word}.ema_start"): "Keras begins with the first update's weights"
        for word in cases.members(cases.Optimizer)
    },
    **{
        ("tensorflow", f"layer.rms_norm.gamma_{word}"): "Keras's RMSNormalization has no such argument"
        for word in ("initializer", "regularizer", "constraint")
    },
    ("tensorflow", "layer.multi_head_attention.output_initializer"): (
        "Keras draws every kernel of an attention by one initializer"
    ),
}
"""Settings by framework that no lines are printed for, with the reason."""


EVERY = os.environ.get("LIKEWISE_ADVICE") == "all"
"""Whether every pair is run both ways; else PyTorch has each one way, and TensorFlow a part of them."""


SHARE = 200
"""How many programs one process trains."""
AT_ONCE = 3
"""How many processes train at a time."""
TIME_S = 3600 if EVERY else 900
"""How long a test may take."""


def chosen(pairs: list[Any], *, few: int) -> Iterator[tuple[str, Any, bool]]:
    """Each framework with each pair and its directions.

    Without EVERY it is one direction, taken in turns, and of TensorFlow one pair in `few`.
    """
    for number, pair in enumerate(pairs):
        for framework in FRAMEWORKS:
            one_in = few if framework == "tensorflow" else 1
            for back in (False, True):
                part = number % one_in == 0 and back == (number // one_in % 2 == 1)
                runs = (framework, pair.kind.split(".")[1]) not in WITHOUT_FLOAT64
                if runs and (EVERY or part):
                    yield framework, pair, back


def interpreter(framework: str) -> str:
    """The Python of the framework's environment; skips, or fails in CI, without one."""
    found = os.environ.get(f"LIKEWISE_TEST_PYTHON_{framework.upper()}")
    if found is None:
        reason = (
            f"LIKEWISE_TEST_PYTHON_{framework.upper()} names no Python of an environment with {framework}"
        )
        pytest.fail(reason, pytrace=False) if os.environ.get("CI") == "true" else pytest.skip(reason)
    return found


class Bench:
    """Gathers what is to be trained, and trains it in one process a framework."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.arrays: dict[str, np.ndarray] = {}
        self.jobs: dict[str, dict[str, Any]] = {}
        self.tasks: dict[str, list[dict[str, Any]]] = {framework: [] for framework in FRAMEWORKS}
        self.texts: dict[str, str] = {}
        self.silent: list[tuple[str, str, str]] = []
        self.drawn: dict[str, dict[str, np.ndarray]] = {}
        """What Likewise draws for the same weights."""

    def data(self, job: Job, shape: tuple[int, ...]) -> str:
        """The samples for a job, by the name under which their arrays are kept."""
        outputs = compile_job(job, shape).output_shape
        kind = job.loss.task if job.loss.task != "regression" else job.loss.type
        weighted = getattr(job.data, "sample_weights", None) is not None
        name = f"{shape} {kind} {outputs} {weighted} {job.model.layers[0].type == 'embedding'}"
        name += f" {job.loss.type}" if kind == "several" else ""
        if f"{name}/x" in self.arrays:
            return name
        draw = np.random.default_rng(len(name))
        n = cases.SAMPLES
        x = draw.standard_normal((n, *shape))
        if job.model.layers[0].type == "embedding":
            x = draw.integers(0, 7, (n, *shape)).astype(float)
        match kind:
            case "multiclass":
                y = draw.integers(0, outputs[-1], n)
            case "binary":
                y = draw.integers(0, 2, (n, *outputs)).astype(float)
            case "poisson":
                y = draw.integers(0, 5, (n, *outputs)).astype(float)
            case "several":
                y = beside_each_other(job, shape, draw)
            case "kl_divergence":
                y = draw.dirichlet(np.ones(outputs[-1]), n)
            case _:
                y = draw.standard_normal((n, *outputs))
        self.arrays |= {f"{name}/x": x, f"{name}/y": y}
        if weighted:
            self.arrays[f"{name}/w"] = draw.uniform(0.2, 3.0, n)
        return name

    def start(self, job: Job, shape: tuple[int, ...]) -> str:
        """The weights that a job starts from, by the name under which they are kept."""
        weights = compile_job(job, shape).weights
        name = " ".join(f"{weight.name}{weight.shape}" for weight in weights)
        for weight in weights:
            draw = np.random.default_rng(sum(weight.name.encode()))
            array = draw.standard_normal(weight.shape) / np.sqrt(max(np.prod(weight.shape[:-1]), 2))
            if weight.own_name.endswith(("moving_variance", "gamma")):
                array = 1.0 + array**2
            self.arrays[f"{name}/{weight.name}"] = array
        return name

    def reference(self, job: Job, shape: tuple[int, ...]) -> str:
        """The key of Likewise's own training of a job."""
        key = f"{shape} {job.model_dump_json()}"
        self.jobs[key] = {
            "job": job.model_dump(mode="json"),
            "data": self.data(job, shape),
            "start": self.start(job, shape),
        }
        return key

    def advise(self, framework: str, pair: Any, one: Job, other: Job) -> None:
        """Have a framework's program of one job trained with the advice for the other's value."""
        found = advice_for(framework, pair, one, other)
        if found is None:
            self.silent.append((framework, pair.kind, pair.path))
            return
        parts = by_place(one, pair.shape, framework)
        theirs = by_place(other, pair.shape, framework)
        key = f"{framework} {pair.kind} {len(self.tasks[framework])}"
        self.texts[key] = found
        task = {
            "id": key,
            "parts": parts | {"give": theirs.get("give", {})},
            "advice": found,
            "kind": pair.kind,
            "output": f"x_{variable_of_last(one)}",
            "outputs": outputs_of(other, pair.shape),
            "draws": None,
            "sampler": False,
            "graph": "\nclass " in found,  # as users run what is their own
            "data": self.data(other, pair.shape),
            "start": self.start(other, pair.shape),
            "reference": self.reference(other, pair.shape),
            "before": self.reference(one, pair.shape),
        }
        self.tasks[framework].append(task)

    def draw(self, framework: str, pair: Any, one: Job, other: Job) -> None:
        """Have a framework's layer drawn many times, by one job's program with the advice for the other's."""
        found = advice_for(framework, pair, one, other)
        if found is None:
            self.silent.append((framework, pair.kind, pair.path))
            return
        key = f"{framework} {pair.kind} {len(self.tasks[framework])}"
        self.texts[key] = found
        program = compile_job(other, pair.shape)
        task = {
            "id": key,
            "parts": by_place(one, pair.shape, framework),
            "advice": found,
            "draws": places_of_weights(other, pair.shape, framework),
            "times": TIMES,
            "shape": pair.shape,
            "data": "",
            "start": "",
        }
        self.tasks[framework].append(task)
        starts = list(draw_starts(program, seeds=range(TIMES), precision="float64"))
        self.drawn[key] = {name: np.stack([start[name] for start in starts]) for name in task["draws"]}

    def train(self) -> dict[str, dict[str, np.ndarray]]:
        """The outputs of every program, and under `reference` those of Likewise."""
        np.savez(self.folder / "arrays.npz", **self.arrays)
        shares = [("reference", "torch", "reference.py", {"jobs": self.jobs})] if self.jobs else []
        shares += [
            (framework, framework, "programs.py", {"tasks": tasks[start : start + SHARE], "headings": PLACES})
            for framework, tasks in self.tasks.items()
            for start in range(0, len(tasks), SHARE)
        ]
        processes: list[subprocess.Popen[str]] = []

        def run(number: int) -> dict[str, np.ndarray]:
            _, python, script, document = shares[number]
            path, out = (self.folder / f"{number}.{ending}" for ending in ("json", "npz"))
            path.write_text(json.dumps({**document, "arrays": str(self.folder / "arrays.npz")}))
            command = [interpreter(python), str(HERE / script), python, str(path), str(out)]
            environment = os.environ | {"PYTHONPATH": f"{ROOT}:{HERE}", "TF_CPP_MIN_LOG_LEVEL": "3"}
            process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)
            processes.append(process)
            _, said = process.communicate()
            assert process.returncode == 0, said[-3000:]
            with np.load(out) as archive:
                return dict(archive)

        found: dict[str, dict[str, np.ndarray]] = {}
        pool = ThreadPoolExecutor(AT_ONCE)
        try:
            for share, arrays in zip(shares, pool.map(run, range(len(shares))), strict=True):
                found.setdefault(share[0], {}).update(arrays)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in processes:
                process.kill()
        return found


def advice_for(framework: str, pair: Any, one: Job, other: Job) -> str | None:
    """What the program prints for a side of the framework that has the one job, to be like the other."""
    jobs = {"mine": one, "like": other}
    setup = Setup.of(jobs, dict.fromkeys(jobs, framework), dict.fromkeys(jobs, (cases.SAMPLES, *pair.shape)))
    difference = SettingDifference(path=pair.path, values={"mine": 0, "like": 1})
    return fixes(difference, setup, reference="like", other="mine").get("mine")


def places_of_weights(job: Job, shape: tuple[int, ...], framework: str) -> dict[str, str]:
    """Where each trainable weight of the layer `middle` lies, as Python, by its name."""
    template = plain._template(framework)
    view = plain.JobView(job=job, program=compile_job(job, shape))
    layer = next(one for one in plain._views(view, framework, template, frozenset()) if one.var == "middle")
    if framework == "torch":
        return {weight.name: str(template.tensor(layer, weight.own_name)) for weight in layer.drawn}
    names = [weight.name for weight in layer.weights]
    return {weight.name: f"middle.get_weights()[{names.index(weight.name)}]" for weight in layer.drawn}


def by_place(job: Job, shape: tuple[int, ...], framework: str) -> dict[str, dict[str, str]]:
    """A program's parts, by place and name."""
    found: dict[str, dict[str, str]] = {}
    for part in program_parts(job, compile_job(job, shape), framework):
        found.setdefault(part.place, {})[part.name] = part.code
    return found


def beside_each_other(job: Job, shape: tuple[int, ...], draw: np.random.Generator) -> np.ndarray:
    """The targets of several outputs, in the order of the program's."""
    columns = []
    for one in compile_job(job, shape).outputs:
        task = job.losses[one.name].task
        highest = {"multiclass": one.width, "binary": 2}.get(task)
        size = (cases.SAMPLES, 1 if task == "multiclass" else one.width)
        columns.append(draw.standard_normal(size) if highest is None else draw.integers(0, highest, size))
    return np.concatenate(columns, axis=1).astype(float)


def outputs_of(job: Job, shape: tuple[int, ...]) -> dict[str, tuple[int, int, bool]]:
    """Where each of several outputs has its targets, by name, and whether they are classes; empty for one."""
    program = compile_job(job, shape)
    return {
        one.name: (*one.targets, one.target == "classes")
        for one in program.outputs
        if one.targets is not None
    }


def variable_of_last(job: Job) -> str:
    return job.model.layer_path(len(job.model.layers) - 1).replace("layers.", "layer_")


def test_every_field_has_another_value_to_try() -> None:
    """What no pair differs in has advice that nobody has run."""
    tried = {pair.kind for pair in [*cases.trained_pairs(), *cases.drawing_pairs()]}
    missing = [kind for kind in cases.every_field() if kind not in tried]

    assert missing == []


def apart(mine: np.ndarray, theirs: np.ndarray) -> float:
    """The largest difference, relative to the largest number; infinite for other shapes."""
    if mine.shape != theirs.shape:
        return float("inf")
    return float(np.abs(mine - theirs).max() / np.abs(theirs).max())


@pytest.mark.timeout(TIME_S)
def test_the_advice_for_every_setting_closes_its_gap(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    for framework, pair, back in chosen(cases.trained_pairs(), few=4):
        one, other = Job.model_validate(pair.one), Job.model_validate(pair.other)
        bench.advise(framework, pair, *((other, one) if back else (one, other)))
    results = bench.train()
    wrong = []
    for framework, tasks in bench.tasks.items():
        for task in tasks:
            wanted = results["reference"][task["reference"]]
            gap = apart(results["reference"][task["before"]], wanted)
            if not gap > 10 * BAR:
                wrong.append(f"{task['id']}: the two jobs are {gap:.1e} apart, so that nothing is shown")
            error = results[framework].get(f"{task['id']}/error")
            if error is not None:
                wrong.append(f"{task['id']}:\n{bench.texts[task['id']]}\n{error}")
                continue
            left = apart(results[framework][f"{task['id']}/outputs"], wanted)
            if not left <= OWN_ROUNDING.get((framework, task["kind"]), BAR):
                wrong.append(f"{task['id']}: {left:.1e} of {gap:.1e} is left by\n{bench.texts[task['id']]}")
    silent = sorted({(framework, kind) for framework, kind, _ in bench.silent} - set(NO_ADVICE))
    assert not wrong, f"{len(wrong)} of {sum(map(len, bench.tasks.values()))}\n" + "\n\n".join(wrong)
    assert not silent


@pytest.mark.timeout(TIME_S)
def test_the_advice_for_an_initializer_draws_by_the_same_law(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    for framework, pair, back in chosen(list(cases.drawing_pairs()), few=3):
        one, other = Job.model_validate(pair.one), Job.model_validate(pair.other)
        bench.draw(framework, pair, *((other, one) if back else (one, other)))
    results = bench.train()
    wrong = []
    for framework, tasks in bench.tasks.items():
        for task in tasks:
            error = results[framework].get(f"{task['id']}/error")
            if error is not None:
                wrong.append(f"{task['id']}:\n{bench.texts[task['id']]}\n{error}")
                continue
            for name, wanted in bench.drawn[task["id"]].items():
                problem = other_law(results[framework][f"{task['id']}/{name}"], wanted)
                if problem:
                    wrong.append(f"{task['id']}: {name} {problem}\n{bench.texts[task['id']]}")
    silent = sorted({(framework, kind) for framework, kind, _ in bench.silent} - set(NO_ADVICE))
    assert not wrong, f"{len(wrong)} of {sum(map(len, bench.tasks.values()))}\n" + "\n\n".join(wrong)
    assert not silent


def other_law(found: np.ndarray, wanted: np.ndarray) -> str | None:
    """What shows that two arrays, a draw a row, are of two laws, by Kolmogorov's and Smirnov's test."""
    mine, theirs = (np.sort(array.reshape(-1)) for array in (found, wanted))
    every = np.concatenate([mine, theirs])
    shares = [np.searchsorted(one, every, side="right") / one.size for one in (mine, theirs)]
    apart = float(np.abs(shares[0] - shares[1]).max())
    allowed = 2.2 * np.sqrt(1 / mine.size + 1 / theirs.size)  # one in 15,000 by chance
    if np.unique(theirs).size <= 2:
        allowed = 1e-12
        mine, theirs = np.unique(np.round(mine, 7)), np.unique(np.round(theirs, 7))
        return None if np.array_equal(mine, theirs) else f"is {mine[:4]}, not {theirs}"
    return f"is of another law, {apart:.3f} apart where {allowed:.3f} is chance" if apart > allowed else None
