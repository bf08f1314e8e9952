"""Golden results: what an experiment gave is pinned in a file, and a later training is held against it.

The file has each side's runs and results, those of the float64 twin and the rerun, and the arrays of the
results; of the data it has the hashes. Whether something has changed is said by what compares sides: of each
side what was pinned is the reference, and what it gives now the other.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ValidationError, field_serializer

from likewise.producer.display import both, first_fault
from likewise.producer.follow_ups import RERUN, TWIN
from likewise.producer.judging import judged
from likewise.producer.runs.results import FinishedRuns, trained_of
from likewise.shared.errors import ResultError, UsageError
from likewise.shared.frozen import Frozen
from likewise.shared.job import Experiment
from likewise.shared.job.fields import Many
from likewise.shared.ledger.records import ExperimentRecord
from likewise.shared.results.run_result import Environment, RunResult
from likewise.shared.run import Dataset, Run
from likewise.shared.store.arrays import ArrayRef, bytes_of, decode_array

if TYPE_CHECKING:
    from likewise.producer.follow_ups import Judged
    from likewise.producer.session import Session
    from likewise.producer.verdict.models import Comparison, Verdict
    from likewise.shared.results.seed_table import Load

PINNED, NOW = "pinned", "now"
"""The labels of the two sides of every comparison with a golden result."""
MOST_BYTES = 200 * 2**20
"""The arrays of a golden result take so many bytes at most."""
PARTS = ("train", "validation", "test", "predict")


class PinnedRun(Frozen):
    """It holds one run as it was submitted, and what it returned."""

    run: Run
    result: RunResult


class Golden(Frozen):
    """This is the file of `likewise pin`."""

    schema_version: Literal[1] = 1
    likewise: str
    """The version of Likewise that wrote it."""
    pinned_s: float
    """When the experiment was submitted, in seconds since 1970."""
    verdict: str
    """What the comparison of its sides said."""
    experiment: Experiment
    own: Many[PinnedRun]
    twin: Many[PinnedRun] = ()
    rerun: Many[PinnedRun] = ()
    arrays: dict[str, str]
    """The arrays that the results refer to, by their SHA-256: base64 of what zlib has packed."""

    @field_serializer("experiment")
    def _as_declared(self, experiment: Experiment) -> dict[str, Any]:
        """Leave out what was left out, so that what is short for another stays alone."""
        return experiment.model_dump(mode="json", exclude_unset=True)

    def load(self, ref: ArrayRef) -> Any:
        """Return an array of the results. Raises KeyError for another, ResultError for a damaged one."""
        packed = self.arrays[ref.sha256]
        try:
            return decode_array(ref, bytearray(zlib.decompress(base64.b64decode(packed))))
        except (ValueError, zlib.error):
            raise ResultError(
                f"an array of the golden result is damaged: {ref.sha256}; pin it anew"
            ) from None

    def check_alike(self, experiment: Experiment, source: Path) -> None:
        """Raise UsageError where a job cannot be held against it; `source` is its file."""
        if self.experiment.seed_list != experiment.seed_list:
            seeds = ",".join(map(str, self.experiment.seed_list))
            raise UsageError(f"{source} was pinned with other seeds; train these: --seeds {seeds},")
        if not set(self.experiment.labels) & set(experiment.labels):
            sides = both(self.experiment.labels)
            raise UsageError(f"{source} has {sides} pinned, and the job has no such side")


def pin(session: Session, outcome: Judged, *, called: str = "pin") -> Golden:
    """Return a finished comparison as a golden result; `called` is what the user asked for.

    Raises UsageError for a sweep, for one that is not finished or failed, and for one that is too large.
    """
    from importlib.metadata import version

    record = outcome.record
    name = record.experiment_id
    if record.experiment.grid:
        raise UsageError(f"{name} is a sweep; {called} one of its points, compared with --set")
    if not outcome.ended:
        raise UsageError(f"{name} is still running; first likewise watch {name}")
    if outcome.comparison.failed:
        ends = {one.failure.reason for run in outcome.comparison.runs for one in run.seeds if one.failure}
        end = "was cancelled" if ends == {"cancelled"} else "failed"
        raise UsageError(
            f"a training of {name} {end}, so there is nothing to {called}: {outcome.comparison.reasons[0]}"
        )
    found = {
        relation: outcome.finished[relation] for relation in (TWIN, RERUN) if relation in outcome.finished
    }
    found["own"] = trained_of(session, record)
    refs = {ref.sha256: ref for one in found.values() for ref in _refs(one)}
    size = sum(ref.nbytes for ref in refs.values())
    if size > MOST_BYTES:
        raise UsageError(
            f"the results of {name} take {size / 1e6:.0f} MB, and a file takes {MOST_BYTES / 1e6:.0f} MB at "
            f"most; {called} a comparison of fewer seeds"
        )
    parts = {relation: tuple(PinnedRun(run=run, result=got) for run, got in one.runs)
             for relation, one in found.items()}  # fmt: skip
    return Golden(
        likewise=version("likewise"),
        pinned_s=record.submitted_s,
        verdict=outcome.comparison.verdict,
        experiment=record.experiment,
        own=parts["own"],
        twin=parts.get(TWIN, ()),
        rerun=parts.get(RERUN, ()),
        arrays={name: _packed(session.blobs.get(ref)) for name, ref in refs.items()},
    )


def _refs(finished: FinishedRuns) -> Iterator[ArrayRef]:
    for result in finished.results:
        for piece in result.arrays:
            yield from piece.refs


def _packed(array: Any) -> str:
    return base64.b64encode(zlib.compress(bytes_of(array))).decode()


def read_golden(path: Path) -> Golden:
    """Read a golden result. Raises UsageError for a file that is none, ResultError for a damaged one."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise UsageError(f"--against {path} cannot be read: {error.strerror}").about(path) from None
    if text.startswith(b"PK"):
        raise UsageError(
            f"--against {path} is a zip file, and no golden result; likewise verify {path} trains a bundle "
            "again, and likewise pin ID -o FILE writes a golden result"
        )
    try:
        return Golden.model_validate_json(text)
    except ValidationError as error:
        wrong = first_fault(error)
        raise UsageError(
            f"--against {path} is no golden result: {wrong}; likewise pin ID -o FILE writes one"
        ) from None


