"""What the numbers show, in sentences: gaps, predictions, the float64 twin, tests over seeds, reruns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from likewise.producer import display
from likewise.producer.display import both, count, gap, number
from likewise.producer.verdict.equivalence import sentences
from likewise.producer.verdict.judge import Evidence, decided_over_seeds
from likewise.producer.verdict.models import (
    Gap,
    Note,
    OwnRerun,
    PairGaps,
    Twin,
    Verdict,
)
from likewise.producer.verdict.rounding import own_gap, worst_of
from likewise.shared.job import Job

MOST_NAMED = 3
"""The most arrays that are named of those that rounding parts."""


def number_sentences(verdict: Verdict, evidence: Evidence, jobs: Mapping[str, Job]) -> Iterator[str]:
    """Yield what the numbers show, the most important first, and what would decide where they do not."""
    yield from _amplified(evidence)
    yield from _predicted(evidence, jobs)
    for pair in _with_a_scale(evidence):
        yield _numbers(_trained(pair, evidence), evidence)
    yield from _twin(evidence)
    yield from _over_seeds(evidence)
    yield from _noise(evidence)
    yield from _undecided(verdict, evidence)
    yield from _undeclared(verdict, evidence)


def reporting_notes(evidence: Evidence) -> tuple[Note, ...]:
    """Return the note that sides trained the same and report it in other numbers, where they do."""
    if not evidence.reported_differently:
        return ()
    apart = [
        (pair.other, one)
        for pair in evidence.pairs
        for one in pair.largest
        if one.measure == "losses" and one.relative
    ]
    if not apart:
        return ()
    other, losses = max(apart, key=lambda found: found[1].relative or 0.0)
    identical = all(pair.seeds_identical == pair.seeds for pair in evidence.pairs)
    same = "the same bits were trained" if identical else "the same was trained, but for rounding"
    text = (
        f"What is reported differs, and nothing else: {same}, and the losses of {evidence.runs[0].side} and "
        f"{other} are up to {gap(losses.relative)} of the first apart ({losses.where})."
    )
    return (Note(code="reported_differently", text=text),)


def _over_seeds(evidence: Evidence) -> Iterator[str]:
    """Say what the tests show, where they decide, or where a real difference may matter or not."""
    if evidence.diverged_everywhere:
        return
    if decided_over_seeds(evidence) or (evidence.twin is not None and not evidence.twin.equal):
        yield from sentences(evidence.tests)


def _any_diverged(evidence: Evidence) -> bool:
    """Return whether some side diverged on some seed, which explains its gaps."""
    return any(one.diverged.any() for one in evidence.usefulness.values())


def _predicted(evidence: Evidence, jobs: Mapping[str, Job]) -> list[str]:
    """Say the first prediction in each side, where the numbers differ and it does."""
    asked = next(iter(jobs.values())).predicted_rows
    rescaled = any(wording.scale for wording in evidence.wordings.values())
    if not asked or not evidence.outside or rescaled or evidence.differs_in("predict"):
        return []
    sides = [run.side for run in evidence.runs]
    for seeds in zip(*(run.seeds for run in evidence.runs), strict=True):
        rows = [
            one.table.by_output(one.predictions[0])
            for one in seeds
            if one.predictions is not None and len(one.predictions)
        ]
        if len(rows) < len(sides) or len({tuple(row) for row in rows}) > 1:
            continue
        shown = {output: [display.predicted(row[output].tolist()) for row in rows] for output in rows[0]}
        apart = next((output for output, values in shown.items() if len(set(values)) > 1), None)
        if apart is None:
            return []
        end = f" for {apart}" if apart else ""
        pairs = zip(sides, shown[apart], strict=True)
        values = both([f"{name} predicts {value}{end}" for name, value in pairs])
        which = f" (seed {seeds[0].seed})" if len(evidence.runs[0].seeds) > 1 else ""
        return [f"At {display.asked(asked[0])}, {values}{which}."]
    return []


def _with_a_scale(evidence: Evidence) -> Sequence[PairGaps]:
    """Return the pairs whose gaps mean something, each with these gaps.

    They mean nothing where every training diverged, and where the samples trained on are of another shape or
    number. Where weights do not fit, the rest can be compared all the same.
    """
    if evidence.diverged_everywhere:
        return ()
    found = []
    for pair in evidence.pairs:
        misfits = evidence.misfits_of(pair.other)
        if misfits is None or not misfits.any_shape:
            found.append(pair)
        elif not misfits.of_samples and (comparable := _comparable(pair)).largest:
            found.append(comparable)
    return found


def _comparable(pair: PairGaps) -> PairGaps:
    """Return the pair with the gaps that can be measured."""
    return _only(pair, [one for one in pair.largest if one.problem is None])


def _only(pair: PairGaps, gaps: Sequence[Gap]) -> PairGaps:
    """Return the pair with some of its gaps, and the seeds that they are of."""
    kept = [place for place, one in enumerate(pair.largest) if one in gaps]
    return pair.model_copy(
        update={
            "largest": tuple(pair.largest[place] for place in kept),
            "largest_seeds": tuple(pair.largest_seeds[place] for place in kept),
        }
    )


def _trained(pair: PairGaps, evidence: Evidence) -> PairGaps:
    """Return a pair's gaps in what was trained, where the losses differ only as they are reported."""
    if not evidence.reported_differently or pair.seeds_identical == pair.seeds:
        return pair
    trained = _only(pair, [one for one in pair.largest if one.measure != "losses"])
    return trained.model_copy(update={"seeds_within_tolerance": pair.seeds})


