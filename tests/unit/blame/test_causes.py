"""Where several settings part two sides, a comparison lists each with its share, the largest first."""

from __future__ import annotations

import pytest

from likewise.producer.blame.causes import shares, with_causes
from likewise.producer.compare import Background, basis_of
from likewise.producer.follow_ups import CAUSES, Judged
from likewise.producer.runs.results import FinishedRuns
from likewise.producer.verdict.models import FirstDivergence, ReplayFindings
from likewise.producer.verdict.side_runs import side_runs
from likewise.shared.job import Experiment
from likewise.shared.ledger.records import ExperimentRecord
from likewise.shared.results.run_result import RunResult, Timings
from tests.listed import packed

TWO = {"loss.reduction": "sum", "optimizer.momentum": 0.3}
SENTENCE = "They first part at update 1 (seed 0), in the loss."
PARTED = FirstDivergence(
    seed=0, step=1, stage="loss", tensor="loss", relative_difference=5.0, reference="tensorflow",
    other="torch", precision="float64", sentence=SENTENCE,
)  # fmt: skip


@pytest.fixture
def outcome(bench):
    """Return a comparison of honest trainings on the line, which a trace has parted at the first loss."""

    def outcome(overrides, *, train_s=0.001, parted=PARTED):
        runs = bench.ends(overrides)
        declared = Experiment.model_validate(
            {"name": "line"}
            | runs[0].job.model_dump(mode="json", exclude={"name"})
            | {"overrides": {"torch": overrides}}
        )
        record = ExperimentRecord(
            experiment_id="4f7a1c4f7a1c4f7a1c4f",
            submitted_s=1.0,
            experiment=declared,
            run_ids=tuple(run.run_id for run in runs),
        )
        results = {run.side: trained(bench, run, train_s=train_s) for run in runs}
        sides = side_runs(declared, results, bench.store.get)
        jobs = {run.side: run.job for run in runs}
        basis = basis_of(record, jobs, sides, bench.store.get, background=Background())
        return Judged(
            record=record,
            comparison=basis.comparison(ReplayFindings(divergences=(parted,) if parted else ())),
            basis=basis,
            runs=runs,
            ended=True,
            arrays=bench.store.get,
            finished={},
        )

    return outcome


def trained(bench, run, *, train_s=0.001):
    timings = Timings(build_s=0, compile_s=0, train_s=train_s, predict_s=0)
    seeds = [bench._train(run, seed).model_copy(update={"timings": timings}) for seed in run.seeds]
    return RunResult(
        run_id=run.run_id, experiment_id=run.experiment_id, framework=run.framework, status="succeeded",
        arrays=packed(seeds),
    )  # fmt: skip


def said_by(bench, outcome):
    """Carry the plan out, and return the comparison with what it gave."""
    (wanted,) = next(shares(outcome, pytest.fail))
    runs = [run.model_copy(update={"run_id": f"run-{place:04d}"}) for place, run in enumerate(wanted.runs)]
    finished = FinishedRuns(record=outcome.record, runs=[(run, trained(bench, run)) for run in runs])
    return with_causes(outcome, finished)


def test_each_of_several_causes_is_listed_with_its_share_the_largest_first(bench, outcome):
    comparison = said_by(bench, outcome(TWO))
    (found,) = comparison.first_divergences
    whole = bench.explain(bench.plan(TWO, seeds=(0,)))

    assert [(one.path, one.share) for one in found.causes] == [
        (one.path, pytest.approx(one.share)) for one in whole.contributions
    ]
    assert found.causes[0].share > found.causes[1].share
    assert found.causes[0].values == {"tensorflow": "mean", "torch": "sum"}


def test_the_sentence_of_the_parting_says_them_wherever_it_stands(bench, outcome):
    comparison = said_by(bench, outcome(TWO))
    sentence = comparison.first_divergence.sentence

    assert sentence.startswith(f"{SENTENCE} Of the gap in the predictions, loss.reduction makes ")
    assert sentence in comparison.reasons
    assert SENTENCE not in comparison.reasons


def test_settings_that_cancel_are_said_to(bench, outcome):
    overrides = {"loss.reduction": "sum", "optimizer.learning_rate": 0.01 / 6 * 1.01}

    assert "nearly cancel" in said_by(bench, outcome(overrides)).first_divergence.sentence


def test_a_mixture_that_has_no_result_leaves_the_comparison_as_it_was(outcome):
    before = outcome(TWO)
    nothing = FinishedRuns(record=before.record, runs=[])

    assert with_causes(before, nothing) == before.comparison


@pytest.mark.parametrize(
    ("overrides", "parted"),
    [
        ({"loss.reduction": "sum"}, PARTED),
        (TWO, None),
        (TWO, PARTED.model_copy(update={"shapes": {"tensorflow": (5,), "torch": (6,)}})),
        (TWO | {"training.epochs": 50, "optimizer.learning_rate": 0.02, "training.shuffle": True}, PARTED),
    ],
    ids=["one setting", "nothing parts", "shapes part", "many settings"],
)
def test_nothing_is_trained_where_there_are_no_several_causes_to_tell_apart(outcome, overrides, parted):
    assert list(shares(outcome(overrides, parted=parted), pytest.fail)) == []


def test_shares_that_take_long_are_left_to_explain_in_words(outcome):
    said = []
    given = outcome(TWO, train_s=60.0)

    assert list(shares(given, said.append)) == []
    assert said == [
        "the shares of 2 settings are left out: they would take about 181 s more; likewise explain 4f7a1c4f "
        "finds them"
    ]


def test_what_was_trained_for_it_is_not_trained_again(outcome):
    given = outcome(TWO)
    known = FinishedRuns(record=given.record, runs=[])

    assert list(shares(Judged(**{**vars(given), "finished": {CAUSES: known}}), pytest.fail)) == []
