"""Bundles: all that an experiment rests on in one file, from which anyone can train it again.

A bundle is a zip file. `manifest.json` has the SHA-256 of every other member, and of each side the hashes of
its job, its batches and its weights; `results.json` is a golden result; `job.json` the job; `series.csv` has
every number; and `data/` the arrays that were trained on, by their hashes, unless they were left out.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from likewise.producer.display import both, first_fault, size
from likewise.producer.golden import Golden, pin
from likewise.producer.runs.results import merged
from likewise.shared.errors import ResultError, UsageError
from likewise.shared.frozen import Frozen
from likewise.shared.job.fields import Many
from likewise.shared.limits import arrays_of
from likewise.shared.results.run_result import RunResult
from likewise.shared.results.seed_table import SeedTable
from likewise.shared.store.arrays import ArrayRef, hash_arrays

if TYPE_CHECKING:
    from likewise.producer.follow_ups import Judged
    from likewise.producer.session import Session

MANIFEST, RESULTS, JOB, SERIES = "manifest.json", "results.json", "job.json", "series.csv"
MOST_BYTES = 2**30
"""The data in a bundle take so many bytes at most, and so does each of its members."""
_LONGEST_MANIFEST = 2**24
_NO_ZIP = (zipfile.BadZipFile, NotImplementedError, ValueError)
_DAMAGED = (*_NO_ZIP, zlib.error, OSError, EOFError, RuntimeError)
"""What reading a member of a damaged archive may raise."""
_WRITTEN = (1980, 1, 1, 0, 0, 0)
"""The time of every member, so that the same bundle has the same bytes."""


class BundledFile(Frozen):
    """It says what a member of the file was when it was written."""

    sha256: str
    nbytes: int


class SeedHashes(Frozen):
    """It has the hashes of one training."""

    seed: int
    initial_weights: str | None
    batches: str | None
    """The SHA-256 of the indices of all batches, in order, and of what draws the dropout masks."""
    weights: str
    """The SHA-256 of the trained weights."""


class BundledSide(Frozen):
    """It says what a side trained, and in what."""

    job: str
    """The SHA-256 of its resolved job, as JSON."""
    environment: dict[str, Any] | None
    """What the worker recorded: versions, device, threads, flags, the digest of its image."""
    seeds: Many[SeedHashes]


class Manifest(Frozen):
    """It is the list of what a bundle has."""

    schema_version: Literal[1] = 1
    likewise: str
    """The version of Likewise that wrote it."""
    experiment_id: str
    name: str
    verdict: str
    data: Literal["included", "hashes"]
    members: dict[str, BundledFile]
    sides: dict[str, BundledSide]


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """It is a bundle that was read, whose members are those that were written."""

    manifest: Manifest
    golden: Golden
    data: Mapping[str, NDArray[Any]]
    """The arrays that were trained on, by the SHA-256 of their reference."""


def write_bundle(session: Session, outcome: Judged, series: str, path: Path, *, data: bool) -> Manifest:
    """Write a finished comparison as a bundle; `series` is its CSV, and `data` whether its arrays go with it.

    Raises UsageError for what cannot be bundled.
    """
    golden = pin(session, outcome, called="bundle")
    refs = {ref.sha256: ref for one in golden.own for ref in arrays_of(one.run)}
    total = sum(ref.nbytes for ref in refs.values())
    if data and total > MOST_BYTES:
        raise UsageError(
            f"the data of {outcome.record.experiment_id} take {size(total)}, and at most {size(MOST_BYTES)} "
            "are bundled; --no-data bundles their hashes alone"
        )
    members = {
        JOB: _document(golden.experiment.model_dump(mode="json", exclude_unset=True)),
        RESULTS: golden.model_dump_json().encode(),
        SERIES: series.encode(),
    }
    if data:
        members |= {f"data/{name}.npy": _npy(session.blobs.get(ref)) for name, ref in refs.items()}
    manifest = Manifest(
        likewise=version("likewise"),
        experiment_id=outcome.record.experiment_id,
        name=golden.experiment.name,
        verdict=golden.verdict,
        data="included" if data else "hashes",
        members={
            name: BundledFile(sha256=hashlib.sha256(content).hexdigest(), nbytes=len(content))
            for name, content in members.items()
        },
        sides=sides_of(golden),
    )
    try:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in {MANIFEST: _document(manifest.model_dump(mode="json")), **members}.items():
                archive.writestr(zipfile.ZipInfo(name, _WRITTEN), content, zipfile.ZIP_DEFLATED)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}").about(path) from None
    return manifest


def sides_of(golden: Golden) -> dict[str, BundledSide]:
    """Return the hashes of each side, computed from what a golden result has. Raises ResultError."""
    results = merged([one.result for one in golden.own])
    runs = {one.run.side: one.run for one in golden.own}
    found = {}
    for side, result in results.items():
        run = runs[side]
        table = table_of(golden, result)
        weights = table.weights()
        found[side] = BundledSide(
            job=hashlib.sha256(_document(run.job.model_dump(mode="json"))).hexdigest(),
            environment=result.environment.model_dump(mode="json") if result.environment else None,
            seeds=tuple(
                SeedHashes(
                    seed=row.seed,
                    initial_weights=row.hashes.initial_weights if row.hashes else None,
                    batches=row.hashes.batches if row.hashes else None,
                    weights=hash_arrays({name: array[row.row] for name, array in weights.items()}),
                )
                for row in table.rows
            ),
        )
    return found


def table_of(golden: Golden, result: RunResult) -> SeedTable:
    """Return the seeds of one side of a golden result."""
    return SeedTable.of(result, golden.experiment.seed_list, arrays=golden.load)


def check_members(path: Path) -> tuple[Manifest, list[str]]:
    """Return the manifest, and a sentence for each member that is not what was written.

    Raises UsageError for a file that is no bundle.
    """
    with _opened(path) as archive:
        manifest = _manifest(archive, path)
        return manifest, list(_wrong_members(archive, manifest))


def _wrong_members(archive: zipfile.ZipFile, manifest: Manifest) -> Iterator[str]:
    names = [entry.filename for entry in archive.infolist()]
    for name in dict.fromkeys(names):
        if names.count(name) > 1:
            yield f"{name} is there {names.count(name)} times"
        elif name != MANIFEST and name not in manifest.members:
            yield f"{name} is not in the manifest"
    required = [name for name in (JOB, RESULTS, SERIES) if name not in manifest.members]
    for name in [*manifest.members, *required]:
        if name not in names:
            yield f"{name} is missing"
            continue
        entry, known = archive.getinfo(name), manifest.members.get(name)
        if known is None:
            continue
        try:
            content = _read(archive, entry) if entry.file_size == known.nbytes else b""
        except _DAMAGED:
            yield f"{name} is damaged"
            continue
        if hashlib.sha256(content).hexdigest() != known.sha256:
            yield f"{name} is not what was written: its SHA-256 is another"


def read_bundle(path: Path) -> Bundle:
    """Return a bundle whose members were checked. Raises ResultError for one that does not hold together."""
    with _opened(path) as archive:
        manifest = _manifest(archive, path)
        try:
            golden = Golden.model_validate_json(_read(archive, archive.getinfo(RESULTS)))
        except ValidationError as error:
            raise ResultError(f"{path}: {RESULTS}: {first_fault(error)}") from None
        refs = {ref.sha256: ref for one in golden.own for ref in arrays_of(one.run)}
        if manifest.data == "hashes":
            return Bundle(manifest=manifest, golden=golden, data={})
        if lacking := [name for name in refs if f"data/{name}.npy" not in manifest.members]:
            raise ResultError(f"{path}: has no data for {both(lacking[:3])}, which its runs refer to")
        return Bundle(
            manifest=manifest,
            golden=golden,
            data={name: _array(archive, ref) for name, ref in refs.items()},
        )


def _opened(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}").about(path) from None
    except _NO_ZIP:
        wanted = "likewise bundle ID -o FILE writes one"
        raise UsageError(f"{path} is no bundle: it is no zip file; {wanted}") from None


def _manifest(archive: zipfile.ZipFile, path: Path) -> Manifest:
    try:
        entry = archive.getinfo(MANIFEST)
        if entry.file_size > _LONGEST_MANIFEST:
            raise UsageError(f"{path} is no bundle: its {MANIFEST} has {size(entry.file_size)}")
        return Manifest.model_validate_json(_read(archive, entry))
    except KeyError:
        raise UsageError(f"{path} is no bundle: it has no {MANIFEST}") from None
    except ValidationError as error:
        raise UsageError(f"{path}: {MANIFEST}: {first_fault(error)}") from None
    except _DAMAGED:
        raise UsageError(f"{path} is no bundle: its {MANIFEST} is damaged") from None


def _read(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """Return a member's bytes. Raises BadZipFile for more than a bundle has."""
    if entry.file_size > 2 * MOST_BYTES:
        raise zipfile.BadZipFile("too large")
    with archive.open(entry) as stream:
        content = stream.read(entry.file_size + 1)
    if len(content) != entry.file_size:
        raise zipfile.BadZipFile("another size than it says")
    return content


def _array(archive: zipfile.ZipFile, ref: ArrayRef) -> NDArray[Any]:
    try:
        array: NDArray[Any] = np.load(
            io.BytesIO(_read(archive, archive.getinfo(f"data/{ref.sha256}.npy"))), allow_pickle=False
        )
    except ValueError:
        raise ResultError(f"data/{ref.sha256}.npy is no array of numbers") from None
    return array


def _npy(array: NDArray[Any]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    return stream.getvalue()


def _document(value: Any) -> bytes:
    return f"{json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False)}\n".encode()
