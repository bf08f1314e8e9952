"""Every document in every format: read back as a program or a browser would read it."""

from __future__ import annotations

import csv
import importlib
import inspect
import io
import json
import pkgutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from markdown_it import MarkdownIt

from likewise.producer import report
from likewise.producer.bench.conclude import Compared, conclude
from likewise.producer.bench.models import TimedRun
from likewise.producer.bisecting import Bisection, Tried
from likewise.producer.blame.explanation import Contribution, Explanation, MeasureShares
from likewise.producer.cli.app import main
from likewise.producer.cli.options import Output
from likewise.producer.display import both
from likewise.producer.doctor import Finding
from likewise.producer.golden import SideSince, Since
from likewise.producer.job.examples import examples
from likewise.producer.job.jobfile import read_experiment
from likewise.producer.job.prepare import prepare_experiment
from likewise.producer.port.models import (
    ModuleRow,
    PortCheck,
    PortFinding,
    PortTraining,
    Rung,
    SeedGap,
    SideTraining,
    WeightRow,
)
from likewise.producer.report import FILE_FORMATS, FORMATS, write, write_file
from likewise.producer.report.bench import BenchDocument
from likewise.producer.report.bisection import BisectionDocument
from likewise.producer.report.comparison import ComparisonDocument
from likewise.producer.report.data import DataDocument
from likewise.producer.report.document import Document, Table, Value
from likewise.producer.report.examples import ExamplesDocument
from likewise.producer.report.explanation import ExplanationDocument
from likewise.producer.report.golden import GoldenDocument
from likewise.producer.report.history import ChangedSetting, History, HistoryDocument, Past
from likewise.producer.report.layout import Code
from likewise.producer.report.markdown import _fenced
from likewise.producer.report.port import PortDocument
from likewise.producer.report.port_training import PortTrainingDocument
from likewise.producer.report.predictions import Predictions, PredictionsDocument
from likewise.producer.report.resolved import ResolvedDocument
from likewise.producer.report.spreadsheet import COLUMNS
from likewise.producer.report.status import (
    HealthDocument,
    ListDocument,
    ListedExperiment,
    UnfinishedDocument,
    WorkersDocument,
)
from likewise.producer.report.subject import PartOfPage, SubjectDocument
from likewise.producer.report.sweep import SweepDocument
from likewise.producer.report.verification import Verification, VerificationDocument, VerifiedClaim
from likewise.producer.sweep.table import Point, SideAtPoint, Sweep
from likewise.shared.errors import UsageError
from likewise.shared.ledger.records import ExperimentRecord, RunRecord, WorkerPresence
from likewise.shared.results.run_result import Environment

NASTY = "=cmd|'/c calc'!A1 <script>alert(1)</script> [x](javascript:1) `a` *b* \\| \x1b[2J\nnew"
SHOWN = NASTY.replace("\x1b", "\\x1b").replace("\n", "\\n")
"""What a reader sees of it: all of it, with nothing that steers a terminal."""
ENDINGS = both([f".{form}" for form in FILE_FORMATS]).replace(" and ", " or ")


def text(document: Document, form: str) -> str:
    return data_of(document, form).decode()


def data_of(document: Document, form: str) -> bytes:
    held = io.BytesIO()
    stream = io.TextIOWrapper(held, encoding="utf-8", newline="", write_through=True)
    write(document, form, stream)
    return held.getvalue()


