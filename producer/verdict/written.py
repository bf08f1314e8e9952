"""What is said of settings that differ in words alone: notes, and a sentence where numbers disagree. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from likewise.producer.display import both, count, setting
from likewise.producer.job.resolve import SettingDifference, leaves
from likewise.producer.verdict.judge import Evidence, decided_over_seeds
from likewise.producer.verdict.knowledge import statement
from likewise.producer.verdict.models import Note, Verdict
from likewise.producer.wording.alike import Couple, Wording

MOST_SETTINGS = 4
"""The most settings of a couple that are told one by one."""
NOT_TRAINED_ON = ("metrics", "predict", "device", "execution", "precision")
"""Settings that are no part of what is computed, or are judged by themselves."""


def written_differently(verdict: Verdict, evidence: Evidence) -> Iterator[Note]:
    """Yield a note for each couple of settings that compute the same, and for what only the values show."""
    if verdict != "differ" or evidence.differences:
        told = dict.fromkeys(
            f"{_told(couple)}{_scale(wording, couple)}{_reworded(wording, couple)}"
            for wording in evidence.wordings.values()
            for couple in wording.couples
        )
        for text in told:
            yield _note(f"Written differently, computes the same: {text}")
    by_values = [one for one in evidence.differences if one.path.split(".")[0] not in NOT_TRAINED_ON]
    if verdict == "agree" and by_values and shown_by_values(evidence):
        yield _note(
            f"Written differently, computes the same here: {_paths(by_values)}. No rule says that they must; "
            "float64 shows it for this training."
        )


def shown_by_values(evidence: Evidence) -> bool:
    """Return whether float64 shows the sides equal, so that no difference of meaning hides in rounding."""
    if decided_over_seeds(evidence):
        return False
    exact = evidence.precisions == {"float64"} and not evidence.outside
    return exact or (evidence.twin is not None and evidence.twin.equal)


def unlike_the_rules(verdict: Verdict, evidence: Evidence) -> list[str]:
    """Say that the sides should compute the same and do not, by the rules that have exceptions if any do."""
    couples = [couple for wording in evidence.wordings.values() for couple in wording.couples]
    if verdict != "differ" or evidence.differences or not couples:
        return []
    told = []
    suspects = [couple for couple in couples if couple.rule.except_where] or couples
    for couple in dict.fromkeys(suspects):
        known = couple.rule.except_where
        but = f" This holds except where {known}." if known else ""
        told.append(f"By what is declared they compute the same, and they do not: {_told(couple)}{but}")
    return told


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


def _told(couple: Couple) -> str:
    named = [statement(one) for one in couple.differences[:MOST_SETTINGS]]
    if rest := len(couple.differences) - len(named):
        named.append(count(rest, "more setting"))
    return f"{couple.rule.says} ({'; '.join(named)})."


def _scale(wording: Wording, couple: Couple) -> str:
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


def _paths(differences: Sequence[SettingDifference]) -> str:
    named = [one.path for one in differences[:MOST_SETTINGS]]
    if rest := len(differences) - len(named):
        named.append(count(rest, "more setting"))
    return both(named)


def _note(text: str) -> Note:
    return Note(code="written_differently", text=text)
