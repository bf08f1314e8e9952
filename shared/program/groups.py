"""Which weights of a program an optimizer's groups name, by the words of a job file. Pure."""

from __future__ import annotations

from likewise.shared.job.optimizer import Optimizer
from likewise.shared.program.spec import ProgramSpec, Stage, Weight


def words_of(stage: Stage, weight: Weight) -> set[str]:
    """Return every word that names a weight: its name and last word, and its layer's name and kind."""
    return {weight.name, weight.own_name.rpartition(".")[2], stage.path, stage.kind}


def decaying(program: ProgramSpec, optimizer: Optimizer) -> dict[str, bool]:
    """Return of each trainable weight, by name, whether it is among those that decay."""
    included, excluded = optimizer.include_in_weight_decay, set(optimizer.exclude_from_weight_decay)
    return {
        weight.name: bool(words_of(stage, weight) & set(included))
        if included is not None
        else not words_of(stage, weight) & excluded
        for stage in program.stages
        for weight in stage.weights
        if weight.trainable
    }


def unknown_words(program: ProgramSpec, words: tuple[str, ...]) -> tuple[str, ...]:
    """Return the words that name no weight of the program."""
    known = {word for stage in program.stages for weight in stage.weights for word in words_of(stage, weight)}
    return tuple(word for word in words if word not in known)