@pytest.fixture(scope="module")
def documents(samples: ModuleType) -> dict[type[Document], Callable[[], Document]]:
    """A sample of every document there is."""
    record = ExperimentRecord(
        experiment_id="9cc3c1e83971c500805f", submitted_s=1e9,
        experiment=read_experiment("article", ()).experiment, run_ids=("a", "b"),
    )  # fmt: skip
    return {
        ComparisonDocument: lambda: ComparisonDocument(comparison=samples.many_seeds()),
        ExplanationDocument: lambda: ExplanationDocument([explanation()]),
        BenchDocument: lambda: BenchDocument(bench(samples)),
        BisectionDocument: lambda: BisectionDocument(bisection=bisection(samples)),
        GoldenDocument: lambda: GoldenDocument(since=since(samples)),
        HistoryDocument: lambda: HistoryDocument(history=history(record)),
        VerificationDocument: lambda: VerificationDocument(verification()),
        PredictionsDocument: lambda: PredictionsDocument(predictions()),
        SweepDocument: lambda: SweepDocument(sweep()),
        ResolvedDocument: lambda: ResolvedDocument.of(record.experiment),
        DataDocument: data,
        ListDocument: lambda: ListDocument(
            entries=[ListedExperiment(record=record, state="finished", verdict="differ")], now_s=1e9 + 60
        ),
        UnfinishedDocument: lambda: UnfinishedDocument(record=record, runs=[run("torch")], now_s=1e9 + 60),
        WorkersDocument: lambda: WorkersDocument(workers=[worker()], now_s=1e9 + 60),
        ExamplesDocument: lambda: ExamplesDocument(examples=examples()),
        PortDocument: lambda: PortDocument(port_check()),
        PortTrainingDocument: lambda: PortTrainingDocument(port_training()),
        SubjectDocument: lambda: subject(samples),
        HealthDocument: lambda: HealthDocument(
            findings=[Finding(link="Redis", state="wrong", found="full", mend="make room")]
        ),
    }


def subject(samples: ModuleType) -> SubjectDocument:
    document = ComparisonDocument(comparison=samples.many_seeds())
    named = PartOfPage(
        kind="comparison", experiment_id="a" * 20, submitted_s=1e9, document=document, named=True
    )  # fmt: skip
    timed = PartOfPage(
        kind="bench", experiment_id="b" * 20, submitted_s=1e9, document=BenchDocument(bench(samples))
    )
    return SubjectDocument(own=document, parts_of_page=[named, timed], left_out=[NASTY])


def bisection(samples: ModuleType) -> Bisection:
    tried = (
        Tried.of("2.0", samples.many_seeds().model_copy(update={"verdict": "differ"})),
        Tried(version="1.5", why_not=NASTY),
    )
    return Bisection(name="article", package="torch", versions=("1.0", "1.5", "2.0"), tried=tried)


def since(samples: ModuleType) -> Since:
    changed = SideSince(
        side="torch", comparison=samples.many_seeds().model_copy(update={"verdict": "differ"}),
        changed=[NASTY], ran=[("framework", "torch 1", "torch 2")],
    )  # fmt: skip
    return Since(
        name="article", experiment_id="9cc3c1e83971c500805f", pinned_s=1e9, verdict_then="agree",
        verdict_now="differ", sides=[changed], missing=["tensorflow"], added=[],
    )  # fmt: skip


def verification() -> Verification:
    claims = [
        VerifiedClaim(name="data", state="holds", text=NASTY),
        VerifiedClaim(name="numbers", state="fails", text="x", side="torch"),
    ]
    return Verification(
        file=NASTY, name="article", bundled_id="f" * 20, experiment_id="e" * 20, claims=claims, trained=True
    )


def predictions() -> Predictions:
    columns = {NASTY: np.array([NASTY, "b"], dtype=object), "probability.b": np.array([0.25, 0.75])}
    return Predictions(
        experiment_id="f" * 20, name="article", side="torch", seed=0, columns=columns, notes=[NASTY]
    )


def history(record: ExperimentRecord) -> History:
    past = [
        Past(
            record=one,
            verdict="agree",
            numbers={"tensorflow": {"final loss": 0.25}, "torch": {"final loss": 0.5}},
            warm_run_s={"torch eager": 0.5},
        )
        for one in (record, record.model_copy(update={"experiment_id": "f" * 20, "note": NASTY}))
    ]
    changed = ChangedSetting(side="torch", path="loss.reduction", values={"f" * 20: "sum"})
    return History(name="article", past=past, changed=[changed], left_out=["a sweep is left out"])


