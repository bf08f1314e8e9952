"""What a model predicts for new rows, as a document, and as the file that the next program reads."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from likewise.producer.display import count, json_text, number, printable
from likewise.producer.report.document import Document, Table, Value
from likewise.producer.report.spreadsheet import safe_text
from likewise.shared.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

ENDINGS = (".csv", ".json", ".parquet")
"""The endings of files of predictions."""
_SHOWN = 20


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """It holds what a trained model predicts for new rows."""

    experiment_id: str
    name: str
    side: str
    seed: int
    columns: Mapping[str, NDArray[Any]]
    """Every column (n,) by name: targets in their own units, or the class and what it was chosen by."""
    notes: Sequence[str] = field(default=())


class PredictionsDocument(Document):
    """The document has a row for each row that was given."""

    def __init__(self, predictions: Predictions) -> None:
        self.predictions = predictions
        self.names = list(predictions.columns)
        self.rows = len(next(iter(predictions.columns.values())))

    @property
    def title(self) -> str:
        """Return which model it was, and of how many rows."""
        one = self.predictions
        return f"{one.name}: {count(self.rows, 'row')} predicted by {one.side}, seed {one.seed}"

    @property
    def sentences(self) -> Sequence[str]:
        """Return the title, and what of the file was not predicted from."""
        return [self.title, *(printable(f"note: {note}") for note in self.predictions.notes)]

    def tables(self) -> Iterable[Table]:
        """Return the first rows."""
        columns = [self.predictions.columns[name] for name in self.names]
        rows = [
            [str(place + 1), *(_cell(column[place]) for column in columns)]
            for place in range(min(self.rows, _SHOWN))
        ]
        if self.rows > _SHOWN:
            rows.append(["…", f"{self.rows - _SHOWN:,} more; -o FILE has all", *[""] * (len(columns) - 1)])
        yield Table(title="Predictions", columns=["row", *map(printable, self.names)], rows=rows)

    def values(self) -> Iterator[Value]:
        """Yield each column's value of each row."""
        one = self.predictions
        for name, column in one.columns.items():
            for place, value in enumerate(column.tolist()):
                yield Value(table=name, row=str(place + 1), side=one.side, seed=one.seed, value=value)

    def to_json(self) -> dict[str, Any]:
        """Return the model and every row."""
        one = self.predictions
        lists = {name: column.tolist() for name, column in one.columns.items()}
        return {
            "experiment_id": one.experiment_id,
            "name": one.name,
            "side": one.side,
            "seed": one.seed,
            "notes": list(one.notes),
            "rows": [dict(zip(lists, values, strict=True)) for values in zip(*lists.values(), strict=True)],
        }


def _cell(value: Any) -> str:
    return printable(value) if isinstance(value, str) else number(float(value))


def write_predictions(predictions: Predictions, path: Path) -> None:
    """Write a row for each row that was given, under the columns' names. Raises UsageError."""
    document = PredictionsDocument(predictions)
    try:
        if path.suffix == ".json":
            path.write_text(f"{json_text(document.to_json())}\n", encoding="utf-8")
        elif path.suffix == ".parquet":
            import pyarrow as pa
            import pyarrow.parquet as pq

            table = pa.table(
                {name: pa.array(column.tolist()) for name, column in predictions.columns.items()}
            )
            about = document.to_json() | {"rows": document.rows}
            pq.write_table(table.replace_schema_metadata({"likewise": json.dumps(about)}), path)
        else:
            with path.open("w", encoding="utf-8", newline="") as file:
                lines = csv.writer(file)
                lines.writerow(map(safe_text, document.names))
                lists = [column.tolist() for column in predictions.columns.values()]
                for row in zip(*lists, strict=True):
                    lines.writerow(safe_text(one) if isinstance(one, str) else one for one in row)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}").about(path) from None
