"""Brings two sides' jobs into one wording, and says which settings differ in words alone. Pure.

The rules are tried in order, each on what the ones before it left. A rule may only take differences away: one
that would leave a difference that was not there before is not applied.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydantic import ValidationError

from likewise.producer.job.resolve import SettingDifference, setting_differences
from likewise.producer.wording import (
    data,
    functions,
    gathering,
    held,
    initializers,
    layers,
    losses,
    outputs,
    synonyms,
    taken,
    training,
)
from likewise.producer.wording.form import AS_IT_IS, Facts, Form, Renamed
from likewise.producer.wording.layers import Forms
from likewise.shared.errors import LikewiseError
from likewise.shared.job import Job
from likewise.shared.program import ProgramSpec
from likewise.shared.results.seed_table import SeedTable
from likewise.shared.run import Dataset, Run

SCALES = {
    "softmax": "Outputs are compared as probabilities.",
    "sigmoid": "Outputs are compared as probabilities.",
    "centred": "Logits are compared up to what is the same for every class, which a softmax does not see.",
}


@dataclass(frozen=True, kw_only=True)
class Rule:
    """It says of some settings that other values of them compute the same."""

    says: str
    """Why, as a clause."""
    apply: Callable[[Form, Form], Forms | None]
    except_where: str | None = None
    """Where it does not hold, as a clause, if there is such a place."""
    sets_scale: bool = False
    """Whether outputs are compared on another scale for it."""
    of_numbers: bool = False
    """Whether it changes numbers that stay in the job."""
    of_one_loss: bool = False
    """Whether it is about the loss of an only output."""
    of_several: Callable[[Form, Form], Forms | None] | None = None
    """The same of each of several outputs; where there is none, it is not tried where there are several."""
    of_layers: bool = False
    """Whether it changes how many layers there are, so that a path names another layer afterwards."""
    loosely: Callable[[Form, Form], Forms | None] | None = None
    """The same where other layers may still be written otherwise, for a rule on how many layers there are."""
    may_leave: str | None = None
    """The setting that may differ after it and did not before: what is reported, of the same training."""


RULES = (
    Rule(says="the samples are the same arrays", apply=data.same_data),
    Rule(
        says="an activation is a layer of its own or belongs to the layer before it",
        apply=layers.folded,
        loosely=layers.folded_loosely,
        of_layers=True,
    ),
    Rule(
        says="zeros at the edges are a layer of their own or padding of the layer behind them",
        apply=synonyms.padded_within,
        loosely=synonyms.padded_loosely,
        of_layers=True,
    ),
    Rule(
        says="a recurrent layer gives its last step by itself, or that is cut off its sequence",
        apply=taken.taken_alike("last step"),
        loosely=taken.taken_loosely("last step"),
        of_layers=True,
    ),
    Rule(
        says="a global pooling is a pooling over all of its input with a flatten behind it",
        apply=taken.taken_alike("pooling"),
        loosely=taken.taken_loosely("pooling"),
        except_where="several numbers of a window are the largest, whose gradient a global pooling shares "
        "out and another gives to the first",
        of_layers=True,
    ),
    Rule(says="a layer's name is a handle and no part of the model", apply=layers.named_alike),
    Rule(
        says="labels are smoothed in the data or by the loss, and a divergence from them is the "
        "cross-entropy less a constant",
        apply=data.smoothed_targets,
    ),
    Rule(
        says="labels are smoothed in the data or by the loss",
        apply=data.smoothed_classes,
    ),
    Rule(
        says="a focal loss whose gamma is 0 is the cross-entropy",
        apply=losses.plain_focal,
        of_one_loss=True,
        of_several=outputs.of_each(losses.plain_focal),
    ),
    Rule(
        says="Tversky's loss of two halves is Dice",
        apply=losses.dice_is_tversky,
        of_one_loss=True,
        of_several=outputs.of_each(losses.dice_is_tversky),
    ),
    Rule(
        says="alpha weighs no class",
        apply=training.idle("loss.alpha", losses.balances_nothing),
        of_one_loss=True,
        of_several=outputs.of_each(training.idle("loss.alpha", losses.balances_nothing)),
    ),
    Rule(says="a hinge's targets are 0 and 1, or −1 and 1", apply=data.signed_targets, of_one_loss=True),
    Rule(
        says="classes are weighed by the loss or sample by sample",
        apply=data.weighted_samples,
    ),
    Rule(
        says="the softmax or sigmoid stands in the model before a loss on probabilities, or in a loss on "
        "logits",
        apply=training.head,
        of_one_loss=True,
        of_several=outputs.heads,
        sets_scale=True,
        except_where="probabilities are clipped to [1e-7, 1 − 1e-7], which logits are not",
        of_layers=True,
    ),
    Rule(says="both words are one layer", apply=synonyms.named_otherwise),
    Rule(says="one number stands for every axis and side", apply=layers.numbers_alike),
    Rule(says="every window stands in the same place", apply=layers.padded_alike),
    Rule(says="this layer is not frozen", apply=layers.frozen_alike),
    Rule(says="both words are one function", apply=functions.functions_alike),
    Rule(says="this flatten has only one order", apply=layers.flattened_alike),
    Rule(
        says="batch normalization takes off the mean, and with it any bias in front of it",
        apply=layers.bias_before_batch_norm,
    ),
    Rule(says="both words draw the same distribution", apply=initializers.drawn_alike),
    Rule(says="AdamW is Adam with decoupled decay", apply=training.adamw_is_adam),
    Rule(says="every update has the same learning rate", apply=training.same_rates),
    Rule(
        says="where a step is the learning rate times the gradient alone, decay in the gradient is decay of "
        "the weights",
        apply=training.idle("optimizer.weight_decay_kind", training.decay_is_plain),
    ),
    Rule(
        says="at one learning rate momentum gathers steps or gradients to the same",
        apply=training.idle("optimizer.momentum_convention", training.momentum_is_plain),
    ),
    Rule(says="the same weights decay", apply=training.same_groups),
    Rule(says="both keep the same weights within the same bounds", apply=held.held_alike),
    Rule(
        says="the gradient of an L2 penalty is a decay of twice as much",
        apply=held.decay_in_the_loss,
        may_leave="training.report_penalty",
    ),
    Rule(
        says="no penalty is in any loss",
        apply=training.idle("training.report_penalty", held.reports_no_penalty),
    ),
    Rule(
        says="a batch is taken whole, or in parts whose mean is the same",
        apply=gathering.gathered_alike,
        of_one_loss=True,
    ),
    *(
        Rule(says="no average of the weights is kept", apply=training.idle(path, training.keeps_no_average))
        for path in (
            "optimizer.ema_momentum",
            "optimizer.ema_start",
            "optimizer.ema_use",
            "optimizer.ema_buffers",
        )
    ),
    Rule(
        says="no layer tells training from evaluation",
        apply=training.idle("training.evaluation_mode", training.knows_no_mode),
    ),
    Rule(
        says="every group is of equal batches",
        apply=training.idle("training.accumulation", gathering.gathers_evenly),
        of_one_loss=True,
    ),
    Rule(
        says="no epoch's end cuts a group",
        apply=training.idle("training.accumulation_remainder", gathering.cuts_no_group),
    ),
    Rule(
        says="without bias correction epsilon joins the same root",
        apply=training.idle("optimizer.epsilon_placement", training.corrects_no_bias),
    ),
    Rule(
        says="no norm is clipped",
        apply=training.idle("optimizer.clip_epsilon", training.clips_no_norm),
    ),
    Rule(
        says="no mean is taken of weighted elements",
        apply=training.idle("loss.weighting", training.weighs_nothing),
        of_one_loss=True,
        of_several=outputs.of_each(training.idle("loss.weighting", training.weighs_nothing)),
    ),
    Rule(
        says="no target is the class that is ignored",
        apply=training.idle("loss.ignore_index", training.ignores_nothing),
        of_one_loss=True,
    ),
    Rule(
        says="an epoch is one batch of all samples",
        apply=training.idle("training.batch_size", training.is_one_batch),
        of_one_loss=True,
    ),
    Rule(
        says="the samples fall into whole batches",
        apply=training.idle("training.drop_last", training.leaves_nothing_out),
    ),
    Rule(
        says="nothing is shuffled",
        apply=training.idle("training.shuffle_seed", training.never_shuffles),
    ),
    Rule(
        says="the reduction multiplies the loss by a number that the optimizer's numbers take back",
        apply=training.reduction,
        of_one_loss=True,
        of_numbers=True,
    ),
    Rule(
        says="a softmax does not see what is added to every logit",
        apply=layers.head_shifted,
        of_one_loss=True,
        sets_scale=True,
    ),
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Couple:
    """Settings that are one: written differently, they compute the same."""

    rule: Rule
    differences: tuple[SettingDifference, ...]
    """What the rule took away, by the paths of the job file where layers are as many in both."""

    @property
    def path(self) -> str:
        """The settings' paths together."""
        return " + ".join(one.path for one in self.differences)


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
    for rule in _rules(forms) if before else ():
        apply = rule.of_several if several and rule.of_one_loss else rule.apply
        if apply is None:
            continue
        changed = _applied(apply, forms)
        if changed is None:
            continue
        after = _differences(names, changed)
        kept = {one.path for one in after}
        new = kept - {one.path for one in before} - {rule.may_leave}
        if (new or len(after) >= len(before)) and not (rule.of_layers and len(after) < len(before)):
            continue
        gone = tuple(one for one in before if one.path not in kept)
        if len(forms[0].job.model.layers) != len(forms[1].job.model.layers):
            gone = (*_of_layers(names, forms), *(one for one in gone if not one.path.startswith("model.")))
        couples.append(Couple(rule=rule, differences=gone))
        forms, before = changed, after
    other = _weights_named_alike(*forms)
    return Wording(names=names, declared=jobs, reference=forms[0], other=other, couples=tuple(couples))