def data() -> DataDocument:
    loaded = read_experiment("houses", ())
    run = prepare_experiment(loaded).runs["torch"]
    return DataDocument(job=run.job, data=run.data)


def explanation() -> Explanation:
    share = Contribution(
        path="loss.reduction", values={"tensorflow": "mean", "torch": "sum"}, share=0.75, interval=(0.5, 1.0),
        cause="a sum is larger", fixes={"torch": "nn.MSELoss(reduction='mean')"},
    )  # fmt: skip
    measures = [
        MeasureShares(
            measure=name, gap=0.1, unit="of the largest value", shares={"loss.reduction": 0.75},
            unexplained_share=0.25,
        )
        for name in ("predictions", "losses")
    ]  # fmt: skip
    return Explanation(
        experiment_id="9cc3c1e83971c500805f", name="article", reference="tensorflow", other="torch",
        seeds=(0, 1), mixtures=2, measure="predictions", gap=0.1, unit="of the largest value",
        contributions=(share,), unexplained_share=0.25, sentence="The sum.", measures=tuple(measures),
    )  # fmt: skip


def port_training() -> PortTraining:
    """Two trainings of a port that part."""
    losses = {"keras": (1.0, 0.5), "torch": (1.0, float("nan"))}
    return PortTraining(
        name="net",
        sides=("keras", "torch"),
        versions={"keras": "2.21.0", "torch": "2.13.0"},
        files={"keras": "a.py", "torch": "b.py"},
        hosts={"keras": "this machine", "torch": "w1"},
        updates=2,
        batch=4,
        runs={
            label: (SideTraining(seed=0, losses=one, diverged=label == "torch", train_s=0.1),)
            for label, one in losses.items()
        },
        gaps=(
            SeedGap(
                seed=0,
                losses=float("inf"),
                weights=0.1,
                outputs=0.2,
                worst_weight="a.kernel",
                first_update=2,
            ),
        ),
        tolerance=2e-5,
        noise=1e-7,
        verdict="differ",
        reasons=("torch diverged, and the other did not.",),
        check=port_check(),
        notes=("torch was fed another layout",),
    )


def port_check() -> PortCheck:
    cause = PortFinding(
        rung="settings", path="norm", setting="epsilon", values={"keras": 1e-3, "torch": 1e-5},
        lines={"keras": "k.py:6", "torch": "t.py:16"}, relative_difference=5e-4, also=("a", "b", "c", "d"),
        text="epsilon of norm differs", fix={"torch": "write BatchNorm2d(…, eps=0.001)"},
    )  # fmt: skip
    row = WeightRow(
        names={"keras": "norm.gamma", "torch": "norm.weight"}, shapes={"keras": (4,), "torch": (4,)},
        transform="", status="shape_only", why="they are 5e-4 apart",
    )  # fmt: skip
    return PortCheck(
        name="net", sides=("keras", "torch"),
        versions={"keras": "tensorflow 2.21.0", "torch": "torch 2.13.0"},
        files={"keras": "k.py", "torch": "t.py"}, tolerance=2e-7, mapping=(row,), findings=(cause,),
        modules=(ModuleRow(paths={"keras": "norm"}, types={"keras": "Norm"}, status="alone"),),
        rungs=(
            Rung(name="settings", status="fails", first_cause=cause, text="a setting differs"),
            Rung(name="mapping", status="holds", relative_difference=0.0, text="all weights"),
            Rung(name="forward", status="skipped", text="give a batch"),
        ),
        notes=("torch was fed the batch with its axes as channels first",),
    )  # fmt: skip


