"""Trains both programs of a port, from the same weights on the same batches, and says whether they agree.

Both begin with the reference's weights, through the proved mapping, take the same rows in the same order, and
draw the same masks. A seed makes the reference's weights anew, and shuffles.

How far apart they may end is measured: the reference trains once more from weights that are moved by as much
as the frameworks' constants are rounded.
Longer than 400 lines: a training, its noise and its verdict rest on one measure of how far apart two are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likewise.producer.display import both, count, gap, number
from likewise.producer.port.evidence import outputs_of
from likewise.producer.port.exchanged import Arrays, FedBatch, FreeTraining, RowOrder, relative_difference
from likewise.producer.port.file import Port, PortPlan
from likewise.producer.port.flow import OpenPort, opened
from likewise.producer.port.ladder import climb
from likewise.producer.port.layouts import forward_in_some_layout
from likewise.producer.port.models import PortTraining, SeedGap, SideTraining
from likewise.producer.port.pairing import Pairing
from likewise.producer.port.rows import rows_of
from likewise.producer.port.settling import settle
from likewise.producer.port.updates import losses_apart, under_names
from likewise.producer.verdict.equivalence import Sample, equivalence, verdict_over
from likewise.producer.verdict.models import Equivalence, Verdict
from likewise.shared.errors import UsageError

_GROWTH = 100
"""How much larger than a tensor's rounding that of a training may be, whatever it carries it to."""
_NOISE = 10
"""Two sides may be so many times as far apart as a start that is moved by their rounding carries one."""
_LEAST_WEIGHT = 1e-6
"""Weights are compared by their own size, or by this part of the largest where they are smaller."""
_MOST_NOISE = 0.01
"""Where rounding alone carries a training further apart than this, its numbers decide nothing."""


@dataclass(frozen=True)
class TrainedProgram:
    """What one program's training from one seed came to, with its arrays."""

    seed: int
    losses: Mapping[str, Sequence[float]]
    """Each named loss, update by update."""
    weights: Arrays
    """The trained weights, by the reference's names."""
    outputs: Arrays
    """What the trained program gives for the whole batch, as the reference's outputs lie."""
    train_s: float
    rates: Sequence[float] = ()
    """The learning rate of each update."""

    @property
    def losses_alone(self) -> list[float]:
        """Return the first of its losses, update by update."""
        return [float(one) for one in next(iter(self.losses.values()), ())]

    @property
    def diverged(self) -> bool:
        """Return whether a loss is no number at some update."""
        return not all(np.isfinite(one).all() for one in self.losses.values())

    def told(self) -> SideTraining:
        """Return what is told of it, and kept."""
        return SideTraining(
            seed=self.seed, losses=tuple(self.losses_alone), diverged=self.diverged, train_s=self.train_s
        )


def train_port(port: Port, seeds: Sequence[int], *, tell: Callable[[str], None]) -> PortTraining:
    """Train both programs from each seed and compare them. Raises what `opened` raises."""
    with opened(port, tell=tell) as found:
        return PortTrainer(port, found, tell).compare(seeds)


