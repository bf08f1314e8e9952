"""Holds a bundle to its word: its members, its hashes, and what comes of training it again here.

Every claim is answered by itself. What only tells where the two trainings ran is noted, and is no failure.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from likewise.producer import experiments
from likewise.producer.bundle import Bundle, check_members, read_bundle, sides_of, table_of
from likewise.producer.display import both, count
from likewise.producer.golden import since
from likewise.producer.report.verification import Verification, VerifiedClaim
from likewise.producer.runs.results import merged, trained_of
from likewise.producer.runs.submit import Request, RunMaker, new_id, submit_runs
from likewise.shared.errors import ResultError
from likewise.shared.limits import arrays_of
from likewise.shared.results.seed_table import SeedTable
from likewise.shared.store.arrays import encode_array, hash_arrays

if TYPE_CHECKING:
    from likewise.producer.follow_ups import Judged
    from likewise.producer.golden import SideSince, Since
    from likewise.producer.session import Session
    from likewise.shared.ledger.records import ExperimentRecord


def verify(path: Path, *, train: bool, quiet: bool) -> Verification:
    """Check a bundle, and train it again where it holds together. Raises UsageError for no bundle."""
    manifest, wrong = check_members(path)
    claims = [VerifiedClaim(name="members", state="fails", text=sentence) for sentence in wrong]
    if not wrong:
        members = count(len(manifest.members), "member")
        claims.append(VerifiedClaim(name="members", state="holds", text=f"{members}, each with its SHA-256"))
        try:
            bundle = read_bundle(path)
            claims += _consistent(bundle)
        except ResultError as error:
            claims.append(VerifiedClaim(name="members", state="fails", text=str(error)))
    whole = all(claim.state != "fails" for claim in claims)
    retrained = None
    if train and whole:
        found, retrained = _trained_again(bundle, quiet=quiet)
        claims += found
    return Verification(
        file=str(path),
        name=manifest.name,
        bundled_id=manifest.experiment_id,
        experiment_id=retrained,
        claims=claims,
        trained=retrained is not None,
    )


def _consistent(bundle: Bundle) -> Iterator[VerifiedClaim]:
    """Yield whether the parts of a bundle say the same. Raises ResultError for damaged arrays."""
    golden, manifest = bundle.golden, bundle.manifest
    computed = sides_of(golden)
    for side, known in manifest.sides.items():
        parts = ("job", "environment", "seeds")
        other = [
            part
            for part in parts
            if side not in computed or getattr(computed[side], part) != getattr(known, part)
        ]
        if other:
            text = f"results.json has another {both(other)} than the manifest"
            yield VerifiedClaim(name="results", side=side, state="fails", text=text)
        else:
            seeds = count(len(known.seeds), "seed")
            text = f"{seeds}: job, batches and weights are those of the manifest"
            yield VerifiedClaim(name="results", side=side, state="holds", text=text)
    if missing := [side for side in computed if side not in manifest.sides]:
        yield VerifiedClaim(name="results", state="fails", text=f"the manifest does not have {both(missing)}")
    if manifest.data == "hashes":
        text = "only their hashes are here; they are read anew, from this folder"
        yield VerifiedClaim(name="data", state="noted", text=text)
        return
    wrong = [
        name
        for one in golden.own
        for name in (ref.sha256 for ref in arrays_of(one.run))
        if encode_array(bundle.data[name])[0].sha256 != name
    ]
    if wrong:
        yield VerifiedClaim(name="data", state="fails", text=f"{wrong[0]} is not the array of that hash")
    else:
        text = f"{count(len(bundle.data), 'array')}, each the one that its runs refer to"
        yield VerifiedClaim(name="data", state="holds", text=text)


def _trained_again(bundle: Bundle, *, quiet: bool) -> tuple[list[VerifiedClaim], str]:
    """Train a bundle's job again, and return what holds of its numbers, with the new experiment's id."""
    golden = bundle.golden
    if bundle.manifest.data == "hashes":
        prepared = experiments.prepare_given(golden.experiment, (), None)
        with experiments.open_to_train(prepared, quiet=quiet) as session:
            record = experiments.submit_prepared(session, prepared, _request(bundle))
            return _judged_again(session, bundle, record, quiet=quiet)
    with experiments.open_for(golden.experiment.environments_needed, quiet=quiet) as session:
        return _judged_again(session, bundle, _submit(session, bundle), quiet=quiet)


def _request(bundle: Bundle) -> Request:
    return Request(tags=("verify",), note=f"trains {bundle.manifest.experiment_id} again")


def _submit(session: Session, bundle: Bundle) -> ExperimentRecord:
    """Queue a bundle's runs on its own arrays."""
    from likewise.producer.runs.routing import Need, refuse_unserved

    refuse_unserved([Need.of_run(one.run) for one in bundle.golden.own], session.ledger.workers())
    maker = RunMaker(session)
    for array in bundle.data.values():
        maker.arrays.put(array)
    runs = [
        one.run.model_copy(update={"run_id": new_id(), "experiment_id": maker.experiment_id})
        for one in bundle.golden.own
    ]
    return submit_runs(session, maker, bundle.golden.experiment, runs, _request(bundle))