def bench(samples: ModuleType) -> Any:
    recorded = Environment(
        framework="torch", framework_version="1", versions={}, device="cpu", threads=1, execution="eager",
        flags={}, platform="here", host="atlas",
    )  # fmt: skip
    one = TimedRun(
        side="torch-auto", of="torch", framework="torch", variant="auto",
        precision="float32", phases={"train": 0.1, "run": 0.123456789012345},
        samples_per_s=3000, peak_bytes=300 * 2**20, grown_bytes=None, device_peak_bytes=None,
        environment=recorded, conditions=None,
    )  # fmt: skip
    return conclude(
        Compared.of(samples.matched()),
        first={one.side: one},
        timed={one.side: [one] * 8},
        missing=(),
        precision=1,
    )


def sweep() -> Sweep:
    seeds = SideAtPoint(
        succeeded=1, seeds=2, best=0.1, median=0.1, low=0.1, high=0.1, values=np.array([0.1, np.nan]),
        metrics={"test": {"accuracy": 0.5}},
    )  # fmt: skip
    point = Point(
        settings={"training.epochs": 5}, verdict="agree", reason="", gap=1e-7,
        frameworks={"tensorflow": seeds, "torch": seeds},
    )  # fmt: skip
    return Sweep(
        experiment_id="9cc3c1e83971c500805f", name="houses", seeds=2, seed_list=(0, 7), ordered=True,
        measure="final loss", grid={"training.epochs": (5,)}, points=(point,),
        frameworks=("tensorflow", "torch"),
    )  # fmt: skip


def run(side: str) -> RunRecord:
    return RunRecord(
        run_id="a",
        experiment_id="9cc3c1e83971c500805f",
        framework=side,
        submitted_s=1e9,
        state="queued",
        queue="likewise.torch",
        attempt=0,
        fence=0,
    )


def worker() -> WorkerPresence:
    return WorkerPresence(
        worker_id="w", framework="torch", device="cpu", queues=("likewise.torch",), host="atlas", pid=1,
        versions={"torch": "2"}, threads=1, state="idle", started_s=1e9, seen_s=1e9,
    )  # fmt: skip


@dataclass(frozen=True)
class Named(Document):
    """A document of one text that users may have written."""

    name: str = NASTY

    @property
    def title(self) -> str:
        return self.name

    @property
    def sentences(self) -> tuple[str, ...]:
        return (self.name, "1. one", "- two", "# three", "snake_case and __init__")

    def tables(self) -> Iterator[Table]:
        yield Table(title=self.name, columns=("", self.name), rows=[(self.name, "a|b\\|c"), ("x", "-0.5")])

    def values(self) -> Iterator[Value]:
        yield Value(table="t", row=self.name, side="s", seed=3, value=0.1 + 0.2)
        for word in (self.name, "-1e-3", "@sum", "+1", "-x", "plain", None, True, {"a": [1]}, -5):
            yield Value(table="words", row="", value=word)

    def to_json(self) -> dict[str, str]:
        return {"name": self.name}


def test_every_document_has_a_sample_here(documents: dict[type[Document], Any]) -> None:
    found = set()
    for module in pkgutil.iter_modules(report.__path__):
        for _, one in inspect.getmembers(importlib.import_module(f"likewise.producer.report.{module.name}")):
            if inspect.isclass(one) and issubclass(one, Document) and one is not Document:
                found.add(one)

    assert found == set(documents)


@pytest.mark.parametrize("form", [form for form in FORMATS if form != "png"])
def test_every_document_can_be_had_in_every_format(documents: dict[type[Document], Any], form: str) -> None:
    for make in documents.values():
        assert data_of(make(), form).strip()


def test_json_is_the_documents_own(documents: dict[type[Document], Any]) -> None:
    for make in documents.values():
        document = make()
        assert json.loads(text(document, "json")) == json.loads(json.dumps(document.to_json()))


def parsed(markdown: str) -> list[Any]:
    return MarkdownIt("commonmark", {"html": True}).enable("table").parse(markdown)


