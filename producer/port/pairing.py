"""Brings two programs side by side: which module is which, on the same weights, fed the same tensors.

What is known of both is kept here, for the rungs to ask.

Longer than 400 lines: what is known of the two programs is settled step by step, and each step rests on
the ones before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likewise.producer.display import both
from likewise.producer.port.alignment import align, own_to_divide
from likewise.producer.port.draws import PairedDraws, pair_draws
from likewise.producer.port.evidence import (
    ForcedPass,
    PairStep,
    Refed,
    Repeat,
    forced_pass,
    forces,
    outputs_of,
)
from likewise.producer.port.exchanged import (
    Arrays,
    DrawSite,
    FedBatch,
    RecordedCall,
    RecordedPass,
    relative_difference,
)
from likewise.producer.port.file import LOCK
from likewise.producer.port.finiteness import where_numbers_end
from likewise.producer.port.fused import fused_projections
from likewise.producer.port.hosted import Hosted
from likewise.producer.port.layouts import lay_both, outputs_as, with_targets_laid
from likewise.producer.port.mapping import Pair, Seen
from likewise.producer.port.partings import gives_the_same
from likewise.producer.port.settings import (
    CHANGEABLE,
    Difference,
    causal_padding,
    differences,
    same_padding,
    shows_in_numbers_alone,
)
from likewise.shared.errors import DataError, RunFailedError

TOLERANCE = {"float64": 2e-7, "float32": 1e-4}
"""How far apart tensors may lie, relative to the largest number, and be called the same.

In float64 it is a few units of float32, since the frameworks keep constants of a layer (a slope, a beta) in
float32.
"""
UPDATES = 5
FEW_UPDATES = 2
LARGE_PROGRAM = 20_000_000
"""A program with more weights than this is large."""
_NOISE = 0.1
_ADD_NOTHING_AS_ZERO = ("bias", "beta", "recurrent_bias", "moving_mean")


@dataclass(frozen=True)
class PortStart:
    """What is known before two programs are paired."""

    checkpoints: tuple[bool, bool] = (False, False)
    """Whether each side's weights are those of a checkpoint."""
    by_hand: tuple[Mapping[str, str], ...] = ()
    """The names of weights by side that the user says are the same."""


