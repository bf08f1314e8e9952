"""How a batch lies in each program: found by what enters their first modules, or as a program's file says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likewise.producer.display import both
from likewise.producer.port.exchanged import Arrays, FedBatch, RecordedPass
from likewise.producer.port.frameworks import frameworks
from likewise.producer.port.fused import patches_of
from likewise.producer.port.hosted import Hosted
from likewise.shared.errors import DataError, RunFailedError

AS_GIVEN = "as given"
_AXES_OF_PICTURES = 4
"""An array with as many axes, of whatever numbers, may have its channels first, as bytes of pictures do."""
_AXES_OF_SEQUENCES = 3
_AXES_OF_VIDEOS = 5
_FEW_CHANNELS = 4
_MOST_REFUSED = 2
"""No more layouts than this are told where a program runs in none."""
_ALIKE, _LESS_THAN_THE_SAME = 0.9, 0.99
"""What goes together by so much is the same but for its scale; it is still less than the same."""
_MOVES: Mapping[str, tuple[int, int]] = {
    "channels first": (-1, 1),
    "channels last": (1, -1),
    "channels after time": (-1, 2),
    "channels after height and width": (2, -1),
    "time first": (1, 0),
}
"""Each says from where to where an axis is moved."""
_OF_VIDEOS = ("channels after time", "channels after height and width")


def _move(array: NDArray[Any], word: str) -> NDArray[Any]:
    """Return an array with an axis moved; one with fewer axes is as it was."""
    start, end = _MOVES[word]
    return np.moveaxis(array, start, end) if max(start, end) < array.ndim else array


def layouts(
    inputs: Arrays, *, channels: str, declared: Mapping[str, str] | None = None
) -> Iterator[tuple[str | None, Arrays]]:
    """Yield the batch as it may lie in a program: as it is, then with its channels moved; or as the program's
    file declares it, by the names of arrays.

    The word says what was assumed. `channels` is where the program's framework has them, `first` or `last`: a
    batch of pictures that has them elsewhere, by its sizes, is moved first of all, since a model may be built
    by whatever it is fed first.
    """
    if declared:
        yield _as_declared(inputs, declared)
        return
    found: list[tuple[str | None, Arrays]] = [(None, inputs)]
    spatial = {
        name: array
        for name, array in inputs.items()
        if array.ndim >= _AXES_OF_PICTURES or (array.ndim == _AXES_OF_SEQUENCES and array.dtype.kind == "f")
    }
    for word in _MOVES:
        moved = {
            name: _move(one, word)
            for name, one in spatial.items()
            if word not in _OF_VIDEOS or one.ndim >= _AXES_OF_VIDEOS
        }
        if moved:
            found.append((word, {**inputs, **moved}))
    if any(_has_channels(one, elsewhere=channels) for one in spatial.values()):
        found.sort(key=lambda layout: layout[0] != f"channels {channels}")
    yield from found


def _as_declared(inputs: Arrays, declared: Mapping[str, str]) -> tuple[str | None, Arrays]:
    """Return the batch as a program's file says that it lies there. Raises DataError for an unknown word."""
    for name, word in declared.items():
        if word not in (AS_GIVEN, *_MOVES) or name not in inputs:
            there = f"the batch has {both(list(inputs))}" if name not in inputs else ""
            known = f"a layout is one of {', '.join([AS_GIVEN, *_MOVES])}"
            raise DataError(f"its inputs say that {name} lies as {word!r}; {there or known}")
    words = {name: word for name, word in declared.items() if word != AS_GIVEN}
    laid = {name: _move(one, words[name]) if name in words else one for name, one in inputs.items()}
    several = set(words.values())
    return (several.pop() if len(several) == 1 else None), laid


def _has_channels(array: NDArray[Any], *, elsewhere: str) -> bool:
    """Return whether pictures seem to have few channels at the end that is not this one."""
    if array.ndim < _AXES_OF_PICTURES:
        return False
    sizes = (array.shape[1], array.shape[-1])[:: 1 if elsewhere == "first" else -1]
    return bool(sizes[0] > _FEW_CHANNELS >= sizes[1])


