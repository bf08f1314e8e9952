"""`likewise explain` as a user types it, with a real Redis and real workers."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ARTICLE = (
    "loss.reduction (sum against mean) explains 100 % of the difference: with 6 points a sum is a learning "
    "rate 6 times higher."
)


@pytest.fixture(scope="module")
def explained(likewise):
    """The document of a job that is explained."""

    def explain(*words):
        answer = likewise("explain", *words, "--json")
        assert answer.returncode == 0, answer.stderr
        assert answer.stderr == ""
        return json.loads(answer.stdout)

    return explain


def shares(document):
    return {one["path"]: one["share"] for one in document["contributions"]}


@pytest.fixture(scope="module")
def article(explained):
    return explained("article")


def test_the_article_is_explained_by_its_sum_and_nothing_remains(article):
    assert article["sentence"] == ARTICLE
    assert shares(article) == {"loss.reduction": pytest.approx(1.0, abs=1e-3)}
    assert abs(article["unexplained_share"]) < 1e-3
    (one,) = article["contributions"]
    assert (one["tensorflow"], one["torch"]) == ("mean", "sum")
    assert one["interval"] == pytest.approx([1.0, 1.0], abs=1e-2)
    assert len(article["seeds"]) == 5


def test_what_was_trained_is_used_again_by_id(article, likewise, desk):
    record = desk.ledger.experiment(article["experiment_id"])
    mixtures = desk.ledger.experiment(record.related["mixtures"])
    answer = likewise("explain", article["experiment_id"])

    assert len(mixtures.run_ids) == 3
    assert ARTICLE in answer.stdout
    assert desk.ledger.experiment(article["experiment_id"]).related == record.related


def test_an_experiment_with_one_seed_is_explained_with_more_on_its_own_data(likewise, explained, desk):
    compared = json.loads(likewise("compare", "article", "--no-twin", "--json").stdout)
    found = explained(compared["experiment_id"])

    assert found["sentence"] == ARTICLE
    record = desk.ledger.experiment(compared["experiment_id"])
    runs = [desk.ledger.run(one) for one in desk.ledger.experiment(record.related["mixtures"]).run_ids]
    assert {run.seeds for run in runs} == {(0, 1, 2, 3, 4)}
    assert {run.dataset for run in runs} == {desk.ledger.run(record.run_ids[0]).dataset}


def test_two_settings_that_interact_share_the_gap_and_nothing_remains(explained):
    overrides = "overrides={torch: {optimizer.momentum: 0.6, optimizer.learning_rate: 0.005}}"
    found = explained("matched", "--set", "training.epochs=60", "--set", overrides)

    assert set(shares(found)) == {"optimizer.momentum", "optimizer.learning_rate"}
    assert sum(shares(found).values()) == pytest.approx(1.0, abs=1e-3)
    assert found["mixtures"] == 4


def test_a_setting_that_does_nothing_here_gets_no_share(explained):
    overrides = "overrides={torch: {loss.reduction: sum, training.drop_last: true}}"
    found = explained("matched", "--set", "training.batch_size=6", "--set", overrides)

    assert shares(found)["training.drop_last"] == pytest.approx(0.0, abs=1e-3)
    assert shares(found)["loss.reduction"] == pytest.approx(1.0, abs=1e-3)


def test_native_defaults_are_ranked_by_what_they_do_to_this_job(explained):
    """Epsilon is the famous difference; on this job the initial weights are what matters."""
    words = ("--set", "training.epochs=5", "--seeds", "3", "--combinations", "2")
    found = explained("diabetes", "--set", "defaults=native", *words)
    told = shares(found)

    assert found["contributions"][0]["path"].endswith("kernel_initializer")
    assert abs(told["optimizer.epsilon"]) < 0.02
    assert sum(told.values()) + found["unexplained_share"] == pytest.approx(1.0)
    assert found["unexplained_share"] < 0.01
    assert "nn.init.xavier_uniform_" in found["contributions"][0]["fixes"]["torch"]


def test_jobs_that_do_not_differ_leave_nothing_to_explain(explained):
    found = explained("matched", "--seeds", "2")

    assert found["sentence"].startswith("Nothing is left to explain: no setting differs")
    assert found["contributions"] == []


def test_a_training_that_diverges_is_explained_by_what_makes_it_train(explained):
    overrides = "overrides={torch: {optimizer.learning_rate: 1000.0}}"
    found = explained("matched", "--set", overrides)

    assert found["measure"] == "divergence"
    assert shares(found) == {"optimizer.learning_rate": 1.0}


def test_what_cannot_be_explained_is_refused_in_a_sentence_before_anything_is_trained(
    likewise, article, desk
):
    before = desk.ledger.experiments(limit=1)[0].experiment_id
    alone = likewise("explain", "matched", "--set", "frameworks=[torch]")
    changed = likewise("explain", article["experiment_id"], "--set", "training.epochs=3")
    unknown = likewise("explain", "article", "--framework", "jax")

    assert desk.ledger.experiments(limit=1)[0].experiment_id == before
    assert (alone.returncode, changed.returncode, unknown.returncode) == (2, 2, 2)
    assert "only torch trains matched" in alone.stderr
    assert "--set changes a job file" in changed.stderr
    assert "it can be torch" in unknown.stderr


def test_what_it_costs_is_said_before_and_what_the_budget_leaves_out_is_named(likewise):
    overrides = "overrides={torch: {loss.reduction: sum, optimizer.momentum: 0.3}}"
    answer = likewise("explain", "article", "--set", overrides, "--budget", "0")

    assert "2 settings differ: 4 mixtures with 5 seeds each tell what each does" in answer.stderr
    assert "to stay within the budget of 0 s, 1 of 5 seeds is trained; " in answer.stderr
    assert "note: To stay within the budget of 0 s, " in answer.stdout
    assert "optimizer.momentum is not switched; all of it would take about" in answer.stdout


def test_data_of_other_shapes_are_told_with_both(explained):
    found = explained("article", "--set", "overrides={torch: {data.x: [0, 1, 2], data.y: [-1, 1, 3]}}")

    (data,) = found["contributions"]
    assert data["cause"] == (
        "the data are not the same: the training x is 6×1 in tensorflow and 3×1 in torch; the training y is "
        "6×1 in tensorflow and 3×1 in torch"
    )


ENDLESS = ("--set", "training.epochs=300000", "--seeds", "1", "--budget", "100000")


def test_ctrl_c_cancels_the_experiment_and_its_mixtures(start, desk, until):
    """The other side trains one epoch, and the reference's many where they are switched."""
    many = ("--set", "training.epochs=1000000", "--set", "overrides={torch: {training.epochs: 1}}")
    process = start("explain", "article", *ENDLESS, *many)
    process.heard("explaining by")

    def training() -> bool:
        whole = desk.ledger.experiments(limit=1)[0]
        mixed = whole.related.get("mixtures")
        runs = () if mixed is None else desk.ledger.records(desk.ledger.experiment(mixed).run_ids)
        return any(run.state == "leased" for run in runs)

    until(training, within_s=60, what="a mixture is trained")
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)

    assert process.returncode == 130
    assert "what was not finished is cancelled; likewise explain" in said
    assert "Traceback" not in said
    newest = desk.ledger.experiments(limit=1)[0]
    mixtures = desk.ledger.experiment(newest.related["mixtures"])
    until(
        lambda: all(run.final for run in desk.ledger.records((*newest.run_ids, *mixtures.run_ids)))
        and any(run.state == "cancelled" for run in desk.ledger.records(mixtures.run_ids)),
        within_s=5, what="all runs are cancelled",
    )  # fmt: skip


def test_ctrl_c_cancels_an_experiment_that_has_no_mixtures_yet(start, desk, until):
    process = start(
        "explain", "-v", "article", "--set", "training.epochs=1000000", "--set", "execution=eager"
    )
    process.heard("training")
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)

    assert process.returncode == 130
    assert "are cancelled" in said
    newest = desk.ledger.experiments(limit=1)[0]
    assert "mixtures" not in newest.related
    until(
        lambda: all(run.state == "cancelled" for run in desk.ledger.records(newest.run_ids)),
        within_s=5, what="all runs are cancelled",
    )  # fmt: skip