class Pairing:
    """Two programs, a batch, the pairs of their modules, and what one forced forward pass shows of each."""

    idle: Set[str] = frozenset()
    """The reference's paths of pairs that the other program alone uses, as a change of weights shows."""
    _repeats: Sequence[Repeat] = ()

    def __init__(
        self,
        reference: Hosted,
        other: Hosted,
        batch: FedBatch,
        *,
        precision: str,
        tell: Callable[[str], None],
        start: PortStart | None = None,
    ) -> None:
        """Run both programs once, and pair their modules in the order of use."""
        if reference.steps and other.steps:
            batch = batch.for_models(reference.arguments or other.arguments)
        self.reference, self.other = reference, other
        self.tolerance = TOLERANCE[precision]
        self.draws = PairedDraws()
        self.changes: dict[str, bool | None] = {}
        """What a change of their weights says of pairs that are not seen at work, by the reference's paths:
        true where the other program moves alike, false where it does not move.
        """
        self.training_fails: str | None = None
        """What was said where a program cannot run in training mode."""
        self.notes: list[str] = [] if batch.note is None else [batch.note]
        for side in (reference, other):
            assumed = side.name_inputs(list(batch.inputs))
            self.notes += [] if assumed is None else [assumed]
        tell("mapping: both programs run once, to see which modules they use, and in which order")
        self.beforehand = start or PortStart()
        self.start: Arrays
        """The reference's own weights, by name."""
        mine, theirs, undecided = lay_both(reference, other, batch, prepare=self._begin)
        self.word = mine.word
        """Which axes of the batch were moved for the reference, if any."""
        self.calls, calls = mine.calls, theirs.calls
        self._check_numbers()
        outputs = outputs_of(self.calls)
        self.batch = with_targets_laid(reference, mine.batch, mine.word, outputs)
        self._note_axes(reference, mine.word, batch, self.batch)
        self.others_batch = with_targets_laid(
            other,
            theirs.batch,
            theirs.word,
            outputs_as(theirs.word, outputs, outputs_of(calls)),
            wanted=lambda: reference.loss(outputs, self.batch.targets)[0],
        )
        self._note_axes(other, theirs.word, batch, self.others_batch)
        self.notes += undecided
        self._others_own = other.weights() if self.beforehand.checkpoints[1] else {}
        # Once both have run, since a Keras model may be built by its first call.
        self.described = {side.label: side.describe() for side in (reference, other)}
        for label, described in self.described.items():
            if asked := described.get("asked"):
                self.note(f"{label} asks for {both(asked)}; here it ran in {precision}")
            if compiled := described.get("compiled"):
                self.note(f"{label} was given the {both(compiled)} that its model is compiled with")
            if described.get("penalized"):
                self.note(
                    f"{label} has regularizers, which add λ·Σw² to its loss: they were taken as the coupled "
                    "weight decay of 2λ that they are, and the losses are those without them"
                )
        self.seen = self._look()
        self.evaluation_draws = (
            self._where_made(reference, self.calls.sites),
            self._where_made(other, calls.sites),
        )
        self._called: dict[tuple[str, str], str] = {}
        for side, several in ((reference, self.calls), (other, calls)):
            for call in several:
                if call.path is not None and call.line is not None:
                    self._called.setdefault((side.label, call.path), call.line)
        fused = fused_projections(self._in_order(reference, self.calls), self._in_order(other, calls))
        if any(fused):
            calls = self._divide(fused, calls)
            for side, paths in zip((reference, other), fused, strict=True):
                self._note_thirds(side, paths)
        self._align(calls)
        own = own_to_divide(self.mapping)
        if any(own):
            self._align(self._divide(own, calls))

    def _check_numbers(self) -> None:
        """Raise DataError where the reference gives no numbers to hold another program's against."""
        if told := where_numbers_end(self.calls):
            raise DataError(
                f"the outputs of {self.reference.label} are no finite numbers with this batch: {told}; "
                f"give a batch with which they are, or name {self.other.label}'s program first"
            )

    def _align(self, calls: RecordedPass) -> None:
        """Pair the modules of both programs by their order of use; `calls` are the other's."""
        by_hand = self._by_hand()
        self.fixed = {one.path for one, _ in by_hand}
        """The reference's modules that the user has paired, which keep their counterparts."""
        mine, theirs = self._in_order(self.reference, self.calls), self._in_order(self.other, calls)
        self.mapping = align(mine, theirs, by_hand)

    def _begin(self) -> None:
        """Take the reference's weights, once it is built, and shake them where no checkpoint says them."""
        self.start = self.reference.weights()
        self.weights = self.start if any(self.beforehand.checkpoints) else _shaken(self.start)
        self.reference.load({name: one for name, one in self.weights.items() if one.ndim == 1})

    def _look(self) -> dict[str, dict[str, Seen]]:
        """Return each side's modules by path, as they are described."""
        return {
            label: {one["path"]: Seen.of(one) for one in described["modules"]}
            for label, described in self.described.items()
        }

    def _divide(self, fused: tuple[list[str], list[str]], calls: RecordedPass) -> RecordedPass:
        """Take modules of which the other side has several as several; return the other side's calls anew."""
        for side, paths in zip((self.reference, self.other), fused, strict=True):
            if not paths:
                continue
            if side is self.reference:
                side.load(self.start)
            side.divide(paths)
        if fused[0]:
            self._begin()
            self.calls = self.reference.forward(self.batch.inputs)
        if fused[1]:
            calls = self.other.forward(self.inputs)
        self.described = {side.label: side.describe() for side in (self.reference, self.other)}
        self.seen = self._look()
        return calls

    def _note_thirds(self, side: Hosted, paths: Sequence[str]) -> None:
        if paths:
            named = both([*paths[:2], *([f"{len(paths) - 2} more"] if len(paths) > 2 else [])])
            are = "is" if len(paths) == 1 else "are"
            self.note(f"{named} of {side.label} {are} taken as query, key and value")

    def finish(self, tell: Callable[[str], None]) -> None:
        """Pair the random draws, take a checkpoint of the other program, and list the settings that differ,
        once the pairs are settled (see `producer.port.settling`).
        """
        self._settle_draws(tell)
        self._take_checkpoint()
        self.different = {step.pair.reference.path: self._differences(step) for step in self.forced.steps}

    def _note_axes(self, side: Hosted, word: str | None, given: FedBatch, fed: FedBatch) -> None:
        if word is not None:
            targets = "" if fed.targets is given.targets else ", its targets too"
            self.note(f"{side.label} was fed the batch with its axes as {word}{targets}")

    @property
    def inputs(self) -> Arrays:
        """Return the batch's inputs as they lie in the other program."""
        return self.others_batch.inputs

    @property
    def updates(self) -> int:
        """Return how many updates are compared: fewer of a large program."""
        return FEW_UPDATES if self.is_large else UPDATES

    @property
    def is_large(self) -> bool:
        """Return whether a pass of the programs takes long."""
        return sum(one.size for one in self.weights.values()) > LARGE_PROGRAM

    def _by_hand(self) -> list[tuple[Seen, Seen]]:
        """Return the modules that the user has paired by rows. Raises DataError for an unknown weight."""
        found = []
        for names in self.beforehand.by_hand:
            modules = []
            for side in (self.reference, self.other):
                name = names[side.label]
                module = next(
                    (one for one in self.seen[side.label].values() if name in one.weight_names), None
                )
                if module is None:
                    raise DataError(f"{side.label} has no weight {name}, which {LOCK} pairs by hand")
                modules.append(module)
            found.append((modules[0], modules[1]))
        return found

    def _take_checkpoint(self) -> None:
        """Begin with the other program's checkpoint, where that alone has one; compare two."""
        self.checkpoints_apart: dict[str, float] = {}
        own = self.mapping.to_reference(self._others_own)
        if all(self.beforehand.checkpoints):
            self.checkpoints_apart = {
                name: apart
                for name, one in own.items()
                if (apart := relative_difference(self.weights[name], one)) > self.tolerance
            }
        elif self.beforehand.checkpoints[1]:
            self.start = self.weights = {**self.weights, **own}
            self.reference.load(self.weights)
            self.calls = self.reference.forward(self.batch.inputs)
            self.force()

    def note(self, text: str) -> None:
        """Keep a note, once."""
        if text not in self.notes:
            self.notes.append(text)

    @property
    def frameworks_differ(self) -> bool:
        """Return whether the programs are of two frameworks."""
        return self.reference.framework != self.other.framework

    # ---- the same weights

    def force(self) -> None:
        """Load the reference's weights and run the other program with the reference's tensors."""
        self.other.load(self.loaded())
        self.forced = forced_pass(self.other, self.inputs, self.mapping, self.calls)

    def refed(self, refed: Mapping[int, NDArray[Any]]) -> ForcedPass:
        """Return a forced pass in which more calls of the other program give what is said, by number."""
        calls = {one.theirs: self.calls[one.mine].left for one in self._repeats}
        more = Refed({**calls, **refed}, self._repeats)
        return forced_pass(self.other, self.inputs, self.mapping, self.calls, refed=more)

    @contextmanager
    def unrolled(self, repeats: Sequence[Repeat]) -> Iterator[None]:
        """Judge these later calls of modules, too, while it is entered (see `producer.port.unrolling`)."""
        kept = self.forced
        self._repeats = tuple(repeats)
        try:
            self.forced = self.refed({})
            yield
        finally:
            self._repeats, self.forced = (), kept

    def wrappers(self, side: Hosted) -> Mapping[str, Sequence[str]]:
        """Return what gives its layer the steps of a sequence, by path, with the ways that each has."""
        found: Mapping[str, Sequence[str]] = self.described[side.label].get("wrappers", {})
        return found

    def lay_steps(self, side: Hosted, wrapper: str, way: str) -> None:
        """Let a wrapper of a program give its layer its steps in another way, and force anew."""
        side.lay_steps(wrapper, way)
        if side is self.reference:
            self.calls = side.forward(self.batch.inputs)
        self.force()

    def loaded(self) -> Arrays:
        """Return the reference's weights for the other side; what that has alone adds nothing."""
        loaded = self.mapping.to_other(self.weights)
        for pair in self.mapping.pairs:
            for name in pair.lonely[1]:
                shape = pair.other.shape(name) or ()
                zero = name.split(".")[-1] in _ADD_NOTHING_AS_ZERO
                loaded[f"{pair.other.path}.{name}"] = np.zeros(shape) if zero else np.ones(shape)
        return loaded

    def _in_order(self, side: Hosted, calls: Sequence[RecordedCall]) -> list[Seen]:
        """Return the modules with weights in their order of use; those that were not called come last."""
        seen = self.seen[side.label]
        order = [*(call.path for call in calls if call.path is not None), *seen]
        return [seen[path] for path in dict.fromkeys(order) if path in seen and seen[path].slots]

    # ---- random draws

    def _settle_draws(self, tell: Callable[[str], None]) -> None:
        """Pair the random draws of both programs in training mode, with dropout off."""
        tell("mapping: both programs run once in training mode, to see where they draw random numbers")
        try:
            calls = self.reference.forward(self.batch.inputs, training=True)
            theirs = self.other.forward(self.inputs, forces(self.mapping, calls), training=True)
        except RunFailedError as error:
            self.training_fails = str(error)
            return
        orders = [pair.order for pair in self.mapping.pairs if pair.order is not None]
        sites = self._where_made(self.reference, calls.sites), self._where_made(self.other, theirs.sites)
        self.draws = pair_draws(*sites, orders)
        self.other.arrange(self.draws.arrangements())

    def _where_made(self, side: Hosted, sites: Sequence[DrawSite]) -> tuple[DrawSite, ...]:
        """Return the draws with the line of a dropout of a layer being that where the layer is made."""
        found = []
        for site in sites:
            seen = None if site.path is None else self.seen[side.label].get(site.path)
            made = seen is not None and seen.kind == "dropout" and seen.line
            found.append(replace(site, line=made) if made else site)
        return tuple(found)

    # ---- settings

    def call(self, pair: Pair) -> RecordedCall | None:
        """Return the first call of the reference's module."""
        return first_of(self.calls, pair.reference.path)

    def _differences(self, step: PairStep) -> list[Difference]:
        """Return the settings of a pair that differ, but for those that are written otherwise and do
        the same.
        """
        found = differences(step.pair.reference.settings, step.pair.other.settings)
        if step.local <= self.tolerance:
            return [
                one
                for one in found
                if not shows_in_numbers_alone(one) or (one.name == "crop" and not self._is_cut_behind(step))
            ]
        return [one for one in found if one.name != "padding"] + self._paddings(step)

    def _is_cut_behind(self, step: PairStep) -> bool:
        """Return whether a call behind one module gives what the other module gives by itself."""
        place = next(number for number, one in enumerate(self.forced.steps) if one is step)
        later = self.forced.steps[place + 1 : place + 2]
        behind = later[0].before if later else self.forced.after
        mine = self.call(step.pair)
        theirs = next((call for call in self.forced.calls if call.path == step.pair.other.path), None)
        return any(
            one is not None and gives_the_same(one, calls, self.tolerance)
            for one, calls in ((mine, behind[1]), (theirs, behind[0]))
        )

    def _paddings(self, step: PairStep) -> list[Difference]:
        """Return the zeros around a pair's input as numbers, with those that a layer before has put there."""
        zeros = []
        for side, seen, before, entered in (
            (self.reference, step.pair.reference, step.before[0], step.given),
            (self.other, step.pair.other, step.before[1], step.entered),
        ):
            if entered is None:
                return []
            padding = seen.settings.get("padding")
            if padding is None:
                return []
            if padding == "same":
                padding = same_padding(entered.shape, seen.settings)
            elif padding == "causal":
                padding = causal_padding(seen.settings)
            own = first_of(self.calls if side is self.reference else self.forced.calls, seen.path)
            if own is not None and own.zeros is not None and np.shape(own.zeros) == np.shape(padding):
                padding = (np.array(padding) + np.array(own.zeros)).tolist()
            for one in _padded(before, self.seen[side.label]):
                layer = None if one.path is None else self.seen[side.label].get(one.path)
                more = (
                    layer.settings["zeros"]
                    if layer is not None and layer.kind == "zero_padding"
                    else one.zeros
                )
                if more is not None:
                    padding = (np.array(padding) + np.array(more)).tolist()
            zeros.append(padding)
        return [] if zeros[0] == zeros[1] else [Difference("padding", *zeros)]

    def equalise(self) -> None:
        """Give the other side's live modules the reference's settings, so that later rungs show other
        causes.
        """
        if self._change(to_reference=True):
            self.forced = forced_pass(self.other, self.inputs, self.mapping, self.calls)

    def as_written(self) -> None:
        """Give the other side's live modules their own settings back."""
        self._change(to_reference=False)

    def as_reference(self) -> None:
        """Give the other side's live modules the reference's settings."""
        self._change(to_reference=True)

    def _change(self, *, to_reference: bool) -> bool:
        changed = False
        for pair in self.mapping.pairs:
            for one in self.different.get(pair.reference.path, ()):
                if one.name in CHANGEABLE:
                    value = one.reference if to_reference else one.other
                    changed |= self.other.change(pair.other.path, one.name, value)
        return changed

    # ---- words

    def paths(self, pair: Pair) -> dict[str, str]:
        """Return a pair's names by side."""
        return {self.reference.label: pair.reference.path, self.other.label: pair.other.path}

    def values(self, one: Any, two: Any) -> dict[str, Any]:
        """Return a value by side."""
        return {self.reference.label: one, self.other.label: two}

    def line(self, side: Hosted, seen: Seen) -> str | None:
        """Return where a module is made, or else called."""
        return seen.line or self._called.get((side.label, seen.path))

    def line_of_call(self, side: Hosted, seen: Seen | None) -> str | None:
        """Return where a module is called, or else made."""
        return None if seen is None else self._called.get((side.label, seen.path)) or seen.line

    def lines_of(self, function: str) -> dict[str, str]:
        """Return where both programs define a function, by side."""
        sides = (self.reference, self.other)
        return {side.label: side.lines[function] for side in sides if function in side.lines}

    def lines(self, pair: Pair) -> dict[str, str]:
        """Return a pair's lines by side."""
        found = ((self.reference, pair.reference), (self.other, pair.other))
        return {side.label: line for side, seen in found if (line := self.line(side, seen)) is not None}


def first_of(calls: Sequence[RecordedCall], path: str) -> RecordedCall | None:
    """Return the first call of a module."""
    return next((call for call in calls if call.path == path), None)


def _padded(before: Sequence[RecordedCall], seen: Mapping[str, Seen]) -> list[RecordedCall]:
    """Return the calls that pad right before a module: what is padded before a pooling is not its input."""
    found: list[RecordedCall] = []
    for call in reversed(before):
        layer = None if call.path is None else seen.get(call.path)
        if call.zeros is None and (layer is None or layer.kind != "zero_padding"):
            break
        found.append(call)
    return found


def _shaken(weights: Arrays) -> Arrays:
    """Return the weights with noise on the vectors, so that none is 0, no two are equal, variances
    positive.
    """
    draws = np.random.default_rng(0)
    shaken = {}
    for name, array in weights.items():
        if array.ndim != 1 or array.dtype.kind != "f":
            shaken[name] = array
            continue
        noise = draws.uniform(-1, 1, array.shape)
        shaken[name] = array + _NOISE * (np.abs(noise) if name.endswith("variance") else noise)
    return shaken
