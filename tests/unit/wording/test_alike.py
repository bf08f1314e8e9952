"""Which settings compute the same, by rule: the couples of tests/planted, whose values are trained there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from likewise.producer.data.prepare import Arrays, prepare
from likewise.producer.job.resolve import resolve
from likewise.producer.wording.alike import Wording, in_one_wording
from likewise.producer.wording.form import Facts
from likewise.shared.job import Experiment, Job
from likewise.shared.run import Dataset, Samples
from tests.planted.couples import Pair, pairs
from tests.unit.verdict.samples import Store

STORE = Store()


def facts(job: Job) -> Facts:
    """What is known of a job's data, as a queued run has it."""
    data = prepare(job, Path())

    def samples(part: Arrays | None) -> Samples | None:
        if part is None:
            return None
        weights = None if part.weights is None else STORE.put(part.weights)
        return Samples(x=STORE.put(part.x), y=STORE.put(part.y), weights=weights)

    train = samples(data.train)
    assert train is not None
    dataset = Dataset(
        task=data.task, train=train, validation=samples(data.validation), test=samples(data.test)
    )
    return Facts(dataset=dataset, arrays=STORE.get)


def worded(document: dict[str, Any], names: tuple[str, str] = ("tensorflow", "torch")) -> Wording:
    jobs = resolve(Experiment.model_validate(document))
    both = jobs[names[0]], jobs[names[1]]
    return in_one_wording(names, both, (facts(both[0]), facts(both[1])))


@pytest.mark.parametrize("pair", pairs(), ids=lambda pair: pair.name)
def test_what_differs_is_what_computes_something_else(pair: Pair) -> None:
    found = worded(pair.document)

    if pair.only == ("any",) or not pair.rule:
        assert found.differences
        return
    assert sorted(one.path for one in found.differences) == sorted((*pair.only, *pair.told))
    rewritten = (found.reference.job, found.other.job) != found.declared
    assert bool(found.couples) == (rewritten or not pair.only)


@pytest.mark.parametrize(
    "pair",
    [pair for pair in pairs() if pair.agrees and pair.rule],
    ids=lambda pair: pair.name,
)
def test_either_wording_may_be_the_reference(pair: Pair) -> None:
    found = worded(pair.document, ("torch", "tensorflow"))
    assert sorted(one.path for one in found.differences) == sorted(pair.told)


def test_the_head_and_its_loss_are_one_couple() -> None:
    document = next(pair.document for pair in pairs() if pair.name == "with a decay")
    found = worded(document)

    assert [couple.path for couple in found.couples] == ["loss.from_logits + model.layers.1.activation.type"]
    assert found.scale == "Outputs are compared as probabilities."
    assert found.other.job.optimizer.weight_decay == 0.01


@pytest.mark.parametrize("pair", pairs(), ids=lambda pair: pair.name)
def test_a_reading_can_be_a_key(pair: Pair) -> None:
    found = worded(pair.document)
    assert len({found.reference.reading, found.other.reading}) in (1, 2)
