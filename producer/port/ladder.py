"""Climbs the rungs with two hosted programs: the first is the reference, whose tensors feed every rung.

Longer than 400 lines: the nine rungs are climbed one after another, and each rests on what those before it
showed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from likewise.producer.display import both, count, gap
from likewise.producer.port import causes
from likewise.producer.port.causes import finite
from likewise.producer.port.evidence import forces, outputs_of
from likewise.producer.port.exchanged import Arrays, relative_difference
from likewise.producer.port.finiteness import where_numbers_end
from likewise.producer.port.mapping import LEAST_ALIKE
from likewise.producer.port.models import RUNGS, PortCheck, PortFinding, Rung, RungName
from likewise.producer.port.pairing import Pairing
from likewise.producer.port.rehearsal import compare_data
from likewise.producer.port.rows import rows_of
from likewise.producer.port.setting_causes import of_settings
from likewise.producer.port.settings import CHANGEABLE
from likewise.producer.port.settling import settle
from likewise.producer.port.steps import StepUpdates
from likewise.producer.port.training import TrainingPass, note_unpairable, of_draws, of_evaluation
from likewise.producer.port.trees import modules_of
from likewise.producer.port.unmatched import of_architecture, of_mapping
from likewise.producer.port.updates import Updates

_LEAST_GRADIENT = 1e-6
"""Gradients are compared by their own size, or by this part of the largest where they are smaller."""
_ARGUMENTS = {"loss": "outputs, targets", "optimizer": "model"}
_DOES: Mapping[str, str] = {
    "forward": "both programs run freely on the same weights",
    "loss": "both losses of the same outputs",
    "gradients": "both gradients from the same gradient of the outputs",
    "update": "both optimizers step with the same gradients",
    "updates": "both train some updates freely",
    "training_mode": "both train with the same masks",
    "data": "both loaders' first samples, and both evaluations",
}


class SkippedError(Exception):
    """A rung cannot be climbed; the message says what would make it possible."""


def climb(
    pairing: Pairing, *, until: RungName | None = None, tell: Callable[[str], None] = lambda _: None
) -> PortCheck:
    """Climb to the top, or to `until`. `tell` is told what is being done.

    Raises RunFailedError where a program fails, with the user's own line.
    """
    ladder = Ladder(pairing)
    last = RUNGS.index(until) if until is not None else len(RUNGS) - 1
    paired = ladder.compare_structure(tell)
    for name, rung in ladder.rungs_above.items():
        if RUNGS.index(name) > last:
            break
        if not paired:
            ladder.rungs.append(
                Rung(name=name, status="skipped", text="the programs are other architectures")
            )
            continue
        if name in _DOES:
            tell(f"{name}: {_DOES[name]}")
        try:
            ladder.rungs.append(rung())
        except SkippedError as why:
            ladder.rungs.append(Rung(name=name, status="skipped", text=str(why)))
    return ladder.answer(last)


class Ladder:
    """The rungs that were climbed, and what was found."""

    def __init__(self, pairing: Pairing) -> None:
        self._pairing = pairing
        self.rungs: list[Rung] = []
        self._findings: list[PortFinding] = []
        self._placed: Sequence[causes.Placed] = ()
        """What differs in the forward pass, with its places in the order of use."""
        self._updates: Updates | None = None
        self._trained: TrainingPass | None = None
        self.rungs_above: Mapping[RungName, Callable[[], Rung]] = {
            "forward": self._forward,
            "loss": self._loss,
            "gradients": self._gradients,
            "update": self._update,
            "updates": self._free_updates,
            "training_mode": self._training_mode,
            "data": self._data,
        }

    def answer(self, last: int) -> PortCheck:
        """Return what the rungs up to the number `last` came to."""
        pairing = self._pairing
        findings = tuple(one for one in self._findings if RUNGS.index(one.rung) <= last)
        return PortCheck(
            name="port",
            sides=(pairing.reference.label, pairing.other.label),
            versions={
                label: f"{one['framework']} {one['version']}" for label, one in pairing.described.items()
            },
            files={},
            tolerance=pairing.tolerance,
            rungs=tuple(one for one in self.rungs if RUNGS.index(one.name) <= last),
            mapping=rows_of(pairing) if last >= RUNGS.index("mapping") else (),
            findings=findings,
            modules=modules_of(pairing, findings),
            notes=tuple(pairing.notes),
        )

    def compare_structure(self, tell: Callable[[str], None]) -> bool:
        """Climb settings and mapping; return whether the programs can be compared at all."""
        pairing = self._pairing
        if pairing.mapping.share < LEAST_ALIKE:
            finding = of_architecture(pairing)
            self._findings.append(finding)
            why = "no modules are paired whose settings could be compared"
            self.rungs.append(Rung(name="settings", status="skipped", text=why))
            self.rungs.append(Rung(name="mapping", status="fails", first_cause=finding, text=finding.text))
            return False
        settle(pairing, tell)
        paired = f"{count(len(pairing.mapping.pairs), 'pair')} of modules and of the optimizers"
        found = [*of_settings(pairing), *of_draws(pairing)]
        differ = sum(1 + len(one.also) for one in found)
        text = f"the settings of {paired} are the same"
        if found:
            text = f"{count(differ, 'setting')} of {paired} {'differs' if differ == 1 else 'differ'}"
        self._add("settings", found, text)
        pairing.equalise()
        unbiased = [one for one in found if one.setting == "use_bias"]
        self._add("mapping", of_mapping(pairing), self._proved(), told=unbiased)
        return True

    def _add(
        self, name: RungName, found: Sequence[PortFinding], text: str, *, told: Sequence[PortFinding] = ()
    ) -> None:
        """Add a rung that fails for what is found, or for causes that an earlier rung has told."""
        self._findings += found
        first = next(iter([*found, *told]), None)
        self.rungs.append(Rung(name=name, status="fails" if first else "holds", first_cause=first, text=text))

    def _proved(self) -> str:
        """Say how many weights are proved."""
        rows = rows_of(self._pairing)
        proved = sum(row.status == "proved" for row in rows)
        alone = sum(row.status == "unused" for row in rows)
        rest = len(rows) - proved - alone
        words = [f"{proved} of {len(rows)} weights are proved by values"]
        words += [f"{rest} {'pairs' if rest == 1 else 'pair'} by shape alone"] if rest else []
        words += [f"{alone} {'has' if alone == 1 else 'have'} no counterpart"] if alone else []
        return ", ".join(words)

    # ---- forward

    def _forward(self) -> Rung:
        """Run freely, as the user's code is, and tell what parts first; then every other cause."""
        pairing = self._pairing
        pairing.as_written()
        calls = pairing.other.forward(pairing.inputs)
        if told := where_numbers_end(calls):
            pairing.note(f"the outputs of {pairing.other.label} are no finite numbers: {told}")
        relative = self._outputs_apart(outputs_of(calls))
        pairing.as_reference()
        placed = [(causes.place_of(pairing, one.path), one) for one in of_evaluation(pairing)]
        placed += causes.of_forward(pairing)
        by_settings = [
            (causes.place_of(pairing, one.path), one)
            for one in self._findings
            if one.rung == "settings" and causes.shows_in_evaluation(pairing, one)
        ]
        self._placed = [
            *placed,
            *(one for one in by_settings if one[1].setting not in CHANGEABLE),
        ]
        self._findings += [one for _, one in placed]
        scale = pairing.forced.forms.scaled
        if scale is not None:
            pairing.note(
                f"the outputs of {pairing.reference.label} are {scale[0]} and those of {pairing.other.label} "
                f"{scale[1]}; they were compared on one scale"
            )
        reasons = [*by_settings, *placed]
        if relative <= pairing.tolerance and not reasons:
            paired = count(len(pairing.forced.steps), "paired module")
            text = f"the outputs of {paired} and of the whole are the same"
            return Rung(name="forward", status="holds", relative_difference=relative, text=text)
        more = f" ({len(reasons)} causes)" if len(reasons) > 1 else ""
        return Rung(
            name="forward",
            status="fails",
            relative_difference=finite(relative),
            first_cause=min(reasons, key=lambda one: one[0], default=(0, None))[1],
            text=f"the outputs are {gap(relative)} apart{more}",
        )

    def _outputs_apart(self, theirs: Arrays) -> float:
        """Return how far apart the outputs are, on one scale and with the same axes."""
        return self._pairing.forced.forms.apart(outputs_of(self._pairing.calls), theirs)

    # ---- loss and gradients

    def _need(self, *functions: str) -> None:
        """Skip a rung that needs a function which some side does not define, or targets."""
        described = self._pairing.described
        if any(one["several"] for one in described.values()):
            raise SkippedError("model() gives several models; step() is compared as a whole")
        for side in (self._pairing.reference, self._pairing.other):
            there = described[side.label]["functions"]
            missing = [f"{name}({_ARGUMENTS[name]})" for name in functions if name not in there]
            if missing:
                raise SkippedError(f"define {both(missing)} in {side.label}'s file")
        if self._pairing.batch.targets is None and (several := list(self._pairing.batch.more)):
            raise SkippedError(
                f"{both(several)} are several targets, and a loss is compared of one array; a "
                "step(model, optimizer, batch) in both files takes them all"
            )
        if self._pairing.batch.targets is None:
            raise SkippedError("give a batch with targets, as y in --batch FILE.npz")

    @property
    def _by_step(self) -> bool:
        """Return whether gradients and updates are those of the users' own step().

        A program without one, beside one that has it, steps by its loss and its optimizer.
        """
        described = self._pairing.described.values()
        stepping = ["step" in one["functions"] for one in described]
        plain = [{"loss", "optimizer"} <= set(one["functions"]) and not one["several"] for one in described]
        if not all(a or b for a, b in zip(stepping, plain, strict=True)):
            return False
        return any(stepping) and not (all(stepping) and all(plain))

    def _loss(self) -> Rung:
        self._need("loss")
        pairing, forms = self._pairing, self._pairing.forced.forms
        if not pairing.forced.fits:
            raise SkippedError("the outputs have other shapes, so that no loss takes the same ones")
        mine = outputs_of(pairing.calls)
        one, self._slopes = pairing.reference.loss(mine, pairing.batch.targets)
        two, self._other_slopes = pairing.other.loss(forms.to_other(mine), pairing.others_batch.targets)
        relative, slopes = relative_difference(np.array(one), np.array(two)), 0.0
        if forms.scaled is None:  # gradients with respect to other quantities are not compared
            slopes = forms.apart(self._slopes, self._other_slopes)
        if max(relative, slopes) <= pairing.tolerance:
            text = f"both losses are {one:.6g}"
            return Rung(name="loss", status="holds", relative_difference=relative, text=text)
        finding = causes.of_loss(pairing, (one, two), relative, slopes, (self._slopes, self._other_slopes))
        self._findings.append(finding)
        return Rung(
            name="loss",
            status="fails",
            relative_difference=finding.relative_difference,
            first_cause=finding,
            text=finding.text,
        )

    def _gradients(self) -> Rung:
        if self._by_step:
            return self._of_step(lambda: self._steps().gradients(self._findings))
        self._need("loss")
        pairing, forms = self._pairing, self._pairing.forced.forms
        if not pairing.forced.fits:
            raise SkippedError("the losses were not compared")
        mine = pairing.reference.gradients(pairing.batch.inputs, self._slopes)
        self._updates = Updates(pairing, mine)
        # On another scale the other side's own loss gives the gradient of its outputs.
        given = self._other_slopes if forms.scaled is not None else forms.to_other(self._slopes)
        force = forces(pairing.mapping, pairing.calls)
        theirs = pairing.mapping.to_reference(pairing.other.gradients(pairing.inputs, given, force))
        parted = self._gradients_apart(mine, theirs)
        worst = max(parted.values(), default=0.0)
        found = causes.of_frozen(pairing)
        # On the way back, the last module comes first.
        name = next((name for name in reversed(parted) if parted[name] > pairing.tolerance), None)
        lower = None if name is None else self._behind(name)
        if (
            name is not None and lower is None and forms.scaled is not None
        ):  # the loss's own gradient was given
            lower = next((one for one in self._findings if one.rung == "loss"), None)
        if name is not None and lower is None:
            found.append(
                PortFinding(
                    rung="gradients",
                    path=name,
                    relative_difference=finite(parted[name]),
                    text=f"from the same gradient of the outputs, the gradient of {name} is "
                    f"{gap(parted[name])} "
                    "apart, the first on the way back",
                )
            )
        self._findings += found
        first = next(iter(found), lower)
        if first is None:
            text = f"the gradients of {count(len(parted), 'weight')} are the same"
            return Rung(name="gradients", status="holds", relative_difference=worst, text=text)
        text = first.text
        if first is lower:
            text = f"the gradient of {name} is {gap(parted[name or ''])} apart, since what follows it differs"
        return Rung(
            name="gradients",
            status="fails",
            relative_difference=finite(worst),
            first_cause=first,
            text=text,
        )

    def _behind(self, name: str) -> PortFinding | None:
        """Return what differs in the forward pass behind a weight's module, so that its gradient does."""
        path = name.rpartition(".")[0]
        if self._pairing.forced.of(path) is None and self._placed:  # its place is not seen
            return self._placed[0][1]
        place = causes.place_of(self._pairing, path)

        def behind(there: int, one: PortFinding) -> bool:
            return there > place or any(causes.place_of(self._pairing, end) > place + 1 for end in one.also)

        return next((one for there, one in self._placed if behind(there, one)), None)

    def _gradients_apart(self, mine: Arrays, theirs: Arrays) -> dict[str, float]:
        """Return how far apart the gradients are, but for modules that give something else already."""
        pairing = self._pairing
        consequences = {
            one.pair.reference.path for one in pairing.forced.steps if one.local > pairing.tolerance
        }
        largest = max((float(np.max(np.abs(one), initial=0.0)) for one in mine.values()), default=0.0)
        return {
            name: relative_difference(gradient, theirs[name], least=_LEAST_GRADIENT * largest)
            for name, gradient in mine.items()
            if name in theirs and name.rpartition(".")[0] not in consequences
        }

    # ---- updates

    def _of_step(self, compare: Callable[[], tuple[Rung, list[PortFinding]]]) -> Rung:
        rung, found = compare()
        self._findings += found
        return rung

    def _steps(self) -> StepUpdates:
        """Return the users' own steps, run once in both programs."""
        if not isinstance(self._updates, StepUpdates):
            self._updates = StepUpdates(self._pairing)
        return self._updates

    def _update(self) -> Rung:
        if self._by_step:
            return self._of_step(lambda: self._steps().once(self._findings))
        rung, found = self._updating().once(self._findings)
        self._findings += found
        return rung

    def _free_updates(self) -> Rung:
        updating = self._updating()
        lower = next((one.first_cause for one in self.rungs if one.first_cause), None)
        if self._pairing.training_fails is None:
            trained = self._training()  # before the updates, since it settles how masks lie
            lower = lower or next(iter(trained.findings), None)
        rung, found = updating.freely(lower, self._findings)
        self._findings += found
        return rung

    def _training(self) -> TrainingPass:
        if self._trained is None:
            self._trained = TrainingPass(self._pairing)
        return self._trained

    def _updating(self) -> Updates:
        if self._by_step:
            return self._steps()
        self._need("loss", "optimizer")
        if self._updates is None:
            raise SkippedError("the gradients were not compared")
        return self._updates

    def _training_mode(self) -> Rung:
        """Run both once with the same masks, then train both with them where nothing below fails."""
        pairing = self._pairing
        if pairing.training_fails is not None:
            raise SkippedError(f"a program cannot run in training mode: {pairing.training_fails}")
        trained = self._training()
        note_unpairable(pairing)
        self._findings += trained.findings
        relative = trained.forced.outputs
        same = f"the outputs are the same with {count(trained.places, 'draw')} of random numbers paired"
        if not trained.places:
            same = "the outputs are the same, without dropout or noise"
        if relative > pairing.tolerance:
            same = "nothing differs but what differs in evaluation, too"
        if trained.findings:
            return Rung(
                name="training_mode",
                status="fails",
                relative_difference=finite(relative),
                first_cause=trained.findings[0],
                text=trained.findings[0].text,
            )
        lonely = count(len(pairing.draws.lonely), "draw")
        if pairing.draws.lonely:
            raise SkippedError(f"{lonely} of random numbers without a counterpart; see the settings")
        climbed = {one.name: one.status for one in self.rungs}
        if self._updates is not None and climbed.get("updates") == "holds" and trained.places:
            return self._updates.with_masks(same)
        return Rung(name="training_mode", status="holds", relative_difference=finite(relative), text=same)

    def _data(self) -> Rung:
        """Compare what both loaders give, then what both evaluations say of the same weights."""
        rung, found = compare_data(self._pairing)
        self._findings += found
        if rung is None:
            raise SkippedError(
                "define data(split) in both files, which returns batches of (x, y), or evaluate(model), "
                "which returns numbers by name"
            )
        return rung
