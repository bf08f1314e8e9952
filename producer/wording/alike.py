"""Brings two sides' jobs into one wording, and says which settings differ in words alone. Pure.

The rules are tried in order, each on what the ones before it left. A rule may only take differences away: one
that would leave a difference that was not there before is not applied.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from likewise.producer.job.resolve import SettingDifference, setting_differences, without_consequences
from likewise.producer.wording.form import AS_IT_IS, Called, Facts, Form
from likewise.producer.wording.layers import Forms, kinds
from likewise.producer.wording.rules import Rule, applied, rules_for
from likewise.shared.job import Job
from likewise.shared.program import ProgramSpec
from likewise.shared.results.seed_table import SeedTable
from likewise.shared.run import Dataset, Run

SCALES = {
    "softmax": "Outputs are compared as probabilities.",
    "sigmoid": "Outputs are compared as probabilities.",
    "centred": "Logits are compared up to what is the same for every class, which a softmax does not see.",
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Couple:
    """Settings that are one: written differently, they compute the same."""

    rule: Rule
    differences: tuple[SettingDifference, ...]
    """What the rule took away, by the paths of the job file; layers of other kinds are told as lists."""

    @property
    def path(self) -> str:
        """The settings' paths together."""
        return " + ".join(one.path for one in without_consequences(self.differences))


@dataclass(frozen=True, kw_only=True)
class Wording:
    """Two sides' jobs in one wording."""

    names: tuple[str, str]
    """The reference's label and the other's."""
    declared: tuple[Job, Job]
    reference: Form
    other: Form
    couples: tuple[Couple, ...] = ()

    @cached_property
    def differences(self) -> list[SettingDifference]:
        """The settings that differ in what they compute, where a layer's place is the reference's."""
        return _differences(self.names, (self.reference, self.other))

    @property
    def is_read(self) -> bool:
        """Whether what a training returned is read otherwise than it stands there."""
        return self.reference.reading != AS_IT_IS or self.other.reading != AS_IT_IS

    @property
    def other_hashes(self) -> bool:
        """Whether the same start has other hashes: weights are named, drawn or counted otherwise."""
        drawn = self.reference.other_draws or self.other.other_draws
        return drawn or bool(self.reference.reading.changes or self.other.reading.changes)

    def read(self, tables: tuple[SeedTable, SeedTable]) -> tuple[SeedTable, SeedTable]:
        """Return the tables of the reference and of the other, read in this wording."""
        return tables[0].read_as(self.reference.reading), tables[1].read_as(self.other.reading)

    @property
    def datasets(self) -> dict[str, Dataset]:
        """The data that both train on in this wording, by label; empty where nothing was reworded."""
        if not self.couples:
            return {}
        known = self.reference.facts.dataset, self.other.facts.dataset
        mine, theirs = self.reference.job, self.other.job
        if mine.data == theirs.data and mine.loss.type == theirs.loss.type:
            known = known[0], known[0]
        return {name: one for name, one in zip(self.names, known, strict=True) if one is not None}

    @property
    def programs(self) -> dict[str, ProgramSpec]:
        """What both train in this wording, by label, as `datasets`."""
        both = (self.reference.program, self.other.program) if self.couples else (None, None)
        return {name: one for name, one in zip(self.names, both, strict=True) if one is not None}

    def runs(self, reference: Run, other: Run) -> tuple[Run, Run]:
        """Return the runs that train both in this wording, on the data that it names.

        Both draw as the reference does in its own words.
        """
        both = zip((reference, other), (self.reference.job, self.other.job), self.names, strict=True)
        mine, theirs = (
            run.model_copy(update={"job": job, "dataset": self.datasets.get(name, run.dataset)})
            for run, job, name in both
        )
        return mine.drawn_as(reference), theirs.drawn_as(reference)

    @property
    def scale(self) -> str | None:
        """The sentence on what outputs are compared as; None where that is as they are."""
        readings = self.reference.reading, self.other.reading
        scales = {scale for one in readings for scale in (one.scale, *(each for _, each in one.scales))}
        return next((SCALES[one] for one in scales if one in SCALES), None)


def in_one_wording(names: tuple[str, str], jobs: tuple[Job, Job], facts: tuple[Facts, Facts]) -> Wording:
    """Return both jobs in one wording, the reference's where there is a choice."""
    forms = (Form(job=jobs[0], facts=facts[0]), Form(job=jobs[1], facts=facts[1]))
    couples = []
    before = _differences(names, forms)
    several = any(job.model.outputs is not None for job in jobs)
    for rule in rules_for(forms) if before else ():
        apply = rule.of_several if several and rule.of_one_loss else rule.apply
        if apply is None:
            continue
        changed = applied(apply, forms)
        if changed is None:
            continue
        after = _differences(names, changed)
        kept = {one.path for one in after}
        new = kept - {one.path for one in before} - {rule.may_leave}
        if (new or len(after) >= len(before)) and not (rule.of_layers and len(after) < len(before)):
            continue
        gone = tuple(one for one in before if one.path not in kept)
        if rule.of_layers and kinds(forms[0]) != kinds(forms[1]):
            gone = (*_of_layers(names, forms), *(one for one in gone if not one.path.startswith("model.")))
        couples.append(Couple(rule=rule, differences=gone))
        forms, before = changed, after
    other = _weights_named_alike(*forms)
    return Wording(names=names, declared=jobs, reference=forms[0], other=other, couples=tuple(couples))


def _weights_named_alike(reference: Form, other: Form) -> Form:
    """Return the other's form with its weights by the reference's names, where their shapes pair in order.

    Where one model has a layer more, or two for one, its weights are called by other layers.
    """
    programs = reference.program, other.program
    if programs[0] is None or programs[1] is None:
        return other
    both = list(zip(programs[0].weights, programs[1].weights, strict=False))
    many = {len(program.weights) for program in programs if program is not None}
    if len(many) > 1 or any(mine.shape != theirs.shape for mine, theirs in both):
        return other
    if all(mine.name == theirs.name for mine, theirs in both):
        return other
    return other.weights_changed(Called(tuple((theirs.name, mine.name) for mine, theirs in both)))


def _differences(names: tuple[str, str], forms: Forms) -> list[SettingDifference]:
    if forms[0].job == forms[1].job:
        return []
    return setting_differences(dict(zip(names, (form.job for form in forms), strict=True)))


def _of_layers(names: tuple[str, str], forms: Forms) -> tuple[SettingDifference, ...]:
    """Return the models as lists of their layers' kinds."""
    lists: Sequence[Any] = [kinds(form) for form in forms]
    return (SettingDifference(path="model.layers", values=dict(zip(names, lists, strict=True))),)


def real_differences(
    declared: Sequence[SettingDifference], wordings: Mapping[str, Wording]
) -> list[SettingDifference]:
    """Return the settings that differ in what some side computes, with the value of every side."""
    if not any(wording.couples for wording in wordings.values()):
        return list(declared)
    by_path = {one.path: one for one in declared}
    found: dict[str, SettingDifference] = {}
    for wording in wordings.values():
        for one in wording.differences:
            known = by_path.get(one.path)
            same = known is not None and all(
                known.values.get(side) == one.values[side] for side in one.values
            )
            if known is not None and same:
                found[one.path] = known
            elif one.path in found:
                found[one.path] = SettingDifference(
                    path=one.path, values={**found[one.path].values, **one.values}
                )
            else:
                found[one.path] = one
    return list(found.values())
