"""Every setting with where it came from: as a text, as a document, before and after a run.

After a change that is meant, APPROVE=1 writes the golden texts anew; read the diff.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from likewise.producer.console import make_console
from likewise.producer.job.jobfile import LoadedExperiment
from likewise.producer.job.resolve import Setting, resolve, resolve_with_origins, settings_of
from likewise.producer.report.document import print_parts
from likewise.producer.report.resolved import ResolvedDocument
from likewise.shared.job import Experiment

Read = Callable[..., LoadedExperiment]
Likewise = Callable[..., subprocess.CompletedProcess[str]]
GOLDEN = Path(__file__).with_name("golden")
CHANGES = (
    "defaults=native",
    "model.layers=[{type: dense, units: 4, kernel_initializer: he_normal}, {type: dense, units: 1}]",
    "model.layers.1.name=out",
    "optimizer=adam",
    "overrides={torch: {loss.reduction: sum, model.layers.out.use_bias: false}}",
)
SHOWN = (
    "name", "precision", "model.layers.0.units", "model.layers.0.kernel_initializer",
    "model.layers.0.bias_initializer", "model.layers.1.name", "model.layers.1.use_bias",
    "model.layers.1.kernel_initializer", "model.layers.1.bias_initializer", "loss.type", "loss.reduction",
    "optimizer.learning_rate", "optimizer.epsilon", "training.epochs", "training.batch_size",
)  # fmt: skip


@pytest.fixture
def experiment(read: Read) -> Experiment:
    return read(*CHANGES).experiment


@pytest.fixture
def settings(experiment: Experiment) -> list[Setting]:
    """Those that are spoken of here: a setting that a later version adds changes nothing."""
    found = {one.path: one for one in settings_of(resolve_with_origins(experiment))}
    return [found[path] for path in SHOWN]


def test_settings_that_a_sweep_varies_are_named(read: Read) -> None:
    declared = read("grid={training.epochs: [5, 6]}").experiment
    settings = settings_of(resolve_with_origins(declared))
    told = text_of(declared, settings, make_console(io.StringIO()))
    assert "; likewise sweep varies training.epochs" in told.splitlines()[0]
    assert ResolvedDocument(declared, settings).to_json()["grid"] == {"training.epochs": [5, 6]}


def text_of(experiment: Experiment, settings: list[Setting], console: Console) -> str:
    print_parts(ResolvedDocument(experiment, settings), console)
    written = console.file
    assert isinstance(written, io.StringIO)
    return "".join(f"{line.rstrip()}\n" for line in written.getvalue().splitlines())


@pytest.mark.parametrize("width", [80, 200])
def test_the_text_is_as_it_was_approved(experiment: Experiment, settings: list[Setting], width: int) -> None:
    console = Console(
        file=io.StringIO(), width=width, force_terminal=True, color_system=None, highlight=False,
        markup=False, legacy_windows=False,
    )  # fmt: skip
    text = text_of(experiment, settings, console)
    golden = GOLDEN / f"resolved-{width}.txt"
    if os.environ.get("APPROVE"):
        golden.write_text(text, encoding="utf-8")

    assert max(map(len, text.splitlines())) <= width
    assert text == golden.read_text(encoding="utf-8")


def test_a_pipe_gets_no_escape_codes_and_no_folding(experiment: Experiment, settings: list[Setting]) -> None:
    text = text_of(experiment, settings, make_console(io.StringIO()))

    assert "\x1b" not in text
    assert any(
        line.endswith("variance_scaling(0.333, fan_in, uniform)   native") for line in text.splitlines()
    )


def test_each_value_says_where_it_came_from(experiment: Experiment, settings: list[Setting]) -> None:
    cells = {one["path"]: one for one in ResolvedDocument(experiment, settings).to_json()["settings"]}

    assert cells["training.epochs"]["torch"] == {"value": 5, "from": "written"}
    assert cells["precision"]["torch"] == {"value": "float32", "from": "shared"}
    assert cells["loss.reduction"]["torch"] == {"value": "sum", "from": "override"}
    assert cells["loss.reduction"]["tensorflow"]["from"] == "native"
    assert cells["optimizer.epsilon"]["torch"] == {
        "value": 1e-8, "from": "native", "source": "torch.optim.Adam(eps=1e-08)", "fact": None,
    }  # fmt: skip
    assert [one for one in cells if cells[one]["differs"]] == [
        "model.layers.0.kernel_initializer", "model.layers.0.bias_initializer", "model.layers.1.use_bias",
        "model.layers.1.kernel_initializer", "loss.reduction", "optimizer.epsilon", "training.batch_size",
    ]  # fmt: skip


def test_a_written_initializer_may_be_completed_by_the_framework(
    experiment: Experiment, settings: list[Setting]
) -> None:
    cells = {one["path"]: one for one in ResolvedDocument(experiment, settings).to_json()["settings"]}
    cell = cells["model.layers.0.kernel_initializer"]["tensorflow"]

    assert (cell["value"], cell["from"]) == ({"type": "he_normal", "truncated": True}, "written")
    assert cell["source"].startswith("keras.initializers.HeNormal")


def test_a_stored_job_is_shown_as_it_was_stored(experiment: Experiment) -> None:
    jobs = resolve(experiment)
    older = jobs["torch"].optimizer.model_copy(update={"learning_rate": 0.25})
    jobs["torch"] = jobs["torch"].model_copy(update={"optimizer": older})
    found = {one.path: one for one in settings_of(resolve_with_origins(experiment), jobs)}

    assert found["optimizer.learning_rate"].values["torch"] == 0.25
    assert found["optimizer.learning_rate"].origins["torch"].kind == "stored"
    assert found["optimizer.beta_1"].origins["torch"].kind == "native"


@pytest.mark.parametrize("command", [["show", "digits", "--resolved"], ["validate", "digits", "--resolved"]])
def test_the_settings_of_a_job_file_are_shown_before_it_runs(likewise: Likewise, command: list[str]) -> None:
    done = likewise(*command, "--json")
    document: dict[str, Any] = json.loads(done.stdout)

    assert (done.returncode, done.stderr) == (0, "")
    assert (document["name"], document["defaults"]) == ("digits", "shared")
    assert not any(one["differs"] for one in document["settings"])


def test_the_settings_can_be_changed_for_one_look(likewise: Likewise) -> None:
    done = likewise("validate", "diabetes", "--set", "defaults=native", "--resolved")

    assert "native defaults" in done.stdout.splitlines()[0]
    assert any(line.split()[:4] == ["≠", "epsilon", "1e-07", "1e-08"] for line in done.stdout.splitlines())


def started(read: Read, *changes: str) -> dict[str, Setting]:
    """Every setting of the small job with these changes, by path."""
    experiment = read(*changes).experiment
    return {one.path: one for one in settings_of(resolve_with_origins(experiment))}


KERNEL = "model.layers.0.kernel_initializer"
BIAS = "model.layers.0.bias_initializer"
START = "initial_weights.type"


def test_a_start_that_is_written_as_shared_has_one_initializer_under_native_defaults(read: Read) -> None:
    found = started(read, "defaults=native", "initial_weights=shared")

    assert found[START].values == {"tensorflow": "shared", "torch": "shared"}
    assert not found[KERNEL].differs(("tensorflow", "torch"))
    assert not found[BIAS].differs(("tensorflow", "torch"))


def test_native_initializers_are_not_called_a_shared_start(read: Read) -> None:
    found = started(read, "defaults=native")

    assert found[KERNEL].differs(("tensorflow", "torch"))
    assert found[START].values == {"tensorflow": "initializers", "torch": "initializers"}
    assert {origin.kind for origin in found[START].origins.values()} == {"native"}


def test_one_initializer_for_all_is_a_shared_start_under_native_defaults(read: Read) -> None:
    found = started(
        read,
        "defaults=native",
        "model.layers.0.kernel_initializer=glorot_uniform",
        "model.layers.0.bias_initializer=zeros",
    )

    assert found[START].values == {"tensorflow": "shared", "torch": "shared"}


@pytest.mark.parametrize("written", [(), ("initial_weights={type: shared, seed: 7}",)])
def test_an_initializer_of_one_side_makes_its_start_its_own(read: Read, written: tuple[str, ...]) -> None:
    found = started(read, *written, f"overrides={{torch: {{{KERNEL}: he_uniform}}}}")

    assert found[START].values == {"tensorflow": "initializers", "torch": "initializers"}
    assert found["initial_weights.seed"].values["torch"] == (7 if written else None)


def test_a_start_that_each_framework_draws_shows_what_each_draws_by(read: Read) -> None:
    found = started(read, "initial_weights=framework", f"{KERNEL}=he_normal")

    assert found[KERNEL].values["tensorflow"] == "glorot_uniform"
    assert found[KERNEL].values["torch"]["type"] == "variance_scaling"
    assert {origin.kind for origin in found[KERNEL].origins.values()} == {"framework"}
    assert found[BIAS].values["tensorflow"] == "zeros"


def test_a_framework_without_a_table_draws_by_its_own_default(read: Read) -> None:
    found = started(read, "initial_weights=framework", "frameworks=[tensorflow, numpy]")

    assert found[KERNEL].values["numpy"] == "its own default"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"initial_weights": "framework"}, f"{KERNEL} has no effect"),
        (
            {"initial_weights": "shared", "overrides": {"torch": {KERNEL: "he_uniform"}}},
            "is shared, and other",
        ),
    ],
)
def test_what_is_written_of_a_start_without_effect_is_told(prepare: Any, changes: Any, said: str) -> None:
    layers = [{"type": "dense", "units": 1, "kernel_initializer": "glorot_normal"}]
    told = prepare(model={"layers": layers}, **changes).advice

    assert any(said in sentence for sentence in told)
