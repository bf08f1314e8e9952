"""What comes of an experiment, as Python sees it: its numbers as arrays and frames, and its document.

A `Result` shows itself in a notebook as its page does, writes itself in every format, and keeps the way to
the services open for arrays that are read when they are asked for.
Longer than 400 lines: each kind of result stands beside what chooses among them; a page shows them all.
"""

from __future__ import annotations

import html
import io
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from likewise.producer.report import TERMINAL, format_of, write, write_file
from likewise.shared.errors import LikewiseError, UsageError
from likewise.shared.ledger.records import AnswerRecord, ExperimentRecord

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from likewise.producer.bench.models import Bench
    from likewise.producer.bisecting import Bisection
    from likewise.producer.blame.explanation import Explanation
    from likewise.producer.follow_ups import Judged
    from likewise.producer.golden import Since
    from likewise.producer.port.models import PortCheck, PortTraining
    from likewise.producer.report.document import Document
    from likewise.producer.session import Session
    from likewise.producer.sweep.table import Sweep
    from likewise.producer.verdict.models import SideRuns
    from likewise.shared.ledger.records import AnswerKind, KeptRecord, Kind

PAGE_HEIGHT = 640
"""The height of a page in a notebook, in pixels."""


Answer = TypeVar("Answer")


class Result(ABC):
    """What came of one command, whatever it was: a document in every format."""

    kind: Kind | None = None
    """The kind of experiment that it shows; None where it is no experiment's own answer."""

    def __init__(self, session: Session | None = None, *, owns: bool = True) -> None:
        """Take the way to the services, and with `owns` close it when nobody needs the result any more."""
        self.session = session
        self._close = weakref.finalize(self, session.close) if session is not None and owns else None

    @abstractmethod
    def document(self, *, full: bool = False, page: bool = False) -> Document:
        """Return the document; `full` has every array in its JSON, and `page` what a page draws."""

    def shown(self, *, full: bool = False, page: bool = False, only: bool = False) -> Document:
        """Return the document; unless `only`, its page has the other experiments of its subject, too."""
        document = self.document(full=full, page=page)
        if not page or only or self.kind is None:
            return document
        try:
            name = self.experiment_id
        except LikewiseError:  # it was not kept, so nothing is known of others
            return document
        from likewise.producer.experiments import open_for
        from likewise.producer.subject import with_others

        with open_for(quiet=True) if self.session is None else nullcontext(self.session) as session:
            return with_others(document, self.kind, name, session=session, read=_page_document)

    @property
    def failed(self) -> bool:
        """Return whether a training failed, so that there is nothing to say."""
        return False

    @property
    def experiment_id(self) -> str:
        """Return the id under which it is kept. Raises LikewiseError where it could not be kept."""
        found = self.to_dict()["experiment_id"]
        if found is None:
            raise LikewiseError("this was not kept, so it has no id")
        return str(found)

    def to_dict(self, *, full: bool = False) -> dict[str, Any]:
        """Return the public JSON document as plain values."""
        return dict(self.document(full=full).to_json())

    def to_frame(self) -> Any:
        """Return every value as a pandas DataFrame: table, row, side, seed, value and text, as in CSV.

        Raises UsageError where pandas is not installed.
        """
        from likewise.producer.report.spreadsheet import COLUMNS, is_number

        try:
            pandas = import_module("pandas")
        except ImportError:
            raise UsageError("to_frame needs pandas: pip install 'likewise[notebook]'") from None
        rows = []
        for one in self.document().values():
            number = is_number(one.value)
            rows.append((one.table, one.row, one.side, one.seed, one.value if number else None,
                         None if number else one.value))  # fmt: skip
        return pandas.DataFrame(rows, columns=list(COLUMNS))

    def to_markdown(self) -> str:
        """Return the document as Markdown."""
        return self._text("md")

    def save(self, path: str | Path, *, only: bool = False) -> Path:
        """Write the document in the format of the file's ending, and return the path. Raises UsageError.

        A page has every experiment of the subject, unless `only`.
        """
        is_page = format_of(Path(path)) == "html"
        write_file(self.shown(page=True, only=only or not is_page), Path(path))
        return Path(path)

    def close(self) -> None:
        """Close the way to the services; arrays that were not read yet can no longer be."""
        if self._close is not None:
            self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __str__(self) -> str:
        """Return what the command prints in a pipe."""
        return self._text(TERMINAL).rstrip()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.document().title}>"

    def _repr_html_(self) -> str:
        """Return the page with its pictures, in a frame of its own."""
        page = html.escape(self._text("html"), quote=True)
        return (
            f'<iframe title="{html.escape(self.document().title)}" sandbox="allow-scripts" '
            f'style="width:100%;height:{PAGE_HEIGHT}px;border:0" srcdoc="{page}"></iframe>'
        )

    def _text(self, form: str) -> str:
        stream = io.StringIO()
        write(self.document(page=form == "html"), form, stream)
        return stream.getvalue()


