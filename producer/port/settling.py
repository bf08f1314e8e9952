"""Settles by values what shapes leave open in a pairing: orders of rows, siblings, branches, proofs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likewise.producer.display import both
from likewise.producer.port.alignment import other_assignments, row_orders
from likewise.producer.port.evidence import PairStep, first_calls, follows, forced_pass, moves_alone
from likewise.producer.port.exchanged import RecordedCall, relative_difference
from likewise.producer.port.mapping import Pair, Seen, WeightMapping
from likewise.producer.port.pairing import Pairing
from likewise.producer.port.settings import CHANGEABLE, Difference, own_zeros
from likewise.producer.port.wiring import by_neighbours
from likewise.shared.errors import RunFailedError

Array = NDArray[Any]
Signature = tuple[Any, ...]
_NEAR = 0.01
"""Another order fits where it leaves less than this share of the gap."""
_MOST_SIBLINGS = 3
_MOST_ASSIGNMENTS = 64
_MISFITS_OF_WIRING = 2
"""Fewer segments that misfit are no exchanged modules, of which each misfits."""
_MOST_ROUNDS = 12
_MOST_WRAPPERS = 12
_MOST_CHANGED = 32
"""No more pairs are proved by a change, each of which costs a pass of both programs."""
_CHANGE = 0.1
_GIVEN = ("padding", "use_bias")
"""Beside what a live module can be given as a number: zeros around its input, and a bias that rests."""


def settle(pairing: Pairing, tell: Callable[[str], None]) -> None:
    """Load the reference's weights into the other program and settle by values what shapes leave open."""
    tell("mapping: each pair of modules is fed the same and compared by values")
    pairing.force()
    _settle_steps(pairing)
    _settle_row_orders(pairing)
    _settle_crossed(pairing)
    _settle_siblings(pairing)
    _settle_wiring(pairing, tell)
    _settle_own(pairing)
    pairing.changes = _prove_by_change(pairing)
    pairing.finish(tell)
    pairing.changes |= _prove_alike(pairing)


def _settle_steps(pairing: Pairing) -> None:
    """Let what wraps layers give them the steps of a sequence as the other program has them."""
    for side in (pairing.reference, pairing.other):
        for path, (own, *ways) in list(pairing.wrappers(side).items())[:_MOST_WRAPPERS]:
            best = _unfit(pairing), own
            for way in ways if best[0] else ():
                pairing.lay_steps(side, path, way)
                best = min(best, (_unfit(pairing), way), key=lambda one: one[0])
            if best[1] != (ways[-1] if ways else own):
                pairing.lay_steps(side, path, best[1])


def _unfit(pairing: Pairing) -> int:
    """Return how many modules are not fed what the reference's are, with its axes."""
    found = 0
    for step in pairing.forced.steps:
        call = pairing.call(step.pair)
        one, two = None if call is None else call.entered, step.entered
        unlike = one is not None and two is not None and one.shape != two.shape
        found += unlike or step.segment > pairing.tolerance or step.local == np.inf
    return found


def _settle_row_orders(pairing: Pairing) -> None:
    """Find in which order the rows of dense kernels behind a flatten lie."""
    found = False
    for step in pairing.forced.steps:
        call = pairing.call(step.pair)
        if step.pair.reference.kind != "dense" or step.segment <= pairing.tolerance or step.entered is None:
            continue
        if call is None or call.entered is None or call.entered.ndim != 2:
            continue
        shapes = [
            one.left.shape[1:] for one in pairing.calls[: pairing.calls.index(call)] if one.left.ndim > 2
        ]
        near = max(pairing.tolerance, _NEAR * step.segment)
        for order in row_orders(call.entered.shape[1], shapes[::-1]):
            if relative_difference(call.entered[:, order], step.entered) <= near:
                pairing.mapping = pairing.mapping.with_order(step.pair.reference.path, order)
                found = True
                break
    if found:
        pairing.force()