class PortTrainer:
    """Trains both programs of a port, each from the reference's weights."""

    def __init__(self, port: Port, found: OpenPort, tell: Callable[[str], None]) -> None:
        self._port, self._found, self._tell = port, found, tell
        self.pairing: Pairing
        """Both programs side by side, once they were prepared."""
        self._starts: dict[int, Arrays] = {}
        """The weights that the reference begins with at each seed; none where a checkpoint says."""
        self.common = False
        """Whether rules that the frameworks have otherwise by design are the same."""

    def compare(self, seeds: Sequence[int]) -> PortTraining:
        """Train both from each seed and judge them."""
        self.prepare(seeds)
        pairing = self.pairing
        runs: dict[str, list[TrainedProgram]] = {
            side.label: [] for side in (pairing.reference, pairing.other)
        }
        for seed in seeds:
            self._tell(f"seed {seed}: both train {count(self._port.training.updates, 'update')}")
            for side, trained in zip(runs.values(), self._both(seed), strict=True):
                side.append(trained)
        first = next(iter(runs.values()))[0]
        return self._judged(runs, self.noise(first))

    def prepare(self, seeds: Sequence[int]) -> None:
        """Draw each seed's weights, and pair the programs.

        Raises UsageError where there is nothing to train.
        """
        word = self._draw_starts(seeds, self._found.batch)
        self.pairing = self._found.pair(self._port.precision, self._tell)
        # Its weights have other names now, or it is built by a batch that lies otherwise.
        if self.pairing.reference.divided or (self._starts and word != self.pairing.word):
            self._draw_starts(seeds, self.pairing.batch)
            self.pairing = self._found.pair(self._port.precision, self._tell)
        self._starts = {seed: self._named(start) for seed, start in self._starts.items()}
        settle(self.pairing, self._tell)
        self._need()

    # ---- training

    def reference(self, seed: int) -> TrainedProgram:
        """Train the reference from the weights of a seed."""
        return self._one(self._start(seed), seed, reference=True)

    def other(self, seed: int, reference: TrainedProgram) -> TrainedProgram:
        """Train the other program from them; its losses have the names of the reference's."""
        found = self._one(self._start(seed), seed, reference=False)
        return replace(found, losses=under_names(reference.losses, found.losses))

    def _draw_starts(self, seeds: Sequence[int], batch: FedBatch) -> str | None:
        """Make the reference's model once for each seed, and keep its weights; return how the batch lies."""
        word = None
        if any(self._found.start.checkpoints):
            return word
        program, reference = self._port.programs[0], self._found.hosts[0]
        for seed in (*seeds, None):
            reference.open(program.file, program.maker, self._port.precision, seed=seed or 0)
            if seed is not None:
                reference.name_inputs(list(batch.inputs))
                word = forward_in_some_layout(reference, batch).word  # which builds it
                self._starts[seed] = reference.weights()
        return word

    def _named(self, start: Arrays) -> Arrays:
        """Return the weights of an earlier making of the model by the names that they have in this one: Keras
        counts its layers on from model to model.
        """
        return dict(zip(self.pairing.start, start.values(), strict=True))

    def _need(self) -> None:
        pairing = self.pairing
        for label, one in pairing.described.items():
            there = set(one["functions"])
            if "step" not in there and not {"loss", "optimizer"} <= there:
                raise UsageError(
                    f"{label}'s file defines no loss(outputs, targets) and optimizer(model), nor a step; "
                    "there is nothing to train; likewise port check compares the models"
                )
        if (
            pairing.batch.targets is None
            and "step" not in next(iter(pairing.described.values()))["functions"]
        ):
            raise UsageError("training needs targets: give them as y in --batch FILE.npz or the port's data")
        lonely = [row for row in rows_of(pairing) if row.status == "unused"]
        if lonely:
            named = both([next(iter(row.names.values())) for row in lonely[:4]])
            pairing.note(f"{count(len(lonely), 'weight')} without a counterpart train by themselves: {named}")

    def _both(self, seed: int) -> tuple[TrainedProgram, TrainedProgram]:
        mine = self.reference(seed)
        return mine, self.other(seed, mine)

    def _start(self, seed: int) -> Arrays:
        return self._starts.get(seed, self.pairing.start)

    def _one(self, start: Arrays, seed: int, *, reference: bool) -> TrainedProgram:
        """Train one program from the reference's weights."""
        pairing = self.pairing
        side = pairing.reference if reference else pairing.other
        batch = pairing.batch if reference else pairing.others_batch
        pairing.weights = start
        side.load(start if reference else pairing.loaded())
        found: FreeTraining = side.train(
            batch.inputs,
            batch.targets,
            steps=self._port.training.updates,
            common=self.common,
            drops=True,
            rows=RowOrder(row_order(self._port.training, self.samples, seed), seed),
        )
        side.load(found.weights)
        outputs = outputs_of(side.forward(batch.inputs))
        weights = found.weights if reference else pairing.mapping.to_reference(found.weights)
        return TrainedProgram(seed, found.losses, weights, outputs, found.train_s, found.rates)

    @property
    def versions(self) -> dict[str, str]:
        """Return the version of each side's framework."""
        return {label: one["version"] for label, one in self.pairing.described.items()}

    @property
    def samples(self) -> int:
        """Return how many samples the batch has."""
        return len(next(iter(self.pairing.batch.inputs.values())))

    def noise(self, first: TrainedProgram) -> float:
        """Return how far the reference comes from where it came, begun by rounding elsewhere."""
        self._tell("the reference trains once more, from weights that are moved by rounding")
        moved = {
            name: one * (1 + self.pairing.tolerance * _signs(one)) if one.dtype.kind == "f" else one
            for name, one in self._start(first.seed).items()
        }
        again = self._one(moved, first.seed, reference=True)
        return self.gap(first, again, limit=np.inf, same=True).largest

    def limit(self, noise: float) -> float:
        """Return how far apart rounding may carry both, where it carries the reference so far from itself."""
        return max(_GROWTH * self.pairing.tolerance, _NOISE * noise)

    # ---- judging

    def gap(
        self, one: TrainedProgram, two: TrainedProgram, *, limit: float = np.inf, same: bool = False
    ) -> SeedGap:
        """Return how far apart two trainings came; `same` says that both are the reference's."""
        forms = self.pairing.forced.forms
        # What has no gradient, such as the bias of an attention's keys, is moved by rounding alone.
        least = _LEAST_WEIGHT * max(
            (float(np.max(np.abs(array))) for array in one.weights.values()), default=0
        )
        apart = {
            name: relative_difference(array, two.weights[name], least=least)
            for name, array in one.weights.items()
            if name in two.weights and array.dtype.kind == "f"
        }
        worst = max(apart, key=lambda name: apart[name], default=None)
        if same:
            outputs = max(
                (relative_difference(array, two.outputs[name]) for name, array in one.outputs.items()),
                default=0.0,
            )
        else:
            outputs = forms.apart(one.outputs, two.outputs)
        return SeedGap(
            seed=one.seed,
            losses=float(losses_apart(one.losses, two.losses)),
            weights=float(apart[worst]) if worst else 0.0,
            outputs=float(outputs),
            worst_weight=worst,
            first_update=_first_apart(one.losses_alone, two.losses_alone, limit),
        )

    def _judged(self, runs: Mapping[str, Sequence[TrainedProgram]], noise: float) -> PortTraining:
        pairing = self.pairing
        limit = self.limit(noise)
        mine, theirs = runs.values()
        gaps = [self.gap(one, two, limit=limit) for one, two in zip(mine, theirs, strict=True)]
        decided = noise <= _MOST_NOISE
        if decided and pairing.frameworks_differ and max(one.largest for one in gaps) > limit:
            gaps, mine, theirs = self._by_design(gaps, (mine, theirs), limit)
        tests = _tests(pairing, mine, theirs, limit)
        within = limit if decided else _GROWTH * pairing.tolerance
        verdict, reasons = self._verdict(gaps, tests, noise=noise, limit=within, runs=(mine, theirs))
        labels = pairing.reference.label, pairing.other.label
        check = None
        if verdict == "differ":
            pairing.reference.load(pairing.start)
            check = climb(self._found.pair(self._port.precision, self._tell), until=None, tell=self._tell)
            cause = next((one.first_cause for one in check.rungs if one.first_cause is not None), None)
            if cause is not None:
                lines = both([f"{label} {line}" for label, line in cause.lines.items()])
                reasons = [*reasons, f"{cause.text}{f' ({lines})' if lines else ''}."]
        return PortTraining(
            name=self._port.name,
            sides=labels,
            versions=self.versions,
            files={one.label: one.file.name for one in self._port.programs},
            hosts={host.label: host.where for host in self._found.hosts},
            updates=self._port.training.updates,
            batch=min(self._port.training.batch_size or self.samples, self.samples),
            runs={
                label: tuple(one.told() for one in side)
                for label, side in zip(labels, (mine, theirs), strict=True)
            },
            gaps=tuple(gaps),
            tolerance=float(limit),
            noise=float(noise),
            verdict=verdict,
            reasons=tuple(reasons),
            check=check,
            notes=tuple(pairing.notes),
        )

    def _by_design(
        self,
        gaps: list[SeedGap],
        runs: tuple[Sequence[TrainedProgram], Sequence[TrainedProgram]],
        limit: float,
    ) -> tuple[list[SeedGap], Sequence[TrainedProgram], Sequence[TrainedProgram]]:
        """Train the first seed once more with the rules that differ by design made the same; keep that where
        they agree then.
        """
        mine, theirs = runs
        self.common = True
        followed = self._both(mine[0].seed)
        if self.gap(*followed, limit=limit).largest > limit:
            self.common = False
            return gaps, mine, theirs
        pairs = [followed, *(self._both(one.seed) for one in mine[1:])]
        self.pairing.note(
            f"as written they come {gap(max(one.largest for one in gaps))} apart, by rules that the "
            "frameworks have otherwise by design, such as where Adam adds epsilon; with one rule on both "
            "sides they agree"
        )
        mine, theirs = [one for one, _ in pairs], [two for _, two in pairs]
        return [self.gap(one, two, limit=limit) for one, two in pairs], mine, theirs

    def _verdict(
        self,
        gaps: Sequence[SeedGap],
        tests: Sequence[Equivalence],
        *,
        noise: float,
        limit: float,
        runs: tuple[Sequence[TrainedProgram], Sequence[TrainedProgram]],
    ) -> tuple[Verdict, list[str]]:
        first, second = self.pairing.reference.label, self.pairing.other.label
        diverged = [
            label
            for label, side in zip((first, second), runs, strict=True)
            if any(one.diverged for one in side)
        ]
        if len(diverged) == 2:
            return "inconclusive", ["Both diverged: a loss is no number any more."]
        if diverged:
            return "differ", [f"{diverged[0]} diverged, and the other did not."]
        worst = max(gaps, key=lambda one: one.largest)
        updates = count(self._port.training.updates, "update")
        if worst.largest <= limit:
            return "agree", [
                f"After {updates} from the same weights, the losses are {gap(worst.losses)} apart, the "
                f"weights {gap(worst.weights)} and the outputs {gap(worst.outputs)}: no further than "
                f"rounding may carry them ({gap(limit)})."
            ]
        if noise <= _MOST_NOISE:
            where = f"at update {worst.first_update}" if worst.first_update else "in their weights"
            return "differ", [
                f"They part {where}: after {updates} the losses are {gap(worst.losses)} apart, "
                f"{worst.worst_weight} {gap(worst.weights)} and the outputs {gap(worst.outputs)}, where "
                f"rounding may carry them {gap(limit)} apart."
            ]
        carried = f"Rounding alone carries this training {gap(noise)} apart, so single numbers decide nothing"
        if not tests:
            return "inconclusive", [f"{carried}; train fewer updates, or give --seeds 5 or more."]
        words = {
            "agree": "are the same within",
            "differ": "are not the same: they lie beyond",
            "inconclusive": "may lie within or beyond",
        }
        over = verdict_over(tests)
        return over, [
            f"{carried}. Over {count(len(gaps), 'seed')} the final losses {words[over]} "
            f"{number(tests[0].margin)} of each other."
        ]