@dataclass(frozen=True, kw_only=True)
class SideSince:
    """It says whether a side gives now what was pinned."""

    side: str
    comparison: Comparison | None
    """What was pinned against what it gives now; None where the data have another shape."""
    changed: Sequence[str]
    """A sentence for what else is not as it was: the data, what ran."""
    ran: Sequence[tuple[str, str, str]]
    """What ran otherwise: a name, and its value then and now."""

    @property
    def verdict(self) -> Verdict:
        """Return whether it gives the same, beyond rounding."""
        return "differ" if self.comparison is None else self.comparison.verdict


@dataclass(frozen=True, kw_only=True)
class Since:
    """It says what has changed since a result was pinned."""

    name: str
    experiment_id: str
    pinned_s: float
    verdict_then: str
    verdict_now: str
    sides: Sequence[SideSince]
    missing: Sequence[str]
    """The sides that were pinned and are not there now."""
    added: Sequence[str]

    @property
    def verdict(self) -> Verdict:
        """Return `agree` where nothing has changed beyond rounding."""
        verdicts = {one.verdict for one in self.sides} | ({"differ"} if self.missing else set())
        order: tuple[Verdict, ...] = ("differ", "inconclusive", "agree")
        return next(word for word in order if word in verdicts)


def since(session: Session, golden: Golden, outcome: Judged) -> Since:
    """Return what has changed in the sides of an experiment that was trained now."""
    then, now = golden.experiment.labels, outcome.record.experiment.labels
    own = trained_of(session, outcome.record)

    def load(ref: ArrayRef) -> Any:
        return golden.load(ref) if ref.sha256 in golden.arrays else session.blobs.get(ref)

    return Since(
        name=outcome.comparison.name,
        experiment_id=outcome.record.experiment_id,
        pinned_s=golden.pinned_s,
        verdict_then=golden.verdict,
        verdict_now=outcome.comparison.verdict,
        sides=[_side_since(side, golden, outcome, own, load) for side in now if side in then],
        missing=[side for side in then if side not in now],
        added=[side for side in now if side not in then],
    )