class ComparisonResult(Result):
    """Whether the sides agree, and what each of them ended with."""

    def __init__(
        self, outcome: Judged, session: Session, since: Since | None = None, *, owns: bool = True
    ) -> None:
        super().__init__(session, owns=owns)
        self.kind = "comparison" if since is None else None
        self.outcome = outcome
        self.since = since
        """What has changed since a golden result, where it was held against one."""

    def document(self, *, full: bool = False, page: bool = False) -> Document:
        """Return the comparison; of one that was held against a golden result, what has changed since."""
        from likewise.producer.judging import divergence_maps
        from likewise.producer.report.comparison import ComparisonDocument
        from likewise.producer.report.truth import truth_of

        if self.since is not None:
            from likewise.producer.report.golden import GoldenDocument

            return GoldenDocument(since=self.since)
        tables = {run.side: run.table for run in self.outcome.comparison.runs}
        truth = truth_of(self.outcome.runs, tables, self.outcome.arrays) if page else None
        maps = divergence_maps(self.outcome) if page else ()
        return ComparisonDocument(comparison=self.outcome.comparison, full=full, truth=truth, maps=maps)

    @property
    def verdict(self) -> str:
        """Return `agree`, `differ` or `inconclusive`."""
        return self.outcome.comparison.verdict if self.since is None else self.since.verdict

    @property
    def failed(self) -> bool:
        """Return whether a training failed."""
        return bool(self.outcome.comparison.failed)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Return why, in sentences."""
        return tuple(self.outcome.comparison.reasons)

    @property
    def sides(self) -> tuple[str, ...]:
        """Return the labels of the sides, the reference first."""
        return tuple(self.outcome.comparison.sides)

    def curves(self, *, validation: bool = False) -> dict[str, NDArray[np.float64]]:
        """Return each side's loss by seed and epoch: float64 (seeds, epochs), NaN where there is none."""
        return {
            run.side: run.table.validation_losses if validation else run.table.losses
            for run in self.outcome.comparison.runs
        }

    def weights(self, side: str) -> dict[str, NDArray[Any]]:
        """Return the trained weights of a side by name, (seeds, *shape), in Keras's layouts."""
        return dict(self._runs(side).table.weights())

    def predictions(self, side: str) -> NDArray[Any] | None:
        """Return the outputs for the rows of `predict`, (seeds, n, outputs); None without any."""
        return self._runs(side).table.predictions

    def outputs(self, side: str) -> NDArray[Any] | None:
        """Return the outputs for the held-out samples, (seeds, n, outputs)."""
        return self._runs(side).table.outputs()

    def _runs(self, side: str) -> SideRuns:
        for run in self.outcome.comparison.runs:
            if run.side == side:
                return run
        raise UsageError(f"there is no side {side!r}; the sides are {', '.join(self.sides)}")


