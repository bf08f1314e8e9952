"""The experiments of one subject, which share a page: how they are found, and why each is the one.

A subject is a declared job on its samples: what the job file says, but for its name, its seeds and its grid,
which say how often and along what it is trained. So a comparison, an explanation, a bench and a sweep of one
job are of one subject. Two programs with their files are one, too. An answer that has no declared job is of a
job's subject where it has the job's name.

Of each kind the page has the experiment that was asked for, or else the newest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

from likewise.producer.display import both, setting
from likewise.producer.report.subject import (
    ORDER,
    PartOfPage,
    SubjectDocument,
    more_differ,
    told_left_out,
)
from likewise.producer.runs.submitted import SEARCHED
from likewise.shared.errors import LikewiseError
from likewise.shared.ledger.records import AnswerRecord, ExperimentRecord

if TYPE_CHECKING:
    from likewise.producer.report.document import Document
    from likewise.producer.session import Session
    from likewise.shared.ledger.records import KeptRecord, Kind

Read = Callable[["Session", "KeptRecord", "Kind"], "Document"]
_HOW_OFTEN = {"name", "seeds", "grid", "schema_version"}
"""What a job file says beside what is trained."""
_SHOWN = 2
"""The most settings that are named where a job is another."""


@dataclass(kw_only=True)
class _FoundKind:
    """It holds what was found for one kind."""

    record: KeptRecord | None = None
    older: int = 0
    refused: tuple[KeptRecord, str] | None = None
    """The newest of the same name that is of another subject, and why; only where it is newer."""


@dataclass(kw_only=True)
class _Search:
    """It looks through the newest experiments for those of one subject."""

    session: Session
    named: KeptRecord
    found: dict[Kind, _FoundKind] = field(default_factory=lambda: {kind: _FoundKind() for kind in ORDER})
    job: ExperimentRecord | None = None
    """The declared job that all others are held against: of two programs, the newest comparison's of their
    name, or else the newest."""

    def run(self) -> None:
        """Look at the newest experiments, the one that was asked for first of all."""
        newest = [*islice(self.session.ledger.newest(), SEARCHED)]
        jobs = [self.named, *(one for one in newest if one.name == self.named.name)]
        declared = [one for one in jobs if isinstance(one, ExperimentRecord)]
        if isinstance(self.named, ExperimentRecord):
            declared = [self.named]
        compared = [one for one in declared if one.kind == "comparison" and not one.cancelled]
        self.job = next(iter([*compared, *declared]), None)
        others = (one for one in newest if one.experiment_id != self.named.experiment_id)
        for record in (self.named, *others):
            kinds = [*self._has(record)]
            if not kinds:
                continue
            why = None if record is self.named else self._why_not(record)
            for kind in kinds:
                found = self.found[kind]
                if why is None and found.record is None:
                    found.record = record
                elif why is None:
                    found.older += 1
                elif why and found.record is None and found.refused is None:
                    found.refused = record, why

    def _has(self, record: KeptRecord) -> Iterator[Kind]:
        """Yield what a record has an answer for that is whole; of the one that was asked for, any."""
        is_named = record is self.named
        if isinstance(record, AnswerRecord):
            yield record.kind
            return
        if not is_named and record.cancelled:
            return
        for kind in ("explanation", "bench"):
            if record.findings.get(kind) == "complete" or (is_named and kind in record.findings):
                yield kind
        if record.kind in ("comparison", "sweep") and (
            is_named or all(run.final for run in self.session.ledger.records(record.run_ids))
        ):
            yield record.kind

    def _why_not(self, record: KeptRecord) -> str | None:
        """Return None where a record is of the subject, why not where it has its name, and else nothing."""
        same_name = record.name == self.named.name
        if not isinstance(record, ExperimentRecord):
            if not same_name:
                return ""
            return _other_programs(record, self.named) if isinstance(self.named, AnswerRecord) else None
        if self.job is None:
            return ""
        paths = _differing(_declared(record), _declared(self.job))
        if paths:
            return f"it is of another job: {_told(paths)}" if same_name else ""
        if self._samples(self.job).isdisjoint(self._samples(record)):
            return "its samples are others" if same_name else ""
        return None

    def _samples(self, record: KeptRecord) -> set[str]:
        """Return the arrays that its runs were given; a grid may vary what is read."""
        return {run.dataset.train.model_dump_json() for run in self.session.ledger.runs(record.run_ids)}


def with_others(document: Document, kind: Kind, name: str, *, session: Session, read: Read) -> Document:
    """Return a document of an experiment with the others of its subject, which its page then has.

    `name` is the experiment's id. `read` returns the document of another experiment.
    """
    record = session.ledger.kept(name)
    if record is None:
        return document
    search = _Search(session=session, named=record)
    search.run()
    search.found[kind].record = record
    parts, left_out = [], []
    for each in ORDER:
        found = search.found[each]
        if found.record is not None:
            own = found.record is record and each == kind
            try:
                shown = document if own else read(session, found.record, each)
                parts.append(_part(search, each, found.record, shown))
            except LikewiseError as error:
                left_out.append(_left_out(each, found.record, str(error)))
        if found.refused is not None:
            left_out.append(_left_out(each, *found.refused))
    return SubjectDocument(own=document, parts_of_page=parts, left_out=left_out)


def _part(search: _Search, kind: Kind, record: KeptRecord, document: Document) -> PartOfPage:
    """Return what is on the page for a kind."""
    declared = isinstance(search.named, ExperimentRecord)
    return PartOfPage(
        kind=kind,
        experiment_id=record.experiment_id,
        submitted_s=record.submitted_s,
        document=document,
        named=record is search.named,
        older=search.found[kind].older,
        by_name=isinstance(record, ExperimentRecord) != declared,
    )


def _left_out(kind: Kind, record: KeptRecord, why: str) -> str:
    return told_left_out(kind, record.experiment_id, record.submitted_s, why.rstrip("."))


def _declared(record: ExperimentRecord) -> dict[str, Any]:
    """Return every setting of what was declared, by its path."""
    declared = record.experiment.model_dump(mode="json", exclude=_HOW_OFTEN)
    return dict(_flat("", declared))


def _flat(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the values of nested mappings and lists of mappings under dotted paths."""
    inner: Mapping[str, Any] | None = None
    if isinstance(value, dict):
        inner = value
    elif isinstance(value, list) and any(isinstance(one, dict) for one in value):
        inner = {str(place): one for place, one in enumerate(value)}
    if inner is None:
        yield path, value
        return
    for name, one in inner.items():
        yield from _flat(f"{path}.{name}" if path else name, one)


def _differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Return each path that two jobs do not have alike, with both values; None where one has none."""
    return [
        (path, one.get(path), other.get(path))
        for path in dict.fromkeys([*one, *other])
        if one.get(path) != other.get(path)
    ]


def _told(differing: Sequence[tuple[str, Any, Any]]) -> str:
    said = [f"{path} is {setting(has)} instead of {setting(had)}" for path, has, had in differing[:_SHOWN]]
    more = more_differ([path for path, _, _ in differing], len(said))
    return f"{', '.join(said)}{more}" if more else both(said)


def _other_programs(record: KeptRecord, named: KeptRecord) -> str | None:
    """Return why two answers are of other programs; None where their files are the same."""
    if not isinstance(record, AnswerRecord) or not isinstance(named, AnswerRecord):
        return ""
    if record.frameworks != named.frameworks:
        return "its sides are others"
    changed = [
        file
        for label, side in record.subject.sides.items()
        for file, digest in side.files.items()
        if named.subject.sides[label].files.get(file) != digest
    ]
    return f"{both(changed)} had other contents" if changed else None