def cells_of(markdown: str) -> list[list[list[str]]]:
    """The text of every cell, row by row, of every table that a parser finds."""
    tables: list[list[list[str]]] = []
    for token in parsed(markdown):
        if token.type == "table_open":
            tables.append([])
        elif token.type == "tr_open":
            tables[-1].append([])
        elif token.type in ("th_open", "td_open"):
            tables[-1][-1].append("")
        elif token.type == "inline" and tables and tables[-1] and token.level >= 4:
            assert {child.type for child in token.children} <= {"text"}
            tables[-1][-1][-1] = "".join(child.content for child in token.children)
    return tables


def test_markdown_has_the_title_every_sentence_and_every_table(documents: dict[type[Document], Any]) -> None:
    for make in documents.values():
        document = make()
        markdown = text(document, "md")
        said = [token.children for token in parsed(markdown) if token.type == "inline"]
        words = ["".join(child.content for child in children) for children in said]
        shown = [table for table in document.tables() if table.rows]

        assert words[0] == document.title
        assert set(document.sentences) | set(document.notes) <= set(words)
        assert cells_of(markdown) == [[list(table.columns), *map(list, table.rows)] for table in shown]


def test_what_users_write_stays_text_in_markdown() -> None:
    markdown = text(Named(), "md")
    tokens = parsed(markdown)
    said = ["".join(child.content for child in one.children) for one in tokens if one.type == "inline"]

    assert cells_of(markdown) == [[["", SHOWN], [SHOWN, "a|b\\|c"], ["x", "-0.5"]]]
    assert said[:6] == [SHOWN, SHOWN, "1. one", "- two", "# three", "snake_case and __init__"]
    assert [one.type for one in tokens if one.level == 0 and one.nesting == 1] == [
        "heading_open", "bullet_list_open", "heading_open", "table_open"
    ]  # fmt: skip
    assert sum(one.type == "bullet_list_open" for one in tokens) == 1
    assert "html_inline" not in str(tokens)
    assert "snake_case" in markdown, "an underscore in a word needs no backslash"


def test_code_is_fenced_in_markdown_as_it_is(samples: ModuleType) -> None:
    comparison = samples.article()
    markdown = text(ComparisonDocument(comparison=comparison), "md")
    fences = [token.content for token in parsed(markdown) if token.type == "fence"]
    codes = [code for one in comparison.mendings for _, _, code in one.fixes]

    assert [fence.rstrip() for fence in fences[:-1]] == [code.rstrip() for code in codes]
    assert fences[-1].startswith("schema_version: 1\nname: article\n")


def test_a_fence_within_code_ends_nothing_in_markdown() -> None:
    inner = "a = 1\n```\nb\n`````\n# c"
    markdown = "\n".join(_fenced(Code(says="as:", text=inner)))

    assert [token.content.rstrip() for token in parsed(markdown) if token.type == "fence"] == [inner]


def test_a_picture_has_the_verdict_the_figure_and_every_name_as_text(samples: ModuleType) -> None:
    document = ComparisonDocument(comparison=samples.article())
    drawn = ElementTree.fromstring(text(document, "svg"))
    words = [one.text for one in drawn.iter() if one.tag.endswith("}text")]
    circles = [one for one in drawn.iter() if one.tag.endswith("}circle") and one.get("fill") == "none"]
    (series,) = document.page().proof.figure.series

    assert "tensorflow and torch differ" in words
    assert {"losses", "predictions", "outputs", "weights", "tolerance 1e-05"} <= set(words)
    assert len(circles) == len(series.x)
    assert drawn.get("aria-label") == document.title


def test_what_users_write_stays_text_in_a_picture() -> None:
    drawn = ElementTree.fromstring(text(Named(), "svg"))

    assert {one.tag.partition("}")[2] for one in drawn.iter()} <= {
        "svg", "title", "rect", "text", "circle", "polyline", "polygon"
    }  # fmt: skip
    assert any("<script>" in (one.text or "") for one in drawn.iter())