@dataclass(frozen=True)
class LaidBatch:
    """A batch as it lies in one program, which has run on it."""

    word: str | None
    """Which axes were moved; None where it lies as it is given."""
    batch: FedBatch
    calls: RecordedPass

    @property
    def entered(self) -> NDArray[Any] | None:
        """Return what entered the first module that is known."""
        return next(
            (one.entered for one in self.calls if one.path is not None and one.entered is not None), None
        )


def forward_in_some_layout(side: Hosted, batch: FedBatch) -> LaidBatch:
    """Run a program on the batch in the first layout in which it runs. Raises RunFailedError for none."""
    return next(_runs(side, batch))


def _runs(side: Hosted, batch: FedBatch, prepare: Callable[[], None] = lambda: None) -> Iterator[LaidBatch]:
    """Run a program in each layout in which it runs; `prepare` is called once it is built.

    Raises RunFailedError where it runs in none.
    """
    refused: list[str] = []
    prepared = ran = False
    channels = frameworks()[side.framework]["channels"]
    try:
        every = list(layouts(batch.inputs, channels=channels, declared=side.layouts))
    except DataError as error:
        raise DataError(f"{side.label}: {error}") from None
    for word, given in every:
        laid = replace(batch, inputs=given)
        try:
            side.feed(laid)
            if not prepared:
                prepare()
                prepared = True
            calls = side.forward(given)
        except RunFailedError as error:
            told = str(error) if word is None else f"with its axes as {word}, {error}"
            refused += [] if any(str(error) in one for one in refused) else [told]
            continue
        ran = True
        yield LaidBatch(word, laid, calls)
    if not ran:
        raise RunFailedError("; ".join(refused[:_MOST_REFUSED]))


class _Ways:
    """The layouts in which a program runs, each tried once and no sooner than it is asked for."""

    def __init__(self, side: Hosted, batch: FedBatch, prepare: Callable[[], None] = lambda: None) -> None:
        self.side = side
        self._runs = _runs(side, batch, prepare)
        self.tried: list[tuple[str | None, FedBatch, NDArray[Any] | None]] = []
        """The word, the batch, and what entered the first module."""
        self._last: LaidBatch | None = None

    def __iter__(self) -> Iterator[int]:
        yield from range(len(self.tried))
        for one in self._runs:
            self._last = one
            self.tried.append((one.word, one.batch, one.entered))
            yield len(self.tried) - 1

    def laid(self, number: int) -> LaidBatch:
        """Return a layout with the program's calls in it; it runs again where another was tried later."""
        word, batch, _ = self.tried[number]
        if self._last is None or number != len(self.tried) - 1:
            self.side.feed(batch)
            self._last = LaidBatch(word, batch, self.side.forward(batch.inputs))
        return self._last

    def undecided(self, number: int) -> list[str]:
        """Return that values do not tell which layout is right, where there are several."""
        if len(self.tried) < 2:
            return []
        words = [word or AS_GIVEN for word, _, _ in self.tried]
        name = next(iter(self.tried[0][1].inputs))
        other = next(one for one in words if one != words[number])
        return [
            f"{self.side.label} runs with the batch's axes {both(words)}, and in none of these do the first "
            f"modules of both programs get the same; it was fed {words[number]}. Where that is wrong, write "
            f'inputs = {{"{name}": {{"layout": "{other}"}}}} in its file'
        ]


def lay_both(
    reference: Hosted, other: Hosted, batch: FedBatch, *, prepare: Callable[[], None]
) -> tuple[LaidBatch, LaidBatch, list[str]]:
    """Run both programs on the batch, each in the layout in which their first modules get the same.

    Where none get the same, those count that get what is most alike, so that of a scaled input the layout is
    found nevertheless. What values do not tell is told. Raises RunFailedError where one runs in none.
    """
    mine, theirs = _Ways(reference, batch, prepare), _Ways(other, batch)
    best = (-2.0, 0, 0)
    for one in mine:
        for two in theirs:
            found = _likeness(mine.tried[one][2], theirs.tried[two][2]), one, two
            best = max(best, found, key=lambda one: one[0])
            if best[0] == 1:
                break
        if best[0] == 1:
            break
    alike, one, two = best
    notes = [] if alike > _ALIKE else [*mine.undecided(one), *theirs.undecided(two)]
    return mine.laid(one), theirs.laid(two), notes