def _numbers(pair: PairGaps, evidence: Evidence) -> str:
    names = f"{pair.reference} and {pair.other}"
    if not pair.seeds:
        return f"No seed finished in both {names}, so their numbers cannot be compared."
    problems = [one for one in pair.largest if one.problem]
    if problems:
        return f"The {problems[0].measure} of {names} cannot be compared: {problems[0].problem}."
    if pair.seeds_identical == pair.seeds:
        return f"{names} ended with bit for bit the same {_compared(pair.largest)}{_losses_too(pair)}."
    tolerance = evidence.tolerance
    other_scale = evidence.differs_in("loss")
    comparable = [one for one in pair.largest if one.measure != "losses" or not other_scale]
    worst = max(comparable, key=lambda one: one.relative or 0.0, default=None)
    if worst is None:
        but = " but losses, which are not the same function" if pair.largest else ""
        return f"{names} returned nothing that can be compared{but}."
    apart = " (losses aside: they are not the same function)" if other_scale else ""
    largest = f"the largest{apart} is {gap(worst.relative)}, in the {worst.measure}{_where(pair, worst)}."
    if (worst.relative or 0.0) <= tolerance.relative:
        whole = pair.seeds_within_tolerance == pair.seeds
        what = f"Every gap between {names}" if whole else f"What can be compared of {names}"
        return f"{what} is within the tolerance of {number(tolerance.relative)}: {largest}"
    seeds = ""
    if pair.seeds > 1:
        seeds = f" on {pair.seeds - pair.seeds_within_tolerance:,} of {pair.seeds:,} seeds"
    return f"Gaps between {names} are above the tolerance of {number(tolerance.relative)}{seeds}: {largest}"


def _where(pair: PairGaps, worst: Gap) -> str:
    seed = dict(zip((one.measure for one in pair.largest), pair.largest_seeds, strict=True))[worst.measure]
    parts = [*([worst.where] if worst.where else []), *([f"seed {seed}"] if pair.seeds > 1 else [])]
    return f" ({', '.join(parts)})" if parts else ""


def _compared(largest: Sequence[Gap]) -> str:
    return both([one.measure for one in largest if one.measure != "losses"])


def _losses_too(pair: PairGaps) -> str:
    losses = next((one for one in pair.largest if one.measure == "losses"), None)
    if losses is None or losses.relative is None:
        return ""
    if losses.relative == 0:
        return ", and the same losses"
    return f"; the losses they report differ by at most {gap(losses.relative)} of the first"


def _amplified(evidence: Evidence) -> list[str]:
    """Say of a float32 gap that the twin shows it to be rounding."""
    if evidence.twin is None or not evidence.twin.equal or not evidence.outside:
        return []
    if evidence.twin.amplified:
        return [_of_rounding(evidence.twin, evidence)]
    in_float64 = _in_float64(evidence.twin, evidence)
    return [
        f"{pair.reference} and {pair.other} compute the same: {in_float64} these trainings agree to "
        f"{gap(worst_of(pair).relative)}. The gap in float32 is rounding that training has amplified."
        for pair in evidence.twin.gaps
    ]