def test_a_png_is_twice_the_size_and_says_what_it_shows(samples: ModuleType) -> None:
    image = pytest.importorskip("PIL.Image")
    document = ComparisonDocument(comparison=samples.matched(6))
    read = image.open(io.BytesIO(data_of(document, "png")))
    colours = {colour for _, colour in read.convert("RGB").getcolors(1 << 24)}

    assert (read.format, read.width) == ("PNG", 2000)
    assert read.info["Title"] == document.title
    assert {(0, 113, 92), (255, 255, 255)} <= colours


def rows_of(document: Document) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text(document, "csv"), newline=""), strict=True))


def test_csv_has_a_line_a_value_with_numbers_apart_from_words(documents: dict[type[Document], Any]) -> None:
    for make in documents.values():
        document = make()
        lines = rows_of(document)

        assert text(document, "csv").startswith(",".join(COLUMNS) + "\r\n")
        assert len(lines) == len(list(document.values())) > 0
        for line in lines:
            assert set(line) == set(COLUMNS)
            assert not (line["value"] and line["text"])
            assert line["value"] == "" or float(line["value"]) is not None


def test_csv_keeps_every_digit_and_each_seed(samples: ModuleType) -> None:
    comparison = samples.many_seeds()
    lines = rows_of(ComparisonDocument(comparison=comparison))
    found = {
        (line["side"], int(line["seed"])): float(line["value"])
        for line in lines
        if (line["table"], line["row"]) == ("runs", "final_loss")
    }

    assert found == {(run.side, seed.seed): seed.final_loss for run in comparison.runs for seed in run.seeds}
    losses = [float(line["value"]) for line in lines if line["table"] == "losses" and line["row"] == "500"]
    assert losses == [seed.losses[-1] for run in comparison.runs for seed in run.seeds]
    assert {line["text"] for line in lines if line["table"] == "verdict" and line["text"]} == {
        comparison.verdict
    }


def test_no_text_of_a_user_is_a_formula_and_numbers_stay_numbers() -> None:
    first, *words = rows_of(Named())

    assert first == {
        "table": "t", "row": f"'{SHOWN}", "side": "s", "seed": "3", "value": "0.30000000000000004", "text": ""
    }  # fmt: skip
    assert [(line["value"], line["text"]) for line in words] == [
        ("", f"'{SHOWN}"), ("", "-1e-3"), ("", "'@sum"), ("", "+1"), ("", "'-x"), ("", "plain"), ("", ""),
        ("", "true"), ("", '{"a": [1]}'), ("-5", ""),
    ]  # fmt: skip


