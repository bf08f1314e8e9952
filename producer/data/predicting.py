"""The rows of `predict` as features: lists of numbers, a table's values by column, or inputs by name."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from likewise.producer.data.arrays import table
from likewise.producer.data.loaded import Floats, Loaded
from likewise.producer.data.named import predict_inputs
from likewise.producer.display import printable
from likewise.shared.errors import DataError
from likewise.shared.job import Job


def predict_rows(job: Job, shape: tuple[int, ...], loaded: Loaded) -> Floats | None:
    """Return the rows of `predict` as features, before they are standardised. Raises DataError."""
    if job.predict is None:
        return None
    if isinstance(job.predict, Mapping):
        return predict_inputs(job.predict, job, loaded)
    by_column = [row for row in job.predict if isinstance(row, Mapping)]
    if by_column:
        if loaded.features is None:
            raise DataError(
                "predict: gives rows by column, and these data are no table; give lists of numbers"
            )
        return loaded.features.encode(by_column, "predict")
    if loaded.features is not None and not loaded.features.is_plain:
        raise DataError(
            "predict: give each row by column, such as {"
            + ", ".join(f"{printable(one.name)}: …" for one in loaded.features.fitted[:3])
            + "}, since columns are turned into other features"
        )
    rows = table(job.predict)  # type: ignore[arg-type]
    width = prod(shape)
    if rows.shape[1] != width:
        names = f" ({', '.join(loaded.feature_names[:8])})" if 0 < len(loaded.feature_names) <= 8 else ""
        flat = len(rows) == width and rows.shape[1] == 1
        hint = (
            f"; one row is a list within the list: [[{', '.join(f'{v:g}' for v in rows[:4, 0])}, …]]"
            if flat and width > 4
            else f"; one row is a list within the list: [[{', '.join(f'{v:g}' for v in rows[:, 0])}]]"
            if flat
            else ""
        )
        raise DataError(
            f"predict: its rows have {rows.shape[1]} value{'s' * (rows.shape[1] != 1)}, and a sample of the "
            f"data has {width}{names}{hint}"
        )
    return rows.reshape(-1, *shape)
