"""The comparison's page: the verdict with the picture that proves it, then all that leads to it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import yaml

from likewise.producer.display import complete, count, number
from likewise.producer.report import comparison_gaps as apart
from likewise.producer.report import comparison_tables as tables
from likewise.producer.report import figures_of_layers as layers
from likewise.producer.report import figures_of_outputs as outputs
from likewise.producer.report import figures_of_training as training
from likewise.producer.report import truth as known
from likewise.producer.report.figures_of_verdict import proof
from likewise.producer.report.layout import (
    Block,
    Code,
    Drawing,
    Fold,
    Grid,
    Heading,
    Listing,
    Matrices,
    Page,
    Prose,
    Section,
    Specimens,
    Stages,
)
from likewise.producer.report.specimens import specimens
from likewise.producer.report.truth import Truth
from likewise.producer.verdict.divergence_map import DivergenceMap
from likewise.producer.verdict.models import Comparison

_LOOKS = {"within": "within", "rounding": "within", "above": "above"}
_MOST_WEIGHTS = 8
"""The most numbers of a model whose learned values are shown one by one."""


def page_of(comparison: Comparison, truth: Truth | None = None, maps: Sequence[DivergenceMap] = ()) -> Page:
    """Return the page; without `truth` it has no picture of predictions, without `maps` none of replays."""
    shown = proof(comparison)
    parted = [one.sentence for one in comparison.first_divergences]
    return Page(
        title=tables.title(comparison),
        name=comparison.name,
        facts=(_seeds(comparison), _when(comparison)),
        tone=comparison.verdict,
        notes=[note.text for note in comparison.notes],
        lead=comparison.reasons[0],
        proof=None if shown is None else Drawing(name="proof", says=shown[0], figure=shown[1]),
        reasons=[one for one in comparison.reasons[1:] if one not in parted],
        sections=[section for section in _sections(comparison, truth, maps) if section.blocks],
        foot=(f"Experiment {comparison.experiment_id}",),
    )


def _sections(
    comparison: Comparison, truth: Truth | None, maps: Sequence[DivergenceMap]
) -> Iterator[Section]:
    yield Section("Where they part first", [*_partings(comparison)], "First difference")
    yield Section("Settings that differ", [*_differing(comparison)], "Settings")
    yield Section("Side by side", [*_side_by_side(comparison)])
    yield Section("What each side learned", [*_learned(comparison, truth)], "Learned")
    yield Section("Loss", [*_losses(comparison)])
    yield Section("Layer by layer", [*_layers(comparison, maps)])
    yield Section("How the gap grows", [*_growth(comparison)], "Rounding")
    yield Section("Time and memory", [*_times(comparison)])
    yield Section("What ran", [*_environment(comparison)])
    yield Section("Run it again", [*_again(comparison)])


def _partings(comparison: Comparison) -> Iterator[Block]:
    several = len(comparison.first_divergences) > 1
    for parting in comparison.first_divergences:
        if several:
            yield Heading(parting.other)
        label = f"Stages of update {parting.step}, seed {parting.seed}"
        yield Stages(label, [(mark.stage, mark.state) for mark in apart.stages(parting)])
        yield Prose(parting.sentence)
        if values := apart.divergence(comparison, parting):
            yield beside("Both values where the difference is largest", comparison, values)


def _differing(comparison: Comparison) -> Iterator[Block]:
    differing = tables.differing_settings(comparison)
    if differing:
        yield beside("What was declared differently", comparison, differing, marks=True)
    else:
        yield Prose(f"Every setting is the same in {' and '.join(comparison.sides)}.")
    for one in comparison.mendings:
        yield Heading(one.path)
        yield from (Code(says=f"{name} like {like}:", text=code) for name, like, code in one.fixes)
    every = tables.all_settings(comparison)
    said = "Every setting, with nothing left to a default"
    yield Fold("All settings", [beside(said, comparison, every, marks=True)])


def _side_by_side(comparison: Comparison) -> Iterator[Block]:
    results = tables.results(comparison)
    if not results:
        yield Prose("No side has a result.")
        return
    yield beside("What each side ended with", comparison, results)
    gaps = apart.gaps(comparison)
    if not gaps:
        return
    yield Grid(
        caption=f"How far from {comparison.sides[0]}, relative to its largest value (losses: to its first)",
        columns=("", "gap", f"tolerance {number(comparison.tolerance.relative)}", "largest at"),
        rows=[(one.label, one.text, one.word, one.where) for one in gaps],
        words=_LOOKS,
    )
    if tests := apart.tests(comparison):
        pairs = ", in pairs" if comparison.equivalence[0].paired else ""
        said = {"agree": "equivalent", "differ": "different", "inconclusive": "open"}
        yield Grid(
            caption=f"Over {comparison.equivalence[0].seeds:,} seeds{pairs}",
            columns=("measure", "difference of means", "90 % interval", "margin", "effect size", "verdict"),
            rows=[
                (one.label, one.difference, one.interval, one.margin, one.effect,
                 said[one.verdict] + (f", {one.needs} seeds would tell" if one.needs else ""))
                for one in tests
            ],
        )  # fmt: skip
    yield Fold("Why this tolerance", [Prose(comparison.tolerance.why)])


def _learned(comparison: Comparison, truth: Truth | None) -> Iterator[Block]:
    if truth is None:
        return
    sides = comparison.sides
    of_seed = f" Of seed {truth.seed}." if len(comparison.experiment.seed_list) > 1 else ""
    if truth.task == "regression":
        yield from _weights(comparison, truth)
        said = (
            "The known points, each side's function through them, and what it predicts."
            if truth.is_line
            else "What each side predicts (upwards) against what was known (across); the diagonal is perfect."
        )
        yield Drawing(name="fit", says=said + of_seed, figure=outputs.learned(truth, sides))
        if (left := outputs.residuals(truth, sides)) is not None:
            said = (
                "Residuals: what each side gives less what was known, where the lines above cover each other."
            )
            yield Drawing(name="residuals", says=said + of_seed, figure=left)
    elif _shows_classes(truth):
        matrices = known.confusions(truth, sides)
        differing = known.disagreements(truth)
        said = (
            f"The sides put {differing} of {matrices[0].total} {truth.part} samples into different classes."
            if differing
            else f"The sides put every {truth.part} sample into the same class."
        )
        yield Prose(said + of_seed)
        if different := specimens(truth, sides):
            yield Specimens(different)
            if differing > len(different):
                yield Prose(f"The first {len(different)} of them are shown.", quiet=True)
        yield Matrices(matrices)
        if (sure := outputs.calibration(truth, sides)) is not None:
            said = (
                "Calibration: how often a side is right where it is so sure of a class. Below the diagonal "
                "it is surer than it is right."
            )
            yield Drawing(name="calibration", says=said, figure=sure)


def _weights(comparison: Comparison, truth: Truth) -> Iterator[Block]:
    """Yield what was learned number by number where it is few, beside the line of least squares."""
    place = comparison.experiment.seed_list.index(truth.seed)
    learned: dict[str, dict[str, float]] = {}
    for run in comparison.runs:
        if run.side in truth.outputs:
            weights = run.table.weights()
            if sum(array[place].size for array in weights.values()) > _MOST_WEIGHTS:
                return
            for name, array in weights.items():
                values = array[place].reshape(-1).tolist()
                for index, value in enumerate(values):
                    label = name if len(values) == 1 else f"{name}[{index}]"
                    learned.setdefault(label, {})[run.side] = value
    if not learned:
        return
    line = known.line_through(truth) if len(learned) == 2 else None
    best = ("the data’s own line" if line.exact else "least squares",) if line else ()
    rows = []
    for label, values in learned.items():
        cells = [complete(values.get(side)) for side in comparison.sides]
        is_slope = "bias" not in label
        told = [complete(line.slope if is_slope else line.intercept)] if line else []
        rows.append((label, *cells, *told))
    if truth.predict is not None and line:
        for row, x in enumerate(truth.predict.reshape(-1).tolist()):
            given = [truth.predictions.get(side) for side in comparison.sides]
            cells = [complete(None if one is None else float(one.reshape(-1)[row])) for one in given]
            rows.append((f"prediction at {x:g}", *cells, complete(line.slope * x + line.intercept)))
    yield Grid(
        caption="What was learned, number by number",
        columns=("", *comparison.sides, *best),
        rows=rows,
        sides=_columns(comparison),
    )


def _losses(comparison: Comparison) -> Iterator[Block]:
    figure = training.losses(comparison)
    if figure is None:
        return
    sides = " and ".join(comparison.sides)
    yield Drawing(name="losses", says=f"Loss over epochs of {sides}.", figure=figure, switches_scale=True)
    if (gap := training.loss_gap(comparison)) is not None:
        several = " (of the medians over seeds)" if len(comparison.experiment.seed_list) > 1 else ""
        said = f"The gap between the losses{several}, on its own logarithmic axis."
        yield Drawing(name="loss-gap", says=said, figure=gap)
    if (final := training.final_losses_over_seeds(comparison)) is not None:
        said = "The final loss of each seed, with the median and the middle nine tenths."
        yield Drawing(name="final-losses", says=said, figure=final)


def _layers(comparison: Comparison, maps: Sequence[DivergenceMap]) -> Iterator[Block]:
    for place, one in enumerate(maps):
        said = (
            f"How far {one.other} is from {one.reference} in each tensor of each update that was replayed, "
            f"of seed {one.seed}: an empty cell is equal, green within {one.tolerance:.0e} of the largest "
            "value, orange with a stroke is above."
        )
        yield Drawing(name=f"spread-{place}", says=said, figure=layers.spread(one))
    if (figure := layers.weights(comparison)) is not None:
        said = "The trained weights, each with its largest gap over seeds."
        yield Drawing(name="weights", says=said, figure=figure)


def _growth(comparison: Comparison) -> Iterator[Block]:
    figure = training.growth(comparison)
    if figure is None:
        return
    yield Prose(
        "Rounding grows as training goes on, and is about a billion times smaller in float64; a real "
        "difference is as large there."
    )
    said = (
        f"The gap in the loss over epochs, in the declared precision and in float64, of seed "
        f"{comparison.growth[0].seed}. An epoch without a value had equal losses, bit for bit."
    )
    yield Drawing(name="growth", says=said, figure=figure)


def _times(comparison: Comparison) -> Iterator[Block]:
    if times := tables.times(comparison):
        yield beside("Of all seeds together, by each worker's clock", comparison, times)
        yield Prose("Not a ranking: these runs were not alone on their hosts, nor repeated.", quiet=True)


def _environment(comparison: Comparison) -> Iterator[Block]:
    if not (ran := tables.environment(comparison)):
        return
    yield beside("As recorded by the workers", comparison, ran)
    if notes := [*tables.notes(comparison)]:
        yield Listing(notes)
    every = beside("Versions, flags, hosts", comparison, tables.full_environment(comparison))
    yield Fold("Everything the workers recorded", [every])


def _again(comparison: Comparison) -> Iterator[Block]:
    yield Code(
        says="Save this as job.yaml, then: likewise compare job.yaml",
        text=_as_yaml(_job_file(comparison)),
        file="job.yaml",
    )


def beside(caption: str, comparison: Comparison, lines: Sequence[tables.Row], *, marks: bool = False) -> Grid:
    """Return rows with a cell for each side as a table; with `marks` those that differ are marked."""
    return Grid(
        caption=caption,
        columns=("", *comparison.sides),
        rows=[(line.label, *line.cells) for line in lines],
        sides=_columns(comparison),
        differing=frozenset(place for place, line in enumerate(lines) if marks and line.differs),
        folds=marks,
    )


def _columns(comparison: Comparison) -> dict[int, int]:
    return {place + 1: place for place in range(len(comparison.sides))}


def _seeds(comparison: Comparison) -> str:
    return count(len(comparison.experiment.seed_list), "seed")


def _when(comparison: Comparison) -> str:
    return datetime.fromtimestamp(comparison.submitted_s, tz=UTC).strftime("%-d %B %Y, %H:%M UTC")


def _shows_classes(truth: Truth) -> bool:
    return (truth.classes or 2) <= known.MOST_CLASSES and all(
        outputs.shape[1] in (1, truth.classes) for outputs in truth.outputs.values()
    )


def _job_file(comparison: Comparison) -> dict[str, Any]:
    """Return the experiment without what is left at its default."""
    declared = comparison.experiment
    return {"schema_version": declared.schema_version} | declared.model_dump(
        mode="json", exclude_defaults=True
    )


def _as_yaml(document: object) -> str:
    """Return a job file in block style, keys in the given order, short lists on one line."""
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


class _Dumper(yaml.SafeDumper):
    """This writes lists of plain values in flow style."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002  # repeated values are written out
        return True

    def represent_sequence(
        self, tag: str, sequence: Iterable[Any], flow_style: bool | None = None
    ) -> yaml.SequenceNode:
        items = list(sequence)
        plain = not any(isinstance(item, dict) for item in items)
        return super().represent_sequence(tag, items, flow_style=plain or flow_style)