def _likeness(one: NDArray[Any] | None, two: NDArray[Any] | None) -> float:
    """Return 1 where two first modules get the same or nothing that is known, else how far what they get goes
    together, and -1 where it has other shapes.
    """
    if one is None or two is None or _is_the_same(two, one):
        return 1.0
    if one.shape != two.shape:
        return -1.0
    with np.errstate(all="ignore"):
        together = np.corrcoef(one.ravel(), two.ravel())[0, 1]
    return float(np.nan_to_num(_LESS_THAN_THE_SAME * np.abs(together)))


def with_targets_laid(
    side: Hosted,
    batch: FedBatch,
    word: str | None,
    outputs: Arrays,
    *,
    wanted: Callable[[], float] | None = None,
) -> FedBatch:
    """Return the batch with its targets as the program's loss takes them: as they are, or moved as inputs.

    Masks of pictures are such targets, and so are the classes of sequences whose time comes first. Some
    programs move them by themselves. `outputs` are those that the targets belong to, and `wanted` is the
    other program's loss of the same: the nearer one counts, and without it the first that the loss takes.
    """
    targets = batch.targets
    if targets is None or word is None:
        return batch
    moved = _move(targets, word)
    shapes = {one.shape for one in outputs.values()}
    if moved.shape not in shapes | {shape[:-1] for shape in shapes if word == "time first"}:
        return batch
    losses: list[tuple[float, NDArray[Any]]] = []
    with suppress(RunFailedError):
        right = 0.0 if wanted is None else wanted()
        for one in (targets, moved):
            with suppress(RunFailedError):
                loss, _ = side.loss(outputs, one)
                losses.append((abs(loss - right) if wanted else 0.0, one))
    _, nearest = min(losses, key=lambda pair: pair[0], default=(0.0, targets))
    return batch if nearest is targets else replace(batch, targets=nearest)


def outputs_as(word: str | None, outputs: Arrays, theirs: Arrays) -> Arrays:
    """Return outputs under the names of another program's, with their axes moved where they else fit none."""
    return {
        name: _fitting(one, two.shape, word)
        for (name, two), one in zip(theirs.items(), outputs.values(), strict=False)
    }


def _fitting(array: NDArray[Any], shape: tuple[int, ...], word: str | None) -> NDArray[Any]:
    if array.shape == shape:
        return array
    moved = (_move(array, one) for one in [*([] if word is None else [word]), *_MOVES])
    return next((one for one in moved if one.shape == shape), array)


def _is_the_same(entered: NDArray[Any], first_input: NDArray[Any]) -> bool:
    """Return whether two first modules get the same: the same numbers, the same rows in another order, as of
    steps among samples, or the same numbers in each patch of a picture.
    """
    if entered.shape == first_input.shape:
        pairs = (entered, first_input), (_in_order(entered), _in_order(first_input))
        return any(bool(np.allclose(one, two, rtol=1e-6, atol=1e-12)) for one, two in pairs)
    pictures, flat = sorted((entered, first_input), key=lambda one: -one.ndim)
    if flat.ndim != _AXES_OF_SEQUENCES or pictures.size != flat.size:
        return False
    numbers = flat.shape[-1] // pictures.shape[-1]
    windows = [(high, numbers // high) for high in range(1, numbers + 1) if numbers % high == 0]
    cut = [one for window in windows if (one := patches_of(pictures, window)) is not None]
    return any(
        np.allclose(np.sort(one.reshape(flat.shape)), np.sort(flat), rtol=1e-6, atol=1e-12)
        for one in cut
        if one.size == flat.size and one.shape[:2] == flat.shape[:2]
    )


def _in_order(rows: NDArray[Any]) -> NDArray[Any]:
    """Return rows in an order that does not depend on the one they came in."""
    flat = rows.reshape(len(rows), -1)
    return rows[np.argsort(flat @ np.cos(np.arange(flat.shape[1])), kind="stable")]
