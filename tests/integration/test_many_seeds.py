"""Many seeds and sweeps with the real workers: the numbers of each seed trained alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from likewise.producer.runs.follow import Changed, follow
from likewise.producer.runs.results import Diverged, collect
from likewise.producer.runs.submit import RunMaker, submit_runs
from likewise.shared.results.seed_table import SeedTable

ROOT = Path(__file__).resolve().parents[2]
FRAMEWORKS = ("tensorflow", "torch")
SEEDS = 25
JOB = {"execution": "auto", "precision": "float64", "frameworks": FRAMEWORKS, "epochs": 60}
LAST = 24


@pytest.fixture(scope="module", autouse=True)
def workers(session_worker):
    """A worker of each framework, warm."""
    for framework in FRAMEWORKS:
        session_worker(framework)


def ended(desk, record, until):
    until(
        lambda: all(run.final for run in desk.ledger.records(record.run_ids)),
        within_s=120,
        what="every run is final",
    )
    return collect(record, ledger=desk.ledger)


def table(desk, results, framework, seeds):
    parts = [piece for result in results if result.framework == framework for piece in result.arrays]
    return SeedTable(parts, seeds, failure=None, arrays=desk.blobs.get)


def test_each_of_many_seeds_gives_what_it_gives_alone(desk, until):
    together = ended(desk, desk.submit(seeds=SEEDS, **JOB), until)
    alone = {
        (result.framework, seed): table(desk, [result], result.framework, [seed])
        for seed in (0, LAST)
        for result in ended(desk, desk.submit(seeds=[seed], **JOB), until)
    }
    for result in together:
        assert result.status == "succeeded"
        assert result.environment.execution.startswith("vectorised"), result.notes
        seeds = table(desk, together, result.framework, range(SEEDS))
        for seed in (0, LAST):
            one = alone[result.framework, seed]
            np.testing.assert_allclose(seeds.losses[seed], one.losses[0], rtol=1e-12)
            for name, (wanted,) in one.weights().items():
                found = seeds.weights()[name][seed]
                np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-12 * np.abs(wanted).max())
            np.testing.assert_array_equal(seeds.hashes[seed], one.hashes[0])
        assert not np.array_equal(seeds.losses[0], seeds.losses[1])


def test_a_seed_that_diverges_fails_alone_in_both(desk, until):
    """Point 1 of this sweep diverges, and trains in one program with those that do not."""
    rates = [0.01, 4.0, 0.05]
    changes = JOB | {"epochs": 400, "grid": {"optimizer.learning_rate": rates}}
    experiment = desk.experiment(seeds=3, **changes)
    prepared = desk.prepared(experiment)
    maker = RunMaker(desk)
    runs = [
        run
        for one in prepared.values()
        for run in maker.runs(
            one,
            (0, 1, 2),
            optimizers=[one.job.optimizer.model_copy(update={"learning_rate": rate}) for rate in rates],
            points=range(3),
        )
    ]
    record = submit_runs(desk, maker, experiment, runs)
    for result in ended(desk, record, until):
        assert (result.status, result.failure.reason) == ("failed", "diverged")
        assert [len(piece.failures) for piece in result.arrays] == [0, 3, 0]
        assert np.isfinite(result.arrays[2].outputs.array()).all()
    followed = list(follow(record, ledger=desk.ledger, client=desk.client))
    told = [one.diverged for one in followed if isinstance(one, Changed)]
    assert told == [Diverged(diverged=3, trained=9)] * 2


def test_seeds_are_spread_over_the_workers_that_are_free(
    desk, session_worker, start_worker, redis_server, until
):
    session_worker("torch")
    start_worker("torch", redis_server.url).wait_until("idle", desk.ledger)
    record = desk.submit(frameworks=("torch",), seeds=SEEDS, epochs=1_500, execution="eager")
    results = ended(desk, record, until)
    assert len(results) == 2
    assert len({result.worker for result in results}) == 2
    seeds = table(desk, results, "torch", range(SEEDS))
    assert seeds.succeeded.all()
    alone = desk.submit(frameworks=("torch",), seeds=[LAST], epochs=1_500)
    ended(desk, alone, until)
    np.testing.assert_array_equal(seeds.losses[LAST], desk.table(alone).losses[0])

    until(
        lambda: [one.state for one in desk.ledger.workers() if one.framework == "torch"] == ["idle"] * 2,
        within_s=30,
        what="both workers are idle",
    )
    few = ended(desk, desk.submit(frameworks=("torch",), seeds=12, epochs=1_500, execution="eager"), until)
    assert [len(result.arrays) for result in few] == [1, 1], "parts of many are arrays, however small"
    assert table(desk, few, "torch", range(12)).succeeded.all()


def test_a_port_in_other_words_agrees_at_every_point(likewise):
    layers = "[{type: reshape, target_shape: [4, 1]}, POOL, {type: dense, units: 1}]"
    ours = "model.layers=" + layers.replace("POOL", "{type: global_average_pooling}")
    theirs = layers.replace("POOL", "{type: average_pooling1d, pool_size: 4}, {type: flatten}")
    words = f"overrides={{torch: {{model.layers: {theirs}}}}}"
    data = "data={type: synthetic, kind: regression, samples: 16, features: 4}"
    answer = likewise(
        "sweep", "matched", "--set", data, "--set", ours, "--set", words, "--set", "training.epochs=3",
        "--set", "predict=null",
        "--grid", "optimizer.learning_rate=0.01,0.05", "--json",
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    assert {point["verdict"] for point in json.loads(answer.stdout)["points"]} == {"agree"}


def test_a_sweep_is_one_table_of_both_frameworks(likewise, tmp_path):
    answer = likewise(
        "sweep", "matched", "--grid", "optimizer.learning_rate=0.01,0.05", "--grid", "training.epochs=20,40",
        "--seeds", "3", "--json",
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    sweep = json.loads(answer.stdout)
    assert len(sweep["points"]) == 4
    assert sweep["points"][0]["settings"] == {"optimizer.learning_rate": 0.05, "training.epochs": 40}
    medians = [point["frameworks"]["tensorflow"]["median"] for point in sweep["points"]]
    assert medians == sorted(medians)
    for point in sweep["points"]:
        assert point["verdict"] == "agree"
        assert [point["frameworks"][name]["succeeded"] for name in FRAMEWORKS] == [3, 3]

        for seeds in point["frameworks"].values():
            assert len(seeds["values"]) == 3
            assert (min(seeds["values"]), np.median(seeds["values"])) == (seeds["best"], seeds["median"])

    again = likewise("show", sweep["experiment_id"], "--json")
    assert json.loads(again.stdout) == sweep
    full = json.loads(likewise("show", sweep["experiment_id"], "--json", "--full").stdout)
    run = full["points"][0]["frameworks"]["torch"].pop("run")
    assert [seed["losses"][-1] for seed in run["seeds"]] == full["points"][0]["frameworks"]["torch"]["values"]
    assert run["environment"]["framework"] == "torch"
    assert full["points"][0]["frameworks"]["torch"] == sweep["points"][0]["frameworks"]["torch"]
    text = likewise("show", sweep["experiment_id"]).stdout
    assert "4 points, tensorflow and torch, 3 seeds each" in text

    for ending in ("html", "csv"):
        path = tmp_path / f"sweep.{ending}"
        assert likewise("report", sweep["experiment_id"], "-o", str(path)).returncode == 0
        text = path.read_text(encoding="utf-8").replace("<wbr>", "")  # where a page may break a word
        assert text.count("training.epochs") >= 4


def test_a_sweep_over_one_framework_s_setting_shows_where_they_agree(likewise, desk):
    grid = "overrides.torch.optimizer.learning_rate=0.02,0.01,0.011"
    answer = likewise("sweep", "matched", "--set", "training.epochs=20", "--grid", grid, "--json")
    assert answer.returncode == 0, answer.stderr
    sweep = json.loads(answer.stdout)
    assert [point["verdict"] for point in sweep["points"]] == ["differ", "agree", "differ"], "as in the grid"
    assert len({point["frameworks"]["tensorflow"]["median"] for point in sweep["points"]}) == 1
    assert "torch's learning_rate 0.011" in likewise("show", sweep["experiment_id"]).stdout

    runs = desk.ledger.runs(desk.ledger.experiment(sweep["experiment_id"]).run_ids)
    trained = {run.framework: [optimizer.learning_rate for optimizer in run.optimizers] for run in runs}
    assert trained == {"tensorflow": [0.01], "torch": [0.02, 0.01, 0.011]}, "the same job once"


def test_a_sweep_tells_what_its_verdicts_rest_on_and_what_its_workers_said(likewise):
    answer = likewise(
        "sweep", "matched", "--grid", "training.epochs=20,40", "--seeds", "3", "--set", "execution=eager",
        "--set", "overrides.torch.optimizer.learning_rate=0.01001", "--json",
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    sweep = json.loads(answer.stdout)
    assert all(point["verdict"] == "agree" and point["over_seeds"] for point in sweep["points"])
    for framework in FRAMEWORKS:
        (note,) = sweep["notes"][framework]
        assert "one after another: execution is eager" in note


def test_a_sweep_says_what_its_grid_does_not_reach_and_how_many_seeds_would_decide(likewise):
    answer = likewise(
        "sweep", "matched", "--grid", "optimizer.learning_rate=0.02,0.01,1.3", "--seeds", "2", "--json",
        "--set", "overrides.torch.optimizer.learning_rate=0.01", "--set", "training.epochs=20",
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    sweep = json.loads(answer.stdout)
    assert sweep["notes"]["torch"] == [
        "The grid's optimizer.learning_rate does not reach it: overrides.torch.optimizer.learning_rate holds "
        "at every point."
    ]
    told = {point["settings"]["optimizer.learning_rate"]: point for point in sweep["points"]}
    assert (told[0.02]["verdict"], told[0.02]["open_over_seeds"]) == ("inconclusive", True)
    assert told[0.02]["seeds_to_decide"] > 2
    assert (told[0.01]["verdict"], told[0.01]["open_over_seeds"]) == ("agree", False)
    assert told[1.3]["verdict"] == "differ"
    values = {name: seeds["values"] for name, seeds in told[1.3]["frameworks"].items()}
    assert values["tensorflow"] == [None, None], "each diverged"
    assert None not in values["torch"]


def test_a_sweep_of_many_points_has_a_word_on_the_wait_for_its_table(likewise):
    rates = ",".join(f"{place / 1e4}" for place in range(1, 102))
    answer = likewise(
        "sweep", "matched", "--set", "training.epochs=5", "--grid", f"optimizer.learning_rate={rates}"
    )
    assert answer.returncode == 0, answer.stderr
    assert answer.stderr.splitlines()[-1] == "comparing the frameworks at 101 points"


def test_twelve_seeds_have_a_rerun_and_a_noise_floor(likewise, desk):
    answer = likewise(
        "compare", "article", "--seeds", "12", "--json", "--set", "training.epochs=30",
        "--set", "initial_weights=shared",
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    document = json.loads(answer.stdout)
    assert [(one["side"], one["seeds"]) for one in document["noise_floor"]] == [
        ("tensorflow", 3), ("torch", 3),
    ]  # fmt: skip
    assert any("once more on 3 of 12 seeds" in reason for reason in document["reasons"])
    rerun = desk.ledger.experiment(document["experiment_id"]).related["rerun"]
    runs = desk.ledger.runs(desk.ledger.experiment(rerun).run_ids)
    assert {run.side: run.seeds for run in runs} == dict.fromkeys(FRAMEWORKS, (0, 1, 2))


def test_many_seeds_are_compared_and_shown_in_full_where_asked(likewise):
    answer = likewise(
        "compare", "matched", "--seeds", "12", "--no-twin", "--json", "--set", "training.epochs=30"
    )
    assert answer.returncode == 0, answer.stderr
    short = json.loads(answer.stdout)
    assert short["verdict"] == "agree"
    assert "losses" not in short["runs"]["torch"][3]
    assert len(short["summary"]["torch"]["curves"]["epochs"]) == 30
    listed = json.loads(likewise("list", "--limit", "1", "--json").stdout)
    assert listed[0]["verdict"] == "agree"
    full = json.loads(likewise("show", short["experiment_id"], "--json", "--full").stdout)
    assert len(full["runs"]["torch"][3]["losses"]) == 30
    assert full["runs"]["torch"][3]["final_loss"] == short["runs"]["torch"][3]["final_loss"]
