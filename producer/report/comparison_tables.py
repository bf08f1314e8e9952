"""The tables of a Comparison as rows of text, which every format only lays out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

import numpy as np

from likewise.producer import display
from likewise.producer.display import both, setting
from likewise.producer.job.resolve import shown_settings
from likewise.producer.verdict.models import (
    Comparison,
    SideRuns,
    Spread,
    Verdict,
)
from likewise.producer.verdict.side_runs import final_losses

MOST_PREDICTIONS = 10
FEWEST_FOR_QUANTILES = 11
"""The fewest seeds whose quantiles say more than their spread."""
_PARTS = ("test", "validation", "train")
_TITLES: dict[Verdict, str] = {
    "agree": "{names} agree",
    "differ": "{names} differ",
    "inconclusive": "{names}: no verdict yet",
}


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row has a label and one cell for each side; `differs` marks unequal cells."""

    label: str
    cells: tuple[str, ...]
    differs: bool = False


def title(comparison: Comparison) -> str:
    """Return the verdict as a title: `tensorflow and torch differ`."""
    return _TITLES[comparison.verdict].format(names=both(comparison.sides))


def results(comparison: Comparison) -> list[Row]:
    """Return final losses, predictions and metrics, side by side."""
    several = len(comparison.experiment.seed_list) > 1
    return with_values(
        [
            *_states(comparison),
            _by_side(comparison, "final loss", lambda run: _spread(run.final_loss, several)),
            *_quantiles(comparison),
            *_epochs(comparison),
            *_predictions(comparison),
            *_metrics(comparison, several),
        ]
    )


def times(comparison: Comparison) -> list[Row]:
    """Return durations and memory, of all seeds of a run together."""

    def total(name: str) -> Callable[[SideRuns], str]:
        def text(run: SideRuns) -> str:
            known = [getattr(seed.timings, name) for seed in run.seeds if seed.timings is not None]
            known = [value for value in known if value is not None]
            return display.seconds(sum(known) if known else None)

        return text

    def queued(run: SideRuns) -> str:
        known = (seed.timings.queue_s for seed in run.seeds if seed.timings is not None)
        return display.seconds(next(known, None))

    def peak(run: SideRuns) -> str:
        known = (seed.memory.peak_bytes for seed in run.seeds)
        return display.size(max((one for one in known if one), default=None))

    found = [
        _by_side(comparison, "in the queue", queued),
        _by_side(comparison, "build", total("build_s")),
        _by_side(comparison, "compile", total("compile_s")),
        _by_side(comparison, "train", total("train_s")),
        _by_side(comparison, "predict", total("predict_s")),
        _by_side(comparison, "peak memory", peak),
    ]
    return with_values(found)


def environment(comparison: Comparison) -> list[Row]:
    """Return what ran, as its workers recorded it."""

    def of(pick: Callable[[Any], Any]) -> Callable[[SideRuns], str]:
        return lambda run: str(pick(run.environment)) if run.environment else display.MISSING

    def threads(found: Any) -> str:
        return f"{found.device}, {found.threads} thread{'' if found.threads == 1 else 's'}"

    def version(name: str, found: Any) -> str:
        return str(found.versions.get(name, display.MISSING))

    return with_values(
        [
            _by_side(comparison, "version", of(lambda found: found.framework_version)),
            *(
                _by_side(comparison, name, of(partial(version, name)))
                for name in _packages_that_differ(comparison)
            ),
            _by_side(comparison, "device", of(threads)),
            _by_side(comparison, "execution", of(lambda found: found.execution)),
        ]
    )


def _packages_that_differ(comparison: Comparison) -> list[str]:
    """Return the packages, beside the frameworks, that the sides have in unlike versions."""
    found = [run.environment.versions for run in comparison.runs if run.environment]
    frameworks = {run.environment.framework for run in comparison.runs if run.environment}
    common = set.intersection(*map(set, found)) if found else set()
    return [name for name in sorted(common - frameworks) if len({versions[name] for versions in found}) > 1]


def notes(comparison: Comparison) -> Iterator[str]:
    """Yield what the workers said of how they trained the seeds."""
    for run in comparison.runs:
        for note in run.notes:
            yield f"{run.side}: {note}"


def full_environment(comparison: Comparison) -> list[Row]:
    """Return everything the workers recorded: versions, flags, host, image."""
    rows = environment(comparison)
    for kind in ("versions", "flags"):
        names: dict[str, None] = {}
        for run in comparison.runs:
            names.update(dict.fromkeys(getattr(run.environment, kind, {})))
        for name in names:

            def text(run: SideRuns, kind: str = kind, name: str = name) -> str:
                return str(getattr(run.environment, kind, {}).get(name, display.MISSING))

            rows.append(_by_side(comparison, name, text))
    for name in ("platform", "host", "image"):

        def place(run: SideRuns, name: str = name) -> str:
            return getattr(run.environment, name, None) or display.MISSING

        rows.append(_by_side(comparison, name, place))
    return with_values(rows)


