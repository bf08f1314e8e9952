"""The trainings of a port as a document: the verdict in words, the losses, and how far apart both are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console, RenderableType
from rich.text import Text

from likewise.producer.display import count, gap, number, printable, seconds
from likewise.producer.port.models import PortTraining, SideTraining
from likewise.producer.report.document import Check, Document, Table, Value, bullets, fitting
from likewise.producer.report.port import PortDocument, without_infinities

_VERDICTS = {"agree": "train alike", "differ": "do not train alike", "inconclusive": "cannot be told apart"}
_COLOURS = {"agree": "bold green", "differ": "bold red", "inconclusive": "bold yellow"}


@dataclass(frozen=True)
class PortTrainingDocument(Document):
    """The document says whether two programs train alike."""

    training: PortTraining
    experiment_id: str | None = None
    """The id under which it is kept."""

    @property
    def title(self) -> str:
        """Return the answer in a few words."""
        first, second = self.training.sides
        return f"{self.training.name}: {first} and {second} {_VERDICTS[self.training.verdict]}"

    @property
    def sentences(self) -> Sequence[str]:
        """Return the answer and its reasons."""
        return [f"{self.title}.", *self.training.reasons]

    @property
    def notes(self) -> Sequence[str]:
        """Return what was assumed."""
        found = [f"{note}." for note in self.training.notes]
        if self.training.verdict == "differ":
            found.append("Every cause, with its line and its edit: likewise port check.")
        return found

    def tables(self) -> Iterator[Table]:
        """Yield the losses of each seed by side, and how far apart both are."""
        training = self.training
        yield Table(
            title="Trainings",
            columns=(
                "seed",
                *(f"final loss of {label}" for label in training.sides),
                "losses",
                "weights",
                "outputs",
            ),
            rows=[
                (
                    str(one.seed),
                    *(number(run[place].losses[-1]) for run in training.runs.values()),
                    gap(one.losses),
                    gap(one.weights),
                    gap(one.outputs),
                )
                for place, one in enumerate(training.gaps)
            ],
        )
        yield Table(
            title="Where they ran",
            columns=("side", "program", "version", "on", "training"),
            rows=[
                (
                    label,
                    training.files[label],
                    training.versions[label],
                    training.hosts[label],
                    seconds(sum(one.train_s for one in training.runs[label])),
                )
                for label in training.sides
            ],
        )

    def values(self) -> Iterator[Value]:
        """Yield the verdict, each gap and each loss."""
        training = self.training
        yield Value(table="comparison", row="verdict", value=training.verdict)
        yield Value(table="comparison", row="tolerance", value=training.tolerance)
        for one in training.gaps:
            for name in ("losses", "weights", "outputs"):
                yield Value(table="gaps", row=name, value=getattr(one, name), seed=one.seed)
        for label, runs in training.runs.items():
            for run in runs:
                for place, loss in enumerate(run.losses, start=1):
                    yield Value(table="losses", row=str(place), value=loss, side=label, seed=run.seed)

    def checks(self) -> Iterator[Check]:
        """Yield whether both train alike."""
        agrees = self.training.verdict == "agree"
        yield Check(
            name="training", state="passed" if agrees else "failed", text=" ".join(self.training.reasons)
        )

    def to_json(self) -> dict[str, Any]:
        """Return the public document, in the form of a comparison's."""
        training = self.training
        findings = training.check.findings if training.check is not None else ()
        parting = next((one for one in training.gaps if one.first_update is not None), None)
        apart = training.verdict == "differ" and parting is not None
        document = {
            "schema_version": 1,
            "experiment_id": self.experiment_id,
            "name": training.name,
            "verdict": training.verdict,
            "reasons": list(training.reasons),
            "notes": [{"code": "port", "text": note} for note in training.notes],
            "setting_differences": [
                {"path": f"{one.path}.{one.setting}", **one.values}
                for one in findings
                if one.setting is not None
            ],
            "first_divergence": {"seed": parting.seed, "update": parting.first_update}
            if apart and parting
            else None,
            "tolerance": training.tolerance,
            "noise": training.noise,
            "updates": training.updates,
            "batch_size": training.batch,
            "gaps": [one.model_dump() for one in training.gaps],
            "runs": {label: [_run(one) for one in runs] for label, runs in training.runs.items()},
            "hosts": dict(training.hosts),
            "versions": dict(training.versions),
            "check": None if training.check is None else PortDocument(training.check).to_json(),
        }
        return dict(without_infinities(document))

    def parts(self, console: Console) -> Iterator[RenderableType]:
        """Yield what a terminal shows."""
        training = self.training
        yield Text(printable(self.title), style=_COLOURS[training.verdict])
        told = [
            count(training.updates, "update"),
            count(training.batch, "row"),
            count(len(training.gaps), "seed"),
        ]
        yield Text("{} of {}, {}".format(*told), style="dim")
        yield ""
        yield from bullets(training.reasons, console)
        for table in self.tables():
            yield Text(table.title, style="bold")
            yield fitting(table, console)
            yield ""
        yield from (Text(printable(note), style="dim", overflow="fold") for note in self.notes)


def _run(one: SideTraining) -> dict[str, Any]:
    return {
        "seed": one.seed,
        "status": "failed" if one.diverged else "succeeded",
        "losses": one.losses,
        "final_loss": one.losses[-1] if one.losses else None,
        "timings": {"train_s": one.train_s},
    }