def _side_since(side: str, golden: Golden, outcome: Judged, own: FinishedRuns, load: Load) -> SideSince:
    pinned = [(one.run, one.result) for one in golden.own if one.run.side == side]
    current = [(run, result) for run, result in own.runs if run.side == side]
    then, now = pinned[0][0].dataset, current[0][0].dataset
    changed = list(_changed_data(then, now))
    ran = list(_ran_otherwise(pinned[0][1], current[0][1]))
    versions = [f"{name} {before} then, {after} now" for name, before, after in ran if name in _WORTH_A_WORD]
    changed += [f"It ran in {both(versions)}."] if versions else []
    if then.train.x.shape[1:] != now.train.x.shape[1:]:
        return SideSince(side=side, comparison=None, changed=changed, ran=ran)
    parts = {"own": _paired(pinned, current, now)}
    for relation, kept in ((TWIN, golden.twin), (RERUN, golden.rerun)):
        trained = outcome.finished.get(relation)
        both_times = (
            [(one.run, one.result) for one in kept if one.run.side == side],
            [one for one in trained.runs if one[0].side == side] if trained else [],
        )
        if all(both_times):
            parts[relation] = _paired(*both_times, now)
    record = _record(outcome.record, side)
    finished = {name: FinishedRuns(record=_of_seeds(record, runs), runs=runs) for name, runs in parts.items()}
    first = finished.pop("own")
    found = judged(first, [run for run, _ in first.runs], finished, load)
    return SideSince(side=side, comparison=found.comparison, changed=changed, ran=ran)


Trained = Sequence[tuple[Run, RunResult]]


def _paired(pinned: Trained, current: Trained, data: Dataset) -> list[tuple[Run, RunResult]]:
    """Return runs of then and of now as those of two sides, on the data of now: a file has hashes alone."""
    return [
        (
            run.model_copy(update={"side": label, "dataset": data}),
            result.model_copy(update={"side": label}),
        )
        for label, runs in ((PINNED, pinned), (NOW, current))
        for run, result in runs
    ]


def _record(record: ExperimentRecord, side: str) -> ExperimentRecord:
    """Return the record of an experiment whose sides are this one then and now."""
    (declared,) = [one for one in record.experiment.side_list if one.label == side]
    left_out = {"frameworks", "sides", "overrides", "grid"}
    document = record.experiment.model_dump(mode="json", exclude=left_out, exclude_unset=True)
    document["sides"] = {label: {"framework": declared.framework} for label in (PINNED, NOW)}
    return record.model_copy(update={"experiment": Experiment.model_validate(document)})


def _of_seeds(record: ExperimentRecord, runs: Iterable[tuple[Run, RunResult]]) -> ExperimentRecord:
    seeds = tuple(dict.fromkeys(seed for run, _ in runs for seed in run.seeds))
    return record.model_copy(update={"experiment": record.experiment.model_copy(update={"seeds": seeds})})


def _changed_data(then: Dataset, now: Dataset) -> Iterator[str]:
    changed = [part for part in PARTS if getattr(then, part) != getattr(now, part)]
    if then.scaling != now.scaling or then.target_scaling != now.target_scaling:
        changed.append("scaling")
    if changed:
        yield f"The data are others than those that were pinned, by their hashes: {both(changed)}."


_WORTH_A_WORD = ("framework", "device", "execution", "platform")


def _ran_otherwise(then: RunResult, now: RunResult) -> Iterator[tuple[str, str, str]]:
    """Yield what the workers recorded otherwise, with its value then and now."""
    if then.environment is None or now.environment is None:
        return
    before, after = _environment(then.environment), _environment(now.environment)
    for name in dict.fromkeys((*before, *after)):
        if before.get(name) != after.get(name):
            yield name, before.get(name, "none"), after.get(name, "none")


def _environment(environment: Environment) -> dict[str, str]:
    flat = {
        "framework": f"{environment.framework} {environment.framework_version}",
        "device": environment.device,
        "threads": str(environment.threads),
        "execution": environment.execution,
        "platform": environment.platform,
    }
    return flat | environment.versions | environment.flags
