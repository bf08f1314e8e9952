"""The explanation's page: each setting's share as a bar with its interval, what it does, and the code."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from likewise.producer.blame.explanation import Explanation
from likewise.producer.display import count, gap, setting
from likewise.producer.report.explanation_tables import in_every_measure, lines
from likewise.producer.report.figures import Axis, Figure, Guide, Series, Values
from likewise.producer.report.layout import (
    Block,
    Code,
    Drawing,
    Grid,
    Heading,
    Listing,
    Page,
    Prose,
    Section,
)


def page_of(explanations: Sequence[Explanation]) -> Page:
    """Return the page of one explanation or of several, of which the first one's picture stands on top."""
    first, *more = explanations
    others = " and ".join(one.other for one in explanations)
    return Page(
        title=f"Why {others} {'differ' if more else 'differs'} from {first.reference}",
        name=first.name,
        facts=(count(first.mixtures, "mixture"), count(len(first.seeds), "seed")),
        lead=first.sentence,
        reasons=[one.sentence for one in more],
        proof=_bars(first, place=0),
        sections=[
            section
            for place, one in enumerate(explanations)
            for section in _sections(one, place=place, several=bool(more))
            if section.blocks
        ],
        foot=() if first.experiment_id is None else (f"Experiment {first.experiment_id}",),
    )


def _sections(one: Explanation, *, place: int, several: bool) -> Iterator[Section]:
    whose = f", {one.other}" if several else ""
    yield Section(f"Shares of the difference{whose}", [*_shares(one, place=place)], f"Shares{whose}")
    yield Section(f"What each setting does, and the code{whose}", [*_causes(one)], f"Settings{whose}")
    yield Section(f"In every measure{whose}", [*_measures(one)])
    yield Section(
        f"How it was found{whose}",
        [
            Prose(
                f"{one.other} was trained with every setting as it has it, with every setting as "
                f"{one.reference} has it, and with mixtures of the two. A setting's share is how much of the "
                "gap closes when it is switched, averaged over the orders in which the settings can be "
                "switched (Shapley's value)."
            ),
            *([Listing(one.notes)] if one.notes else []),
        ],
    )


def _shares(one: Explanation, *, place: int) -> Iterator[Block]:
    if place > 0 and (bars := _bars(one, place=place)) is not None:
        yield bars
    shown = lines(one)
    if shown:
        caption = f"Of the gap in the {one.measure}, {gap(one.gap or 0.0)} {one.unit}" if one.measure else ""
        yield Grid(
            caption=caption,
            columns=("setting", one.reference, one.other, "share", "95 % interval"),
            rows=[(line.label, *line.values, line.share, line.interval) for line in shown],
            sides={1: 0, 2: place + 1},
            folds=True,
        )


def _causes(one: Explanation) -> Iterator[Block]:
    for line in lines(one):
        if not (line.cause or line.fixes):
            continue
        yield Heading(line.label)
        if line.cause:
            yield Prose(f"{line.cause[0].upper()}{line.cause[1:]}.")
        yield from (Code(says=f"{name} like {like}:", text=code) for name, like, code in line.fixes)


def _measures(one: Explanation) -> Iterator[Block]:
    if len(one.measures) > 1 and one.contributions:
        yield Grid(
            caption="The gap, and each setting's share of it",
            columns=("measure", "gap", *(part.path for part in one.contributions), "unexplained"),
            rows=[(name, apart, *shares, left) for name, apart, shares, left in in_every_measure(one)],
        )


def _bars(one: Explanation, *, place: int) -> Drawing | None:
    """Return the shares as bars from 0, with whiskers over their intervals; None where none is known."""
    parts = [
        (_label(part.path, [*part.values.values()]), part.share, part.interval) for part in one.contributions
    ]
    parts = [part for part in parts if part[1] is not None]
    if not parts:
        return None
    if one.unexplained_share is not None:
        parts.append(("unexplained", one.unexplained_share, one.unexplained_interval))
    rows: Values = [float(row) for row in range(len(parts))]
    shares = [share for _, share, _ in parts]
    wide = [(row, ends) for row, (_, _, ends) in zip(rows, parts, strict=True) if ends and ends[0] < ends[1]]
    drawn = [Series(kind="bars", name="share", label="share", side=0, x=shares, y=rows)]
    if wide:
        drawn.append(
            Series(
                kind="whiskers",
                name="95 % interval over seeds",
                label="95 % interval",
                side=None,
                x=[None] * len(wide),
                y=[row for row, _ in wide],
                low=[ends[0] for _, ends in wide],
                high=[ends[1] for _, ends in wide],
            )
        )
    return Drawing(
        name=f"shares-{place}" if place else "proof",
        says=f"How much of the gap between {one.reference} and {one.other} closes when a setting is "
        "switched: 1 is all of it.",
        figure=Figure(
            x=Axis(label="share of the gap"),
            y=Axis(label="", names=[name for name, _, _ in parts]),
            series=drawn,
            guides=[Guide(axis="x", value=0.0)],
            rows=4.5 + 2.4 * len(parts),
        ),
    )


def _label(path: str, values: list[object]) -> str:
    return f"{path}\n{' → '.join(setting(value) for value in values)}" if len(path) < 40 else path