def _settle_siblings(pairing: Pairing) -> None:
    """Where what follows does not fit, try the other assignments of modules that are fed the same."""
    groups: dict[Signature, list[Pair]] = {}
    for pair in pairing.mapping.pairs:
        call = pairing.call(pair)
        if call is not None and call.entered is not None and _may_change(pairing, pair):
            groups.setdefault((pair.reference.signature, call.entered.tobytes()), []).append(pair)
    for group in groups.values():
        if 1 < len(group) <= _MOST_SIBLINGS and pairing.forced.misfits(pairing.tolerance)[0]:
            _try_orders(pairing, group)


def _settle_crossed(pairing: Pairing) -> None:
    """Give modules whose inputs do not fit the counterpart that is fed the same, of those of equal shapes.

    So branches are told apart that the programs run through in another order, and a layer that one program
    has more is found where it is: each of two batch norms of one size gives the same when fed the same,
    whichever it is paired with. What is right shows what comes next, so it is done again while it helps.
    """
    tried = {_names(pairing)}
    for _ in range(_MOST_ROUNDS):
        if not _exchanges(pairing, tried):
            return


def _exchanges(pairing: Pairing, tried: set[tuple[str, ...]]) -> bool:
    """Exchange counterparts once; return whether that was new and no more segments misfit."""
    kept, misfits = (pairing.mapping, pairing.forced), _failing(pairing)
    pairing.mapping = _exchanged(pairing, _misfits_by_signature(pairing))
    if _names(pairing) in tried:
        pairing.mapping = kept[0]
        return False
    tried.add(_names(pairing))
    pairing.force()
    if _failing(pairing) <= misfits:
        return True
    pairing.mapping, pairing.forced = kept
    pairing.other.load(pairing.loaded())
    return False


def _may_change(pairing: Pairing, pair: Pair) -> bool:
    return pair.reference.path not in pairing.fixed and not pair.renamed


def _failing(pairing: Pairing) -> int:
    return pairing.forced.misfits(pairing.tolerance)[0]


def _names(pairing: Pairing) -> tuple[str, ...]:
    return tuple(pair.other.path for pair in pairing.mapping.pairs)


def _misfits_by_signature(pairing: Pairing) -> dict[Signature, list[PairStep]]:
    groups: dict[Signature, list[PairStep]] = {}
    for step in pairing.forced.steps:
        # What enters with another shape is no segment that can be judged, and fits as little.
        apart = step.entered is not None and (step.segment > pairing.tolerance or not step.fed)
        if apart and _may_change(pairing, step.pair):
            groups.setdefault(step.pair.reference.signature, []).append(step)
    return groups


def _exchanged(pairing: Pairing, groups: Mapping[Signature, Sequence[PairStep]]) -> WeightMapping:
    """Return the mapping once each module of a misfit has the counterpart that is fed the same."""
    mapping = pairing.mapping
    now = {pair.reference.path: pair.other for pair in mapping.pairs}
    for signature, group in groups.items():
        free = [(now[step.pair.reference.path], step.entered) for step in group]
        free += _unpaired(pairing, signature)
        given: dict[str, Seen] = {}
        for step in group:
            call = pairing.call(step.pair)
            near = max(pairing.tolerance, _NEAR * step.segment)
            fits = (one for one in free if call is not None and _is_fed(step, one[1], call, near))
            if (found := next(fits, None)) is not None:
                free = [one for one in free if one is not found]
                given[step.pair.reference.path] = found[0]
        for step in group:  # the others keep theirs, or take what is left
            path = step.pair.reference.path
            if path not in given:
                left = next((one for one in free if one[0] is now[path]), free[0])
                free = [one for one in free if one is not left]
                given[path] = left[0]
        mapping = mapping.exchanged(list(given), list(given.values()))
    return mapping


def _unpaired(pairing: Pairing, signature: Signature) -> list[tuple[Seen, Array | None]]:
    """Return the other program's modules of a signature without a counterpart, with what enters them."""
    places = first_calls(pairing.forced.calls)
    return [
        (one, pairing.forced.calls[places[one.path]].entered)
        for one in pairing.mapping.strangers
        if one.signature == signature and one.path in places
    ]


