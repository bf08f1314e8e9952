"""A subject of which everything was asked, made of the samples of each document."""

from __future__ import annotations

from types import ModuleType

from likewise.producer.report.bench import BenchDocument
from likewise.producer.report.comparison import ComparisonDocument
from likewise.producer.report.document import Document
from likewise.producer.report.explanation import ExplanationDocument
from likewise.producer.report.port import PortDocument
from likewise.producer.report.subject import PartOfPage, SubjectDocument, told_left_out
from likewise.producer.report.sweep import SweepDocument
from likewise.shared.ledger.records import Kind
from tests.unit.report.test_formats import bench, explanation, port_check, sweep


def whole(samples: ModuleType, first: Document | None = None) -> SubjectDocument:
    """Return a page's document with a part of each kind; `first` stands in the place of the comparison."""
    documents: dict[Kind, Document] = {
        "comparison": first or ComparisonDocument(comparison=samples.many_seeds()),
        "explanation": ExplanationDocument([explanation()]),
        "bench": BenchDocument(bench(samples)),
        "sweep": SweepDocument(sweep()),
        "port-check": PortDocument(port_check()),
    }
    parts = [
        PartOfPage(
            kind=kind,
            experiment_id=letter * 20,
            submitted_s=1e9 + 60 * place,
            document=document,
            named=place == 0,
            older=2 * (kind == "explanation"),
            by_name=kind == "port-check",
        )
        for place, (letter, (kind, document)) in enumerate(zip("abcde", documents.items(), strict=True))
    ]
    why = "it is of another job: optimizer.learning_rate is 0.1 instead of 0.01"
    left_out = [told_left_out("bench", "f" * 20, 1e9 + 300, why)]
    return SubjectDocument(own=documents["comparison"], parts_of_page=parts, left_out=left_out)
