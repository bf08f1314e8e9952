"""The verdict in sentences, for someone who sees such a comparison for the first time.

Failures first, then what was declared differently, then what the start and the batches were, then the
numbers. Every sentence stands alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from likewise.producer.display import both, count, number, setting
from likewise.producer.job.resolve import SettingDifference, leaves, without_consequences
from likewise.producer.verdict.judge import Evidence, decided_over_seeds, failed_on_the_job
from likewise.producer.verdict.knowledge import Setup, conventions, effect, statement, together
from likewise.producer.verdict.layer_lists import LAYERS, in_another_order
from likewise.producer.verdict.models import (
    Note,
    ReplayFindings,
    SeedGaps,
    SideRuns,
    Verdict,
)
from likewise.producer.verdict.number_sentences import number_sentences
from likewise.producer.wording.alike import Couple, Wording
from likewise.shared.job import Job
from likewise.shared.results.run_result import Failure

NOT_ALIKE = "This is not like for like: "
OTHER_WORDS = "Declared otherwise, and the same in float64: "
ALIKE_BUT_RUN = "Like for like but for how it is run: "
_HOW_IT_IS_RUN = ("execution", "device")
"""Settings that change rounding at most."""
MOST_SETTINGS = 3
"""Differing conventions that get a sentence each; the rest are named together."""
MOST_OF_A_KIND = 2
"""The most settings that only one of two kinds has which are told with the kind."""
MOST_OF_A_COUPLE = 4
"""The most settings of a couple that are told one by one."""
NOT_TRAINED_ON = ("metrics", "predict", "limits", "device", "execution", "precision")
"""Settings that are no part of what is computed, or are judged by themselves."""

_FAILED = {
    "diverged": "diverged",
    "out_of_memory": "ran out of memory",
    "bad_index": "failed on a number that is no row of an embedding",
    "bad_shape": "failed on arrays that do not fit together",
    "bad_weights": "could not use the given initial weights",
    "unsupported": "cannot do what the job asks",
    "too_large": "is larger than its worker takes on",
    "data_damaged": "could not read its data",
    "data_unreachable": "has a worker that cannot reach its data (LIKEWISE_BLOB_URL)",
    "hung": "stood still, twice",
    "program_refused": "has a program that its worker does not run",
    "program_failed": "has a program that failed",
    "time_limit": "took longer than it may",
    "cancelled": "was cancelled",
    "worker_lost": "lost its worker too often",
    "invalid": "could not be read by its worker",
    "internal": "failed by a fault of Likewise",
}


def reasons(
    verdict: Verdict, evidence: Evidence, setup: Setup, *, traced: ReplayFindings | None = None
) -> tuple[str, ...]:
    """Return the sentences, the most important first; never empty."""
    if len(evidence.runs) < 2:
        alone = f"Only {evidence.runs[0].side} was asked for, so there is nothing to compare it with."
        return (*_failures(evidence.runs), alone)
    sentences = [
        *_misfits(verdict, evidence, setup),
        *_failures(evidence.runs),
        *_differing_settings(verdict, evidence, setup),
        *_unlike_the_rules(verdict, evidence),
        *_traced(traced, evidence),
        *_start(evidence, setup.jobs),
        *_batches(evidence),
        *_epochs(evidence.seed_gaps),
        *number_sentences(verdict, evidence, setup.jobs),
    ]
    nothing = "Every training diverged" if evidence.diverged_everywhere else "No training has finished"
    return tuple(sentences) or (f"{nothing}, so there is nothing to compare.",)


def _misfits(verdict: Verdict, evidence: Evidence, setup: Setup) -> list[str]:
    """Say what of the data and the weights is not the same, unless all is the same in the end.

    It is the finding, together with the setting that weighs most, whose effect is said after it.
    """
    found = [] if verdict == "agree" else [said for one in evidence.misfits for said in one.sentences()]
    main = conventions(without_consequences(_told(evidence)))[:1]
    if not found or not main:
        return found
    difference = together(main[0])
    shapes = [f"{said[0].lower()}{said[1:]}" for said in found]
    sentence = "; ".join([f"{NOT_ALIKE}{statement(difference)}", *(said.rstrip(".") for said in shapes)])
    what = effect(difference, setup)
    return [f"{sentence}.", *([f"{what[0].upper()}{what[1:]}"] if what else [])]


def _traced(traced: ReplayFindings | None, evidence: Evidence) -> list[str]:
    """Say where they part, or why that is not known; what does not fit has been said."""
    if traced is None:
        return []
    return [*(one.sentence for one in traced.divergences if evidence.fits(one.other)), *traced.notes]


def _failures(runs: Sequence[SideRuns]) -> list[str]:
    sentences = []
    for run in runs:
        failed = [seed for seed in run.seeds if seed.failure is not None]
        if failed:
            first = failed[0].failure
            assert first is not None  # noqa: S101  # by the line above
            share = "" if len(failed) == len(run.seeds) else f" on {len(failed)} of {len(run.seeds)} seeds"
            why = "." if first.reason == "cancelled" else f": {_sentence(first.message)}"
            sentences.append(f"{run.side} {_FAILED[first.reason]}{_place(first)}{share}{why}")
        if missing := [seed for seed in run.seeds if seed.status == "missing"]:
            sentences.append(f"{run.side} has no result for {count(len(missing), 'seed')}.")
    finished = [run.side for run in runs if any(seed.status == "succeeded" for seed in run.seeds)]
    broken = [run.side for run in runs if any(failed_on_the_job(seed) for seed in run.seeds)]
    if broken and (whole := [side for side in finished if side not in broken]):
        sentences.append(f"{both(whole)} trained to the end.")
    return sentences


def _place(failure: Failure) -> str:
    at = [f"{name} {value}" for name in ("epoch", "step") if (value := getattr(failure, name)) is not None]
    return f" at {', '.join(at)}" if at else ""


def _sentence(message: str) -> str:
    text = message.strip() or "no more is known"
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _differing_settings(verdict: Verdict, evidence: Evidence, setup: Setup) -> list[str]:
    differences = _told(evidence)
    main = conventions(without_consequences(differences))[:MOST_SETTINGS]
    only_run = all(one.path in _HOW_IT_IS_RUN for one in differences)
    same = verdict == "agree" and _are_words(evidence)
    begins = ALIKE_BUT_RUN if only_run else OTHER_WORDS if same else NOT_ALIKE
    sentences = []
    named = sum(map(len, main))
    said = 1 if _misfits(verdict, evidence, setup) else 0
    for place, group in enumerate(main[said:], start=said):
        difference = together(group)
        own = [_of_its_kind(one, differences) for one in group]
        what = None if same else effect(difference, setup)
        stated = statement(_with_its_own(difference, own[0]) if _are_alike(own) else difference)
        sentences.append(f"{begins if place == 0 else ''}{stated}{f'; {what}' if what else '.'}")
        named += sum(map(len, own)) if _are_alike(own) else 0
    if rest := len(differences) - named:
        verb = "differs" if rest == 1 else "differ"
        sentences.append(f"{count(rest, 'more setting')} {verb}; the table of settings has them all.")
    if sentences and verdict == "agree" and not only_run and not same:
        over_seeds = evidence.outside and decided_over_seeds(evidence)
        sentences.append(f"{'Over seeds, the results' if over_seeds else 'The numbers'} agree all the same.")
    return sentences


def _told(evidence: Evidence) -> list[SettingDifference]:
    """Return the settings that are told: of models with other numbers of layers, what layers they have.

    By their places such layers cannot be held against each other, one by one, nor can layers in another
    order.
    """
    for wording in evidence.wordings.values():
        lists = [
            [layer.type for layer in form.job.model.layers] for form in (wording.reference, wording.other)
        ]
        if len(lists[0]) != len(lists[1]) or in_another_order(*lists):
            layers = SettingDifference(path=LAYERS, values=dict(zip(wording.names, lists, strict=True)))
            rest = [one for one in evidence.differences if not one.path.startswith("model.layers.")]
            return [layers, *rest]
    return list(evidence.differences)


def _are_words(evidence: Evidence) -> bool:
    """Return whether the values show that no setting has an effect in this training."""
    trained = all(one.path.split(".")[0] not in NOT_TRAINED_ON for one in evidence.differences)
    return trained and not evidence.reported_differently and _shown_by_values(evidence)


def _of_its_kind(
    difference: SettingDifference, differences: Sequence[SettingDifference]
) -> list[SettingDifference]:
    """Return the settings that differ because only one of two kinds has them, where those are few."""
    if not difference.path.endswith(".type"):
        return []
    kind = difference.path.removesuffix("type")
    found = [one for one in differences if one.path.startswith(kind) and one.path != difference.path]
    of_one = all(sum(value is not None for value in one.values.values()) == 1 for one in found)
    return found if of_one and len(found) <= MOST_OF_A_KIND else []


def _are_alike(own: Sequence[Sequence[SettingDifference]]) -> bool:
    """Return whether layers that are told together have the same settings of their kinds."""
    told = [[(one.path.rpartition(".")[2], one.values) for one in found] for found in own]
    return all(one == told[0] for one in told)


def _with_its_own(difference: SettingDifference, own: Sequence[SettingDifference]) -> SettingDifference:
    """Return a difference of kinds whose values name each kind's own settings: `hard_sigmoid (slope 0.2)`."""
    values = dict(difference.values)
    for side, kind in difference.values.items():
        named = [
            f"{one.path.rpartition('.')[2]} {number(value) if isinstance(value, float) else setting(value)}"
            for one in own
            if (value := one.values.get(side)) is not None
        ]
        if named:
            values[side] = f"{kind} ({', '.join(named)})"
    return SettingDifference(path=difference.path, values=values)