def _is_fed(step: PairStep, entered: Array | None, call: RecordedCall, near: float) -> bool:
    """Return whether what enters a module of the other side is as near to what entered a step's call."""
    one = call.entered
    if one is None or entered is None or one.shape != entered.shape:
        return False
    return relative_difference(step.pair.entering(one), entered) <= near


def _try_orders(pairing: Pairing, group: Sequence[Pair]) -> None:
    """Keep the assignment that leaves the fewest segments apart; of equally good ones, that of
    equal names.
    """
    paths = [pair.reference.path for pair in group]
    now = {pair.reference.path: pair.other for pair in pairing.mapping.pairs}
    others = [now[path] for path in paths]
    kept, best = pairing.mapping, (_misfits(pairing, paths), pairing.mapping, pairing.forced)
    for order in list(permutations(others))[1:]:
        pairing.mapping = kept.exchanged(paths, order)
        pairing.force()
        _settle_crossed(pairing)
        if _misfits(pairing, paths) < best[0]:
            best = (_misfits(pairing, paths), pairing.mapping, pairing.forced)
    _, pairing.mapping, pairing.forced = best
    pairing.other.load(pairing.loaded())
    if pairing.mapping is not kept and _renamed(pairing, paths):
        found = both([pair.other.path for pair in pairing.mapping.pairs if pair.reference.path in paths])
        pairing.note(f"{both(paths)} have equal shapes; values showed that they are {found}, in this order")


def _settle_own(pairing: Pairing) -> None:
    """Find by values which weight is which of two modules of the user's own with other names for them."""
    for pair in pairing.mapping.pairs:
        if not pair.renamed or not _failing(pairing):
            continue
        best = (pairing.forced.misfits(pairing.tolerance), pairing.mapping, pairing.forced)
        for other in other_assignments(pair, _MOST_ASSIGNMENTS):
            pairing.mapping = pairing.mapping.with_pair(other)
            pairing.force()
            found = pairing.forced.misfits(pairing.tolerance)
            if found < best[0]:
                best = (found, pairing.mapping, pairing.forced)
            if not found[0]:
                break
        _, pairing.mapping, pairing.forced = best
        pairing.other.load(pairing.loaded())


def _settle_wiring(pairing: Pairing, tell: Callable[[str], None]) -> None:
    """Where modules still misfit, give those of equal shapes the counterpart with the same neighbours."""
    if pairing.is_large or _failing(pairing) < _MISFITS_OF_WIRING:
        return
    tell("mapping: both programs run some times more, to see which module feeds which")
    kept, misfits = (pairing.mapping, pairing.forced), _failing(pairing)
    pairing.mapping = by_neighbours(pairing)
    pairing.force()
    _settle_crossed(pairing)
    _settle_siblings(pairing)
    if _failing(pairing) >= misfits:
        pairing.mapping, pairing.forced = kept
        pairing.other.load(pairing.loaded())


def _misfits(pairing: Pairing, paths: Sequence[str]) -> tuple[int, int, int]:
    failing, calls = pairing.forced.misfits(pairing.tolerance)
    return failing, _renamed(pairing, paths), calls


def _renamed(pairing: Pairing, paths: Sequence[str]) -> int:
    """Return how many of these modules have another last name on the other side."""
    return sum(
        pair.reference.path.rpartition(".")[2] != pair.other.path.rpartition(".")[2]
        for pair in pairing.mapping.pairs
        if pair.reference.path in paths
    )