def differing_settings(comparison: Comparison) -> list[Row]:
    """Return the settings that are not the same everywhere."""
    return [
        Row(
            label=one.path,
            cells=tuple(setting(one.values.get(name)) for name in comparison.sides),
            differs=True,
        )
        for one in comparison.setting_differences
    ]


def all_settings(comparison: Comparison) -> list[Row]:
    """Return every setting of the resolved jobs, leaf by leaf, in the order of the job file."""
    frameworks = {run.side: run.framework for run in comparison.runs}
    by_side = {name: shown_settings(job, frameworks[name]) for name, job in comparison.jobs.items()}
    paths = dict.fromkeys(path for values in by_side.values() for path in values)
    rows = []
    for path in paths:
        cells = tuple(
            setting(by_side[name][path]) if path in by_side.get(name, {}) else display.MISSING
            for name in comparison.sides
        )
        rows.append(Row(label=path, cells=cells, differs=len(set(cells)) > 1))
    return rows


def with_values(rows: list[Row]) -> list[Row]:
    """Return the rows that have a value for at least one side."""
    return [row for row in rows if set(row.cells) != {display.MISSING}]


def _by_side(comparison: Comparison, label: str, text: Callable[[SideRuns], str]) -> Row:
    cells = tuple(text(run) for run in comparison.runs)
    return Row(label=label, cells=cells, differs=len(set(cells)) > 1)


def _states(comparison: Comparison) -> Iterator[Row]:
    if not comparison.failed:
        return

    def text(run: SideRuns) -> str:
        good = sum(seed.status == "succeeded" for seed in run.seeds)
        if len(run.seeds) > 1:
            return f"{good} of {len(run.seeds)} seeds"
        failure = run.seeds[0].failure
        return failure.reason.replace("_", " ") if failure else run.seeds[0].status

    yield _by_side(comparison, "state", text)


def _quantiles(comparison: Comparison) -> Iterator[Row]:
    """Yield the median and the 5 % and 95 % quantiles of the final losses of many seeds."""
    if len(comparison.experiment.seed_list) < FEWEST_FOR_QUANTILES:
        return
    for label, share in (("median", 0.5), ("5 %", 0.05), ("95 %", 0.95)):

        def text(run: SideRuns, share: float = share) -> str:
            known = final_losses(run.table)
            return display.six_digits(float(np.quantile(known, share)) if len(known) else None)

        yield _by_side(comparison, f"final loss, {label}", text)


def _epochs(comparison: Comparison) -> Iterator[Row]:
    """Yield the epochs trained where they differ or a training stopped early: else the settings say it."""

    def text(run: SideRuns) -> str:
        trained = sorted({seed.epochs for seed in run.seeds if seed.epochs is not None})
        if not trained:
            return display.MISSING
        return f"{trained[0]}" if len(trained) == 1 else f"{trained[0]} to {trained[-1]}"

    row = _by_side(comparison, "epochs trained", text)
    if row.differs or any(seed.stopped_early for run in comparison.runs for seed in run.seeds):
        yield row


def _first_predicted(comparison: Comparison) -> int | None:
    """Return the index of the first seed with predictions in every side, or else in any."""
    listed = [[seed.predictions is not None for seed in run.seeds] for run in comparison.runs]
    for enough in (all, any):
        for place, sides in enumerate(zip(*listed, strict=True)):
            if enough(sides):
                return place
    return None


def _predictions(comparison: Comparison) -> Iterator[Row]:
    asked = comparison.experiment.predicted_rows
    seeds = comparison.experiment.seed_list
    first = _first_predicted(comparison)
    if first is None:
        return
    of_seed = f", seed {seeds[first]}" if len(seeds) > 1 else ""
    outputs = list(comparison.runs[0].table.output_columns) or [""]
    for (place, row), output in product(enumerate(asked[:MOST_PREDICTIONS]), outputs):

        def text(run: SideRuns, place: int = place, output: str = output) -> str:
            predicted = run.seeds[first].predictions
            if predicted is None or place >= len(predicted):
                return display.MISSING
            own = run.table.by_output(predicted[place]).get(output)
            return display.MISSING if own is None else display.predicted(own.tolist())

        of_output = f" of {output}" if output else ""
        yield _by_side(comparison, f"prediction{of_output} at {display.asked(row)}{of_seed}", text)
    if (rest := len(asked) - MOST_PREDICTIONS) > 0:
        yield Row(label=f"{rest} more predictions", cells=("in --json",) * len(comparison.runs))


def _metrics(comparison: Comparison, several: bool) -> Iterator[Row]:
    for part in _PARTS:
        for name in dict.fromkeys(n for run in comparison.runs for n in run.metrics.get(part, {})):

            def text(run: SideRuns, part: str = part, name: str = name) -> str:
                return _spread(run.metrics.get(part, {}).get(name), several)

            yield _by_side(comparison, f"{part} {name}", text)


def _spread(spread: Spread | None, several: bool) -> str:
    """Return such as `0.961 ± 0.004` over several seeds, or the one number."""
    if spread is None or not several or spread.count == 1 or spread.deviation is None:
        return display.six_digits(spread.mean if spread else None)
    return f"{display.rounded(spread.mean, 4)} ± {display.rounded(spread.deviation, 2)}"