class ExplanationResult(Result):
    """Why each other side differs from the first."""

    kind: Kind | None = "explanation"

    def __init__(
        self, explanations: Sequence[Explanation], session: Session | None, *, owns: bool = True
    ) -> None:
        super().__init__(session, owns=owns)
        self.explanations = tuple(explanations)

    def document(self, *, full: bool = False, page: bool = False) -> Document:  # noqa: ARG002
        """Return the explanations as a document."""
        from likewise.producer.report.explanation import ExplanationDocument

        return ExplanationDocument(self.explanations)

    @property
    def failed(self) -> bool:
        """Return whether a training of the job itself failed."""
        return any(one.measure is None for one in self.explanations)

    def shares(self) -> dict[str, dict[str, float | None]]:
        """Return each setting's share of the difference, by the other side and the setting's path."""
        return {one.other: {part.path: part.share for part in one.contributions} for one in self.explanations}


class PortExplanationResult(ExplanationResult):
    """Why the second of two programs trains otherwise than the first."""

    kind = "port-explanation"

    def __init__(
        self,
        explanation: Explanation,
        experiment_id: str | None,
        session: Session | None = None,
        *,
        owns: bool = True,
    ) -> None:
        super().__init__(
            [explanation.model_copy(update={"experiment_id": experiment_id})], session, owns=owns
        )

    def document(self, *, full: bool = False, page: bool = False) -> Document:  # noqa: ARG002
        """Return the explanation as a document."""
        from likewise.producer.report.explanation import ExplanationDocument

        return ExplanationDocument(self.explanations, of_programs=True)


class BenchResult(Result):
    """How long each side takes."""

    kind: Kind | None = "bench"

    def __init__(self, bench: Bench, session: Session | None, *, owns: bool = True) -> None:
        super().__init__(session, owns=owns)
        self.bench = bench

    def document(self, *, full: bool = False, page: bool = False) -> Document:  # noqa: ARG002
        """Return the bench as a document."""
        from likewise.producer.report.bench import BenchDocument

        return BenchDocument(self.bench)

    @property
    def failed(self) -> bool:
        """Return whether nothing could be timed."""
        return not self.bench.rows

    @property
    def verdict(self) -> str:
        """Return whether the values agree."""
        return self.bench.verdict

    def medians(self, phase: str = "run") -> dict[str, float]:
        """Return each side's median of a phase, in seconds."""
        return {self.bench.names[row.side]: row.median_s for row in self.bench.rows if row.phase == phase}


class PortBenchResult(BenchResult):
    """How long each of two programs takes."""

    kind = "port-bench"

    def __init__(
        self, bench: Bench, experiment_id: str | None, session: Session | None = None, *, owns: bool = True
    ) -> None:
        super().__init__(bench.model_copy(update={"experiment_id": experiment_id}), session, owns=owns)


class SweepResult(Result):
    """What each side gave at every point of a grid."""

    kind = "sweep"

    def __init__(self, sweep: Sweep, session: Session, *, owns: bool = True) -> None:
        super().__init__(session, owns=owns)
        self.sweep = sweep

    def document(self, *, full: bool = False, page: bool = False) -> Document:  # noqa: ARG002
        """Return the sweep; all that came back only where it was collected in full."""
        from likewise.producer.report.sweep import SweepDocument

        return SweepDocument(self.sweep)

    @property
    def failed(self) -> bool:
        """Return whether a training failed for another reason than that it diverged."""
        return self.sweep.failed

    @property
    def best(self) -> Mapping[str, Any]:
        """Return the settings of the best point."""
        return self.sweep.points[0].settings


class AnswerResult(Result, Generic[Answer]):
    """An answer, with the id that it is kept under where it is kept."""

    def __init__(
        self,
        answer: Answer,
        experiment_id: str | None,
        session: Session | None = None,
        *,
        owns: bool = True,
    ) -> None:
        super().__init__(session, owns=owns)
        self._answer, self._id = answer, experiment_id