def _prove_by_change(pairing: Pairing) -> dict[str, bool | None]:
    """Return what a change of their weights says of the pairs that are not seen at work.

    The weights of each are changed alike in both programs, and what comes next is compared (see
    `producer.port.evidence.follows`).
    """
    found: dict[str, bool | None] = {}
    seen = {step.pair.reference.path for step in pairing.forced.steps}
    unseen = [pair for pair in pairing.mapping.pairs if pair.reference.path not in seen and pair.shared]
    if not unseen or len(unseen) > _MOST_CHANGED or pairing.is_large:
        return found
    draws = np.random.default_rng(1)
    for pair in unseen:
        names = [f"{pair.reference.path}.{name}" for name in pair.shared]
        changed = {
            name: pairing.weights[name] + _CHANGE * draws.uniform(0.5, 1.5, pairing.weights[name].shape)
            for name in names
        }
        pairing.reference.load(changed)
        pairing.other.load(pairing.mapping.to_other(changed))
        calls = pairing.reference.forward(pairing.batch.inputs)
        moved = forced_pass(pairing.other, pairing.inputs, pairing.mapping, calls)
        found[pair.reference.path] = follows(
            (pairing.forced, moved), (pairing.calls, calls), pairing.tolerance
        )
        if found[pair.reference.path] is None and moves_alone(
            (pairing.forced, moved), (pairing.calls, calls)
        ):
            pairing.idle = pairing.idle | {pair.reference.path}
        pairing.reference.load({name: pairing.weights[name] for name in names})
        pairing.other.load(pairing.loaded())
    return found


def _prove_alike(pairing: Pairing) -> dict[str, bool | None]:
    """Prove the pairs whose modules differ by a setting, or by a bias that only one has, without that.

    The other program's modules are given the reference's numbers for one pass, its paddings too, and a bias
    that the reference alone has rests.
    """
    pairs = [step.pair for step in pairing.forced.steps if step.local > pairing.tolerance]
    changed = [
        pair
        for pair in pairs
        if {one.name for one in pairing.different[pair.reference.path]} <= {*CHANGEABLE, *_GIVEN}
        and _give(pairing, pair, to_reference=True)
    ]
    resting = {
        f"{pair.reference.path}.{name}": np.zeros(pair.reference.shape(name) or ())
        for pair in pairs
        for name in pair.lonely[0]
        if name == "bias"
    }
    if not changed and not resting:
        return {}
    calls = pairing.calls
    if resting:
        pairing.reference.load(resting)
        calls = pairing.reference.forward(pairing.batch.inputs)
        pairing.reference.load({name: pairing.weights[name] for name in resting})
    try:
        steps = forced_pass(pairing.other, pairing.inputs, pairing.mapping, calls).steps
    except RunFailedError:  # the program is not made for other shapes
        steps = ()
    finally:
        for pair in changed:
            _give(pairing, pair, to_reference=False)
    paths = {pair.reference.path for pair in pairs}
    return {
        step.pair.reference.path: True
        for step in steps
        if step.pair.reference.path in paths and step.local <= pairing.tolerance
    }


def _give(pairing: Pairing, pair: Pair, *, to_reference: bool) -> bool:
    """Give a module of the other program the reference's settings, or its own; return whether it can be."""
    given = False
    for one in pairing.different[pair.reference.path]:
        value = one.reference if to_reference else one.other
        if one.name == "padding":
            step = pairing.forced.of(pair.reference.path)
            value = None if step is None else zeros_as(step, one, to_reference=to_reference)
            if value is not None and not to_reference:  # so that a later look at it is not one at ours
                pairing.other.change(pair.other.path, one.name, None)
                continue
        elif one.name not in CHANGEABLE:
            continue
        if value is not None:
            given |= pairing.other.change(pair.other.path, one.name, value)
    return given


def zeros_as(step: PairStep, padding: Difference, *, to_reference: bool) -> list[list[int]] | None:
    """Return the zeros that the other's convolution itself has to add for a padding, given what a call before
    adds; None where it cannot.
    """
    own = None if step.entered is None else own_zeros(step.pair.other, step.entered.shape)
    if own is None or not isinstance(padding.reference, list) or not isinstance(padding.other, list):
        return None
    wanted = np.array(own)
    if to_reference:
        wanted = wanted + np.array(padding.reference) - np.array(padding.other)
    found: list[list[int]] = wanted.tolist()
    return None if np.any(wanted < 0) else found