def _judged_again(
    session: Session, bundle: Bundle, record: ExperimentRecord, *, quiet: bool
) -> tuple[list[VerifiedClaim], str]:
    outcome = experiments.compare_to_end(session, record, quiet=quiet, trace=False)
    failed = [
        VerifiedClaim(name="training", state="fails", text=reason) for reason in outcome.comparison.reasons
    ]
    if outcome.comparison.failed:
        return failed, record.experiment_id
    found = since(session, bundle.golden, outcome)
    claims = [claim for one in found.sides for claim in _of_side(session, bundle, outcome, one)]
    return [*claims, verdict_claim(found)], record.experiment_id


def _of_side(session: Session, bundle: Bundle, outcome: Judged, one: SideSince) -> Iterator[VerifiedClaim]:
    """Yield what holds of a side: its start, its batches, where it ran, its numbers and its weights."""
    golden, side = bundle.golden, one.side
    then = table_of(golden, merged([pinned.result for pinned in golden.own])[side])
    own = merged(trained_of(session, outcome.record).results)[side]
    now = SeedTable.of(own, golden.experiment.seed_list, arrays=session.blobs.get)
    for place, what in enumerate(("initial weights", "batches")):
        same = bool(np.array_equal(then.hashes[:, place], now.hashes[:, place]))
        text = "the same, by their hashes" if same else "others, by their hashes"
        yield VerifiedClaim(name=what, side=side, state="holds" if same else "fails", text=text)
    if one.ran:
        several = [f"{name} {before} then, {after} now" for name, before, after in one.ran]
        yield VerifiedClaim(name="environment", side=side, state="noted", text="; ".join(several))
    else:
        yield VerifiedClaim(
            name="environment", side=side, state="holds", text="the same versions, device and flags"
        )
    for sentence in one.changed:
        if not sentence.startswith("It ran in"):
            yield VerifiedClaim(name="data", side=side, state="fails", text=sentence)
    yield _numbers(one)
    equal = hash_arrays(then.weights()) == hash_arrays(now.weights())
    text = "the same bits" if equal else "not the same bits; the numbers say how far apart"
    yield VerifiedClaim(name="trained weights", side=side, state="holds" if equal else "noted", text=text)


def _numbers(one: SideSince) -> VerifiedClaim:
    """Return whether the numbers hold; the losses of one job are also reported in one way."""
    if one.comparison is None:
        return VerifiedClaim(name="numbers", side=one.side, state="fails", text="they have another shape")
    for note in one.comparison.notes:
        if note.code == "reported_differently":
            return VerifiedClaim(name="numbers", side=one.side, state="fails", text=note.text)
    state: Literal["holds", "fails"] = "holds" if one.verdict == "agree" else "fails"
    return VerifiedClaim(name="numbers", side=one.side, state=state, text=one.comparison.reasons[0])


def verdict_claim(found: Since) -> VerifiedClaim:
    """Return whether the sides are judged as they were; one that was open then, a twin may settle now."""
    then, now = found.verdict_then, found.verdict_now
    if then == now:
        return VerifiedClaim(name="verdict", state="holds", text=f"the sides {then}, as they did")
    if then == "inconclusive":
        text = f"it was open, and is {now} now, with the follow-ups of a comparison"
        return VerifiedClaim(name="verdict", state="noted", text=text)
    return VerifiedClaim(name="verdict", state="fails", text=f"it was {then}, and is {now} now")