def _start(evidence: Evidence, jobs: Mapping[str, Job]) -> list[str]:
    apart = [gaps for gaps in evidence.other_start if evidence.fits(gaps.other)]
    if not apart or evidence.differs_in("initial_weights", "precision", "model"):
        return []
    seeds = "" if len(apart) == len(evidence.seed_gaps) else f" on {count(len(apart), 'seed')}"
    kinds = {job.initial_weights.type for job in jobs.values()}
    if kinds == {"framework"}:
        return [
            f"They did not start from the same weights{seeds}: initial_weights is framework, so each drew "
            "its own default. With initial_weights: shared both start alike."
        ]
    return [
        f"They did not start from the same weights{seeds}, although the job gives both the same: report this."
    ]


def _batches(evidence: Evidence) -> list[str]:
    apart = [gaps for gaps in evidence.other_batches if evidence.fits(gaps.other)]
    if not apart or evidence.differs_in("data", "training", "model"):
        return []
    shorter = any(gaps.epochs[0] != gaps.epochs[1] for gaps in apart)
    if shorter:
        return []
    return ["They did not train on the same batches, although the job gives both the same: report this."]


def _epochs(seed_gaps: Sequence[SeedGaps]) -> list[str]:
    apart = [gaps for gaps in seed_gaps if gaps.epochs[0] != gaps.epochs[1]]
    if not apart:
        return []
    first = apart[0]
    return [
        f"{first.reference} trained {count(first.epochs[0], 'epoch')} and {first.other} {first.epochs[1]:,} "
        f"(seed {first.seed}); the gap in the losses is over the epochs that both trained."
    ]