class _Tags(HTMLParser):
    """Notes every tag, and all that is text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.words = ""

    def handle_starttag(self, tag: str, attrs: Any) -> None:  # noqa: ARG002
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.words += data


def test_the_plain_page_has_all_and_runs_no_script_but_the_pages_own() -> None:
    read = _Tags()
    page = text(Named(), "html")
    read.feed(page)

    assert read.tags.count("script") == 2, "the figures' data, of which there are none, and the buttons"
    assert "echarts" not in page.partition("<script>")[0]
    assert len(page) < 40_000
    assert read.tags.count("td") == 3
    assert read.words.count("<script>alert(1)</script>") == 6
    assert "a|b\\|c" in read.words


@pytest.mark.parametrize("form", [form for form in FILE_FORMATS if form != "png"])
def test_a_file_has_the_format_of_its_ending(tmp_path: Path, form: str) -> None:
    path = tmp_path / f"page.{form.upper()}"
    write_file(Named(), path)

    assert path.read_bytes() == data_of(Named(), form)


@pytest.mark.parametrize("form", FILE_FORMATS)
def test_a_report_is_written_anew_and_no_other_file_is(
    tmp_path: Path, samples: ModuleType, form: str
) -> None:
    if form == "png":
        pytest.importorskip("PIL")
    document = ComparisonDocument(comparison=samples.article())
    report_of, other, empty = (tmp_path / f"{name}.{form}" for name in ("report", "other", "empty"))
    other.write_text("my own notes\n")
    empty.touch()
    for _ in range(2):
        write_file(document, report_of)
    write_file(document, empty)

    with pytest.raises(UsageError, match="is there already, and Likewise has not written it"):
        Output.of(None, as_json=False, file=other)
    with pytest.raises(UsageError, match="is there already"):
        write_file(document, other)
    assert other.read_text() == "my own notes\n"


def test_another_ending_is_refused_with_those_that_there_are(tmp_path: Path) -> None:
    for name in ("page.pdf", "page", "page.terminal", ".html"):
        with pytest.raises(UsageError, match=f"end it in {ENDINGS}"):
            Output.of(None, as_json=False, file=tmp_path / name)


def test_a_file_that_cannot_be_written_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no folder"):
        Output.of(None, as_json=False, file=tmp_path / "nowhere" / "page.html")
    with pytest.raises(UsageError, match="is a folder"):
        Output.of(None, as_json=False, file=tmp_path)


def test_the_short_form_of_json_stands_for_its_format_alone() -> None:
    assert (Output.of(None, as_json=True).form, Output.of("json", as_json=True).form) == ("json", "json")
    assert (Output.of(None, as_json=False).form, Output.of("md", as_json=False).form) == ("terminal", "md")
    with pytest.raises(UsageError, match="--json is short for --format json, and --format is csv"):
        Output.of("csv", as_json=True)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("compare", "article", "--report", "page.pdf"), "page.pdf has no ending that names a format"),
        (("explain", "article", "--report", "page.pdf"), "page.pdf has no ending that names a format"),
        (("bench", "article", "--report", "page.pdf"), "page.pdf has no ending that names a format"),
        (("sweep", "article", "--report", "page.pdf"), "page.pdf has no ending that names a format"),
        (("report", "last", "-o", "page.pdf"), "page.pdf has no ending that names a format"),
        (("report", "last", "-o", "page.md", "--format", "csv"), "--format is csv, and page.md ends in .md"),
        (("report", "last", "--format", "terminal"), f"a file can be {', '.join(FILE_FORMATS)}"),
        (("list", "--format", "pdf"), f"'pdf' is not one of {', '.join(map(repr, FORMATS))}."),
        (("validate", "article", "--format", "md"), "--format md goes with --resolved"),
        (("show", "last", "--json", "--format", "md"), "--json is short for --format json"),
    ],
)
def test_a_command_refuses_a_format_before_it_reaches_any_service(
    words: tuple[str, ...], told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def reached(*_: Any, **__: Any) -> None:
        raise AssertionError("the services were asked for")

    monkeypatch.setattr("likewise.producer.experiments.open_session", reached)
    monkeypatch.setattr(sys, "argv", ["likewise", *words])
    with pytest.raises(SystemExit) as ended:
        main()

    assert ended.value.code == 2
    assert told in capsys.readouterr().err


def test_what_changed_which_version_and_what_holds_have_the_colour_of_the_answer(samples: ModuleType) -> None:
    golden = GoldenDocument(since=since(samples)).page()
    assert (golden.name, golden.tone) == ("article", "differ")
    assert golden.title.startswith("torch and tensorflow changed since")
    assert golden.proof is not None
    assert {series.name for series in golden.proof.figure.series} == {"torch"}

    searched = BisectionDocument(bisection=bisection(samples)).page()
    assert (searched.name, searched.tone, searched.title) == (
        "article",
        "differ",
        "torch 2.0 trains it otherwise",
    )
    assert searched.proof is not None
    assert searched.proof.figure.y.names == ["2.0"]
    assert [series.name for series in searched.proof.figure.series] == ["trains otherwise"]

    verified = VerificationDocument(verification()).page()
    assert (verified.name, verified.tone, verified.title) == (
        "article", "differ", "the bundle does not hold, by 1 claim"
    )  # fmt: skip


def test_a_command_prints_the_format_that_it_was_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["likewise", "show", "digits", "--resolved", "--format", "md"])
    with pytest.raises(SystemExit) as ended:
        main()

    assert not ended.value.code
    assert capsys.readouterr().out.startswith("# digits: every setting\n")