def _twin(evidence: Evidence) -> list[str]:
    """Say what else the same trainings in float64 show."""
    if evidence.twin is None or (evidence.twin.equal and evidence.outside):
        return []
    if evidence.twin.amplified:
        return [_of_rounding(evidence.twin, evidence)]
    lines = []
    in_float64 = _in_float64(evidence.twin, evidence).capitalize()
    for pair in evidence.twin.gaps:
        if not evidence.fits(pair.other):
            continue
        comparable = _comparable(_trained(pair, evidence))
        if not comparable.largest:
            continue
        worst = worst_of(comparable)
        some = any(one.problem for one in pair.largest)
        if evidence.twin.equal or evidence.reported_differently:
            lines.append(f"{in_float64} they agree to {gap(worst.relative)}: what is left is rounding.")
        elif some and (worst.relative or 0.0) <= evidence.twin.tolerance:
            lines.append(f"{in_float64} what can be compared agrees to {gap(worst.relative)}.")
        else:
            real = ": this is a real difference, not rounding" if evidence.float64_tells else ""
            lines.append(
                f"{in_float64} {pair.reference} and {pair.other} part by {gap(worst.relative)}, in the "
                f"{worst.measure}{real}."
            )
    return lines


def _of_rounding(twin: Twin, evidence: Evidence) -> str:
    """Say that each side parts from itself as the sides do, where its start moves in the last place."""
    rest = len(twin.amplified) - MOST_NAMED
    named = twin.amplified if rest <= 0 else (*twin.amplified[:MOST_NAMED], count(rest, "more array"))
    names = both(list(named))
    largest = max(worst_of(pair).relative or 0.0 for pair in twin.gaps)
    return (
        f"{_in_float64(twin, evidence).capitalize()} the losses agree and {names} part by {gap(largest)}, "
        "as a side does from itself when "
        "its start is moved by one unit in the last place: they have gradients of nothing but rounding, "
        "which the optimizer makes steps of."
    )


def _noise(evidence: Evidence) -> list[str]:
    """Return what each side's own rerun says, and of how many seeds, where it is not of all."""
    steady = [one for one in evidence.noise_floor if one.identical]
    lines = [
        f"Trained once more{_sample(one, evidence)}, {one.side} moves by {gap(own_gap(one))} itself: a gap "
        "below that is no evidence of a difference."
        for one in evidence.noise_floor
        if not one.identical
    ]
    if steady:
        each = "each " if len(steady) > 1 else ""
        fewest = min(steady, key=lambda one: one.seeds)
        names = both([one.side for one in steady])
        lines.append(f"Trained once more{_sample(fewest, evidence)}, {names} {each}gave the same bits.")
    return lines


def _in_float64(twin: Twin, evidence: Evidence) -> str:
    """Name the twin, and how many of the seeds it has, where it has not all of them."""
    sample = _sample(twin, evidence)
    return f"in float64,{sample}," if sample else "in float64"


def _sample(again: OwnRerun | Twin, evidence: Evidence) -> str:
    """Return how many of the seeds were trained again; nothing where all of them were."""
    seeds = max(len(run.seeds) for run in evidence.runs)
    return "" if again.seeds == seeds else f" on {again.seeds:,} of {seeds:,} seeds"


def _undecided(verdict: Verdict, evidence: Evidence) -> list[str]:
    """Say why rounding cannot be told from a difference, and what would tell them apart."""
    if not evidence.float64_tells and verdict != "agree":
        return [
            f"Nothing that was declared differs, and in float64 the losses are equal for "
            f"{count(evidence.equal_epochs or 0, 'epoch')} and part little by little after that: this "
            "training amplifies rounding without bound, so that its end cannot show whether the sides "
            "compute the same. With a lower learning rate or fewer epochs it can."
        ]
    if verdict == "inconclusive" and evidence.outside and not evidence.tests and not _any_diverged(evidence):
        return [
            "Nothing that was declared differs, so this may be float32 rounding that training has "
            "amplified: run it again with --set precision=float64 to decide."
        ]
    return []


def _undeclared(verdict: Verdict, evidence: Evidence) -> list[str]:
    """Ask for a report where sides differ and nothing accounts for it."""
    accounted = evidence.declared or evidence.other_start or evidence.other_batches or _any_diverged(evidence)
    if verdict != "differ" or accounted or not (evidence.outside or evidence.twin):
        return []
    return [
        "Nothing that was declared differs, and float64 leaves no room for rounding: the sides "
        "compute something different. Please report it."
    ]