class PortResult(AnswerResult["PortCheck"]):
    """A check of two programs: the rungs on which the second does what the first one does."""

    kind = "port-check"

    def document(self, *, full: bool = False, page: bool = False) -> Document:  # noqa: ARG002
        """Return the check as a document."""
        from likewise.producer.report.port import PortDocument

        return PortDocument(self.check, experiment_id=self._id)

    @property
    def check(self) -> PortCheck:
        """Return the rungs and the findings."""
        return self._answer

    @property
    def agrees(self) -> bool:
        """Return whether no rung fails."""
        return self.check.agrees


class PortTrainingResult(AnswerResult["PortTraining"]):
    """The trainings of two programs, from the same weights on the same batches."""

    kind = "port-comparison"

    def document(self, *, full: bool = False, page: bool = False) -> Document:  # noqa: ARG002
        """Return the trainings as a document."""
        from likewise.producer.report.port_training import PortTrainingDocument

        return PortTrainingDocument(self.training, experiment_id=self._id)

    @property
    def training(self) -> PortTraining:
        """Return the losses of both programs, and how they are judged."""
        return self._answer

    @property
    def verdict(self) -> str:
        """Return `agree`, `differ` or `inconclusive`."""
        return self.training.verdict


class BisectionResult(AnswerResult["Bisection"]):
    """The version with which a training first changed."""

    kind = "bisection"

    def document(self, *, full: bool = False, page: bool = False) -> Document:  # noqa: ARG002
        """Return the bisection as a document."""
        from likewise.producer.report.bisection import BisectionDocument

        return BisectionDocument(bisection=self.bisection, experiment_id=self._id)

    @property
    def bisection(self) -> Bisection:
        """Return the comparisons that were made, and the version."""
        return self._answer

    @property
    def failed(self) -> bool:
        """Return whether a training of one of the comparisons failed."""
        return self.bisection.failed

    @property
    def verdict(self) -> str:
        """Return `differ` where a version was found, else `agree` or `inconclusive`."""
        return self.bisection.verdict


_ANSWERS: dict[AnswerKind, Callable[..., Result]] = {
    "port-check": PortResult,
    "port-comparison": PortTrainingResult,
    "port-explanation": PortExplanationResult,
    "port-bench": PortBenchResult,
    "bisection": BisectionResult,
}


def _page_document(session: Session, record: KeptRecord, kind: Kind) -> Document:
    """Return what came of another experiment, for a page."""
    return result_of(session, record, kind=kind, quiet=True, owns=False).document(page=True)


def result_of(
    session: Session,
    record: KeptRecord,
    *,
    kind: Kind | None = None,
    full: bool = False,
    quiet: bool,
    owns: bool = True,
) -> Result:
    """Return what came of a finished experiment, as what it is or as the `kind` that is asked for.

    With `owns` the result closes the session when nobody needs it any more.

    Raises UsageError where it has nothing of that kind.
    """
    from likewise.producer import experiments, kept

    kind = kind or record.kind
    if isinstance(record, AnswerRecord):
        if kind != record.kind:
            raise UsageError(f"--kind is {kind}, and {record.experiment_id} is a {record.kind}")
        answer = kept.answer_of(session, record)
        return _ANSWERS[record.kind](answer, record.experiment_id, session, owns=owns)
    if not isinstance(record, ExperimentRecord):
        raise TypeError(f"a record is of runs or an answer, and this one is {type(record).__name__}")
    if (kind == "sweep") != bool(record.experiment.grid):
        raise UsageError(f"--kind is {kind}, and {record.experiment_id} is a {record.kind}")
    if kind == "sweep":
        from likewise.producer.sweep.runs import swept

        found = swept(session, record, tell=experiments.teller(quiet=quiet), full=full)
        return SweepResult(found, session, owns=owns)
    if kind == "bench":
        return BenchResult(kept.bench_of(session, record), session, owns=owns)
    if kind == "explanation":
        return ExplanationResult(kept.explanations_of(session, record), session, owns=owns)
    return ComparisonResult(experiments.judge(session, record), session, owns=owns)