def _weights_named_alike(reference: Form, other: Form) -> Form:
    """Return the other's form with its weights by the reference's names, where they are the same in order.

    Where one model has a layer more, the weights of later layers are called by other places.
    """
    programs = reference.program, other.program
    if programs[0] is None or programs[1] is None:
        return other
    mine, theirs = ([(one.own_name, one.shape) for one in program.weights] for program in programs if program)
    names: dict[str, set[str]] = {}
    if mine == theirs:
        for one, two in zip(programs[0].weights, programs[1].weights, strict=True):
            names.setdefault(two.layer, set()).add(one.layer)
    if any(len(every) > 1 for every in names.values()):
        return other
    renamed = {own: every.pop() for own, every in names.items()}
    if all(own == name for own, name in renamed.items()):
        return other
    return other.weights_changed(Renamed.of(renamed))


def _applied(apply: Callable[[Form, Form], Forms | None], forms: Forms) -> Forms | None:
    """Return what a rule makes of both; None too where that is no job, or the old data are gone."""
    try:
        return apply(*forms)
    except (ValidationError, LikewiseError, LookupError):
        return None


def _rules(forms: Forms) -> Sequence[Rule]:
    """Return the rules, with one before them where only several together make the layers as many in both."""
    together, now = [], forms
    for rule in RULES:
        changed = None if rule.loosely is None else _applied(rule.loosely, now)
        if changed is not None:
            together.append(rule)
            now = changed
    if len(together) < 2 or not layers.as_many(now):
        return RULES
    said = "; ".join(rule.says for rule in together)
    excepted = next((rule.except_where for rule in together if rule.except_where), None)
    return (Rule(says=said, apply=lambda *_: now, except_where=excepted, of_layers=True), *RULES)


def _differences(names: tuple[str, str], forms: Forms) -> list[SettingDifference]:
    if forms[0].job == forms[1].job:
        return []
    return setting_differences(dict(zip(names, (form.job for form in forms), strict=True)))


def _of_layers(names: tuple[str, str], forms: Forms) -> tuple[SettingDifference, ...]:
    """Return the models as lists of their layers' kinds."""
    lists: Sequence[Any] = [layers.kinds(form) for form in forms]
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