def written_differently(verdict: Verdict, evidence: Evidence) -> Iterator[Note]:
    """Yield a note for each couple of settings that compute the same, and for what only the values show."""
    if verdict != "differ" or evidence.differences:
        texts = dict.fromkeys(
            f"{_couple(couple)}{_outputs_scale(wording, couple)}{_reworded(wording, couple)}"
            for wording in evidence.wordings.values()
            for couple in wording.couples
        )
        for text in texts:
            yield _written(f"Written differently, computes the same: {text}")
    by_values = [one for one in _told(evidence) if one.path.split(".")[0] not in NOT_TRAINED_ON]
    if verdict == "agree" and by_values and _shown_by_values(evidence):
        yield _written(
            f"Written differently, computes the same here: {_some_paths(by_values)}. No rule says that they "
            "must; float64 shows it for this training."
        )


def _shown_by_values(evidence: Evidence) -> bool:
    """Return whether float64 shows the sides equal, so that no difference of meaning hides in rounding."""
    if decided_over_seeds(evidence):
        return False
    exact = evidence.precisions == {"float64"} and not evidence.outside
    return exact or (evidence.twin is not None and evidence.twin.equal)


def _unlike_the_rules(verdict: Verdict, evidence: Evidence) -> list[str]:
    """Say that the sides should compute the same and do not, by the rules that have exceptions if any do."""
    couples = [couple for wording in evidence.wordings.values() for couple in wording.couples]
    if verdict != "differ" or evidence.differences or not couples:
        return []
    sentences = []
    suspects = [couple for couple in couples if couple.rule.except_where] or couples
    for couple in dict.fromkeys(suspects):
        known = couple.rule.except_where
        but = f" This holds except where {known}." if known else ""
        sentences.append(
            f"By what is declared they compute the same, and they do not: {_couple(couple)}{but}"
        )
    return sentences


def _couple(couple: Couple) -> str:
    differences = without_consequences(couple.differences)
    named = [statement(one) for one in differences[:MOST_OF_A_COUPLE]]
    if rest := len(differences) - len(named):
        named.append(count(rest, "more setting"))
    return f"{couple.rule.says} ({'; '.join(named)})."


def _outputs_scale(wording: Wording, couple: Couple) -> str:
    return f" {wording.scale}" if wording.scale and couple.rule.sets_scale else ""


def _reworded(wording: Wording, couple: Couple) -> str:
    """Say what a setting is in the reference's words, where it is told with another value than declared."""
    reference, other = wording.names
    declared = dict(leaves(wording.declared[1].model_dump(mode="json")))
    named = [
        f"{one.path} is {setting(one.values[other])}"
        for one in wording.differences
        if couple.rule.of_numbers and declared.get(one.path, one.values[other]) != one.values[other]
    ]
    return f" In {reference}'s words {other}'s {both(named)}." if named else ""


def _some_paths(differences: Sequence[SettingDifference]) -> str:
    named = [one.path for one in differences[:MOST_OF_A_COUPLE]]
    if rest := len(differences) - len(named):
        named.append(count(rest, "more setting"))
    return both(named)


def _written(text: str) -> Note:
    return Note(code="written_differently", text=text)
