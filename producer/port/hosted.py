"""A user's program in a process of its own environment, wherever that runs (see `worker.port`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likewise.producer.port.channels import Channel, ProgramEndedError
from likewise.producer.port.exchanged import (
    Arrays,
    DrawSite,
    FedBatch,
    FreeTraining,
    LoadedSamples,
    RecordedCall,
    RecordedPass,
    RowOrder,
    StepGradients,
    TimedPlan,
)
from likewise.producer.port.inputs import name_inputs
from likewise.producer.port.shipping import is_of_keras_2
from likewise.shared.errors import RunFailedError

Steps = Sequence[tuple[str, NDArray[Any]]]
"""What is done with an array, such as `subtract`, and its second operand, in order."""


class Hosted:
    """One side's program. Close it, or use it as a context.

    Every question raises RunFailedError with the side's name where the program cannot answer it.
    """

    def __init__(self, label: str, framework: str, channel: Channel, *, place: str | None = None) -> None:
        """Take the way to its process, and where its file lies in the folder of the worker that hosts it."""
        self.label = label
        self.framework = framework
        self._channel = channel
        self._place = place
        self.divided: list[str] = []
        """The dense layers of its program that are taken as three."""
        self._divided_of: tuple[str, str | None] | None = None
        self._laid: dict[str, str] = {}

    def __enter__(self) -> Hosted:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def where(self) -> str:
        """Return where its process is: this machine, or the id of a worker."""
        return self._channel.where

    def close(self) -> None:
        """Ask no more, and wait until the process has ended."""
        self._channel.close()

    def open(self, file: Path, maker: str | None, precision: str, *, seed: int = 0) -> dict[str, Any]:
        """Import the program, whose model is made from a seed; return what is known of its inputs."""
        named = self._place or str(file)
        question = {"ask": "open", "file": named, "maker": maker, "precision": precision, "seed": seed}
        question["keras_2"] = is_of_keras_2(file)
        answer, _ = self._ask(question)
        self._takes = answer
        self._own: Mapping[str, str] = {}
        if self.divided and self._divided_of == (named, maker):
            self._ask({"ask": "divide", "paths": self.divided})
        else:
            self.divided = []
        if self._laid and self._divided_of == (named, maker):
            self._ask({"ask": "lay_steps", "chosen": self._laid})
        else:
            self._laid = {}
        self._divided_of = (named, maker)
        return answer

    def divide(self, paths: Sequence[str]) -> None:
        """Take these dense layers as three from now on: a query, a key and a value, which lie in this order.

        It holds for the same program when that is opened again.
        """
        self.divided = [*self.divided, *paths]
        self._ask({"ask": "divide", "paths": self.divided})

    def lay_steps(self, wrapper: str, way: str) -> None:
        """Give the layer within a wrapper its steps in another way from now on (see `worker.port.contract`).

        It holds for the same program when that is opened again.
        """
        self._laid[wrapper] = way
        self._ask({"ask": "lay_steps", "chosen": self._laid})

    def name_inputs(self, names: Sequence[str]) -> str | None:
        """Settle what the program calls the arrays of a batch, from now on; return what was assumed.

        A step of the user's own gets the batch as it is.
        """
        if self.steps:
            return None
        declared = {
            name: one["name"]
            for name, one in self._takes["inputs"].items()
            if "name" in one and name in names
        }
        found = name_inputs(self.label, names, self._takes["arguments"], declared)
        self._own = found.own
        return found.note

    def _inputs(self, inputs: Arrays) -> Arrays:
        return _group("inputs", {self._own.get(name, name): array for name, array in inputs.items()})

    def _fed(self, inputs: Arrays, force: Mapping[str, tuple[Any, Any]] | None) -> Arrays:
        arrays = self._inputs(inputs)
        for path, (entered, left) in (force or {}).items():
            if entered is not None:
                arrays[f"in/{path}"] = entered
            if left is not None:
                arrays[f"out/{path}"] = left
        return arrays

    def describe(self) -> dict[str, Any]:
        """Return the modules, the optimizer and the functions that there are."""
        return self._ask({"ask": "describe"})[0]

    def weights(self) -> Arrays:
        """Return every weight in the common layout."""
        return self._ask({"ask": "weights"})[1]

    def load(self, weights: Mapping[str, NDArray[Any]]) -> None:
        """Replace the weights that are given, by name."""
        self._ask({"ask": "load"}, weights)

    def restore(self, file: Path) -> None:
        """Replace the weights by those of a checkpoint."""
        self._ask({"ask": "restore", "name": file.name}, {"bytes": np.fromfile(file, np.uint8)})

    def save(self, file: Path) -> None:
        """Write the weights as a checkpoint, whose kind its ending says."""
        self._ask({"ask": "save", "name": file.name})[1]["bytes"].tofile(file)

    def export(
        self, shape: Sequence[int], before: Steps, after: Steps, *, told: Mapping[str, str], rows: Arrays
    ) -> Arrays:
        """Return the model as the `bytes` of an ONNX file with these steps before and after it.

        Of `rows`, where there are some, also what ONNX Runtime gives for them, as `outputs`.
        """
        every = [*before, *after]
        arrays = {f"step.{place}": array for place, (_, array) in enumerate(every)}
        question = {"shape": [*shape], "steps": [name for name, _ in every], "before": len(before)}
        return self._ask({"ask": "export", "told": dict(told), **question}, {**arrays, **rows})[1]

    def change(self, path: str, setting: str, value: Any) -> bool:
        """Change a live module's setting; return whether that was possible."""
        return bool(self._ask({"ask": "change", "path": path, "setting": setting, "value": value})[0]["done"])

    def override(
        self,
        optimizers: Mapping[str, Mapping[str, Any]],
        *,
        rates: Sequence[float] = (),
        loss_factor: float = 1.0,
    ) -> None:
        """Give the optimizers that it makes from now on these numbers, by their names; none for its own.

        So it is with the learning rates of a training's updates, and with a factor of the loss.
        """
        question = {"optimizers": optimizers, "rates": list(rates), "loss_factor": loss_factor}
        self._ask({"ask": "override", **question})

    @property
    def steps(self) -> bool:
        """Return whether the program has a step(model, optimizer, batch) of its own."""
        return "step" in self._takes["functions"]

    @property
    def trains(self) -> bool:
        """Return whether its file defines what trains it."""
        there = set(self._takes["functions"])
        return "step" in there or {"loss", "optimizer"} <= there

    @property
    def loads(self) -> bool:
        """Return whether its file defines data(split)."""
        return "data" in self._takes["functions"]

    @property
    def lines(self) -> dict[str, str]:
        """Return where the user's file defines each of its functions, as `file.py:12`."""
        return dict(self._takes["lines"])

    @property
    def layouts(self) -> dict[str, str]:
        """Return in which layouts the user's file says that the model takes arrays of the batch, by name."""
        return {name: one["layout"] for name, one in self._takes["inputs"].items() if "layout" in one}

    @property
    def arguments(self) -> list[str] | None:
        """Return the names of the model's inputs in order, where they are known."""
        names: list[str] | None = self._takes["arguments"]
        return names

    def feed(self, batch: FedBatch) -> None:
        """Give the batch, as it lies in this program, to a step of the user's own; build the model."""
        arrays = {**self._inputs(batch.inputs), **_group("more", batch.more)}
        if batch.targets is not None:
            arrays["targets"] = batch.targets
        self._ask({"ask": "feed", "target": batch.target}, arrays)

    def data(self, split: str, *, seed: int) -> LoadedSamples:
        """Return the first samples of the user's loader, begun at a seed."""
        answer, arrays = self._ask({"ask": "data", "split": split, "seed": seed})
        return LoadedSamples(arrays, tuple(answer["sizes"]), bool(answer["ended"]), tuple(answer["targets"]))

    def evaluate(self, *, training: bool) -> dict[str, float]:
        """Return the numbers of the user's evaluate(model), begun in training mode or in evaluation mode."""
        answer, _ = self._ask({"ask": "evaluate", "training": training})
        return dict(answer["numbers"])

    def arrange(self, arrangements: Mapping[str, Mapping[str, Any]], *, seed: int = 0) -> None:
        """Give sites of random numbers the other program's (see `worker.port.randomness.Arrangement`)."""
        self._ask({"ask": "arrange", "arrangements": arrangements, "seed": seed})

    def forward(
        self,
        inputs: Arrays,
        force: Mapping[str, tuple[Any, Any]] | None = None,
        *,
        training: bool = False,
        drops: bool = False,
    ) -> RecordedPass:
        """Run forward, with the inputs and outputs of some modules replaced; return the calls in order."""
        question = {"ask": "forward", "force": list(force or ()), "training": training, "drops": drops}
        answer, arrays = self._ask(question, self._fed(inputs, force))
        calls = [
            RecordedCall(told, arrays.get(f"{place}.in"), arrays[f"{place}.out"])
            for place, told in enumerate(answer["calls"])
        ]
        sites = []
        for told in answer["sites"]:
            entered = arrays.get(f"{told['key']}.entered")
            sites.append(DrawSite(**{**told, "shape": tuple(told["shape"]), "entered": entered}))
        return RecordedPass(calls, sites)

    def loss(self, outputs: Arrays, targets: NDArray[Any] | None) -> tuple[float, Arrays]:
        """Return the loss of these outputs, and its gradients with respect to them."""
        arrays = {**_group("outputs", outputs), **({} if targets is None else {"targets": targets})}
        answer, gradients = self._ask({"ask": "loss"}, arrays)
        return float(answer["loss"]), gradients

    def gradients(
        self, inputs: Arrays, cotangents: Arrays, force: Mapping[str, tuple[Any, Any]] | None = None
    ) -> Arrays:
        """Return the weights' gradients for these gradients of the outputs."""
        arrays = {**self._fed(inputs, force), **_group("cotangents", cotangents)}
        return self._ask({"ask": "gradients", "force": list(force or ())}, arrays)[1]

    def update(self, gradients: Arrays, factors: Sequence[float], *, common: bool = False) -> Arrays:
        """Return the weights after a new optimizer's steps, one with each factor of these gradients (see
        `worker.port.contract`).
        """
        question = {"ask": "update", "factors": list(factors), "common": common}
        return self._ask(question, _group("gradients", gradients))[1]

    def train(
        self,
        inputs: Arrays,
        targets: NDArray[Any] | None,
        *,
        steps: int,
        common: bool = False,
        drops: bool = False,
        rows: RowOrder | None = None,
    ) -> FreeTraining:
        """Train freely on one batch, or on rows of it, and put the weights back."""
        arrays = {**self._inputs(inputs), **({} if targets is None else {"targets": targets})}
        if rows is not None and rows.order is not None:
            arrays["order"] = rows.order
        seed = 0 if rows is None else rows.seed
        question = {"steps": steps, "common": common, "drops": drops, "seed": seed, "given": None}
        return self._train(question, arrays)

    def step(self, batch: FedBatch, given: StepGradients, *, common: bool) -> FreeTraining:
        """Run one step with its gradients replaced where others are `given`; its backward passes are told."""
        arrays = {
            **self._inputs(batch.inputs),
            **({} if batch.targets is None else {"targets": batch.targets}),
        }
        groups = {"passes": given.passes, "applied": given.applied}
        for group, several in groups.items():
            for place, gradients in enumerate(several):
                arrays |= _group(f"{group}{place}", gradients)
        counts = {group: len(several) for group, several in groups.items()}
        question = {"steps": 1, "common": common, "drops": False, "seed": 0, "given": counts}
        return self._train(question, arrays)

    def _train(self, question: Mapping[str, Any], arrays: Arrays) -> FreeTraining:
        answer, found = self._ask({"ask": "train", **question}, arrays)
        return FreeTraining(
            {name: list(one) for name, one in answer["losses"].items()},
            _of_group("weights", found),
            [_of_group(f"applied{place}", found) for place in range(answer["updates"])],
            [_of_group(f"passes{place}", found) for place in range(answer["passes"])],
            list(answer["rates"]),
            float(answer["train_s"]),
        )

    def ready(self, batch: FedBatch, plan: TimedPlan) -> dict[str, Any]:
        """Make the batches ready that it is timed on; return whether it `trains`, and its `environment`.

        The batch is as it lies in this program.
        """
        arrays: Arrays = {}
        if not plan.loader:
            arrays = {**self._inputs(batch.inputs), **_group("more", batch.more)}
            if batch.targets is not None:
                arrays["targets"] = batch.targets
            if plan.order is not None:
                arrays["order"] = plan.order
        question = {"ask": "ready", "target": batch.target, "loader": plan.loader, "size": plan.size}
        answer, _ = self._ask(question, arrays)
        return {**answer, "import_s": self._takes["import_s"], "build_s": self._takes["build_s"]}

    def time(self, updates: int, *, infers: bool) -> dict[str, Any]:
        """Return what a timed run came to (see `worker.port.timing`); `infers` adds a pass over a batch."""
        return self._ask({"ask": "time", "updates": updates, "infers": infers})[0]

    def _ask(
        self, question: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]] | None = None
    ) -> tuple[dict[str, Any], Arrays]:
        try:
            answer, found = self._channel.ask(question, arrays or {})
        except ProgramEndedError as error:
            raise RunFailedError(f"{self.label}: {error}") from None
        if answer["status"] != "ok":
            raise RunFailedError(f"{self.label}: {answer['message']}")
        return answer, found


def _group(name: str, arrays: Mapping[str, NDArray[Any]]) -> Arrays:
    return {f"{name}/{key}": array for key, array in arrays.items()}


def _of_group(name: str, arrays: Arrays) -> Arrays:
    prefix = f"{name}/"
    return {key.removeprefix(prefix): array for key, array in arrays.items() if key.startswith(prefix)}