def row_order(plan: PortPlan, samples: int, seed: int) -> NDArray[np.int64] | None:
    """Return the rows of each update: each epoch is a permutation that the seed draws; None where every
    update takes all rows.
    """
    size = plan.batch_size
    if size is None or size >= samples:
        return None
    each = samples // size
    draws = np.random.default_rng(seed)
    epochs = [
        draws.permutation(samples)[: each * size].reshape(each, size) for _ in range(-(-plan.updates // each))
    ]
    return np.concatenate(epochs)[: plan.updates].astype(np.int64)


def _signs(array: NDArray[Any]) -> NDArray[np.float64]:
    """Return 1 and -1 for the numbers of an array, in no order that a network has."""
    signs: NDArray[np.float64] = np.sign(np.sin(np.arange(array.size) + 1.0)).reshape(array.shape)
    return signs


def _first_apart(mine: Sequence[float], theirs: Sequence[float], limit: float) -> int | None:
    largest = max((abs(one) for one in mine), default=0.0) or 1.0
    for place, (one, two) in enumerate(zip(mine, theirs, strict=False), start=1):
        if not abs(one - two) <= limit * largest:
            return place
    return None


def _tests(
    pairing: Pairing, mine: Sequence[TrainedProgram], theirs: Sequence[TrainedProgram], limit: float
) -> list[Equivalence]:
    finals = [np.array([[one.losses_alone[-1]] for one in side]) for side in (mine, theirs)]
    sample = Sample(measure="final_loss", reference=finals[0], other=finals[1])
    sides = pairing.reference.label, pairing.other.label
    found = equivalence(sample, sides=sides, paired=True, margin=None, rounding=limit)
    return [] if found is None else [found]
