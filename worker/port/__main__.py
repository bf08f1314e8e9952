"""`python -m likewise.worker.port FRAMEWORK` hosts a program: questions on standard input, answers on output.

What the program prints goes to standard error. With `--only FOLDER HASHES` it is a worker that has started
it: then only the files of that folder with these hashes are run, a JSON mapping by place, and it ends with
its parent.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likewise.shared.port.wire import PROGRAM_FAILED, receive, send
from likewise.worker.port.contract import (
    Arrays,
    Forced,
    Forward,
    GivenGradients,
    ImportedProgram,
    ProgramError,
    TrainingPlan,
)
from likewise.worker.port.loaders import first_samples
from likewise.worker.port.randomness import Arrangement
from likewise.worker.port.timing import GivenBatches, TimedProgram
from likewise.worker.port.verified import VerifiedFolder

Step = tuple[str, NDArray[Any]]
Answer = tuple[dict[str, Any], Arrays]


_DIES_WITH_PARENT = 1
"""It is what Linux calls PR_SET_PDEATHSIG: a process is ended when its parent ends."""


def main(framework: str, folder: VerifiedFolder | None) -> int:
    """Answer until the other end is closed; return the exit status."""
    answers = os.fdopen(os.dup(1), "wb")
    questions = os.fdopen(os.dup(0), "rb")
    os.dup2(2, 1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # a program that reads what was typed gets none of ours
    host = _Host(framework, folder)
    failed: str | None = None
    while True:
        try:
            question, arrays = receive(questions)
        except EOFError:
            break
        try:
            document, found = host.answer(question, arrays)
            failed = None
            send(answers, {"status": "ok", **document}, found)
        except ProgramError as error:
            failed = str(error)
            send(answers, {"status": "failed", "message": failed}, {})
    if failed is not None:
        sys.stderr.write(f"{failed}\n")
        sys.stderr.flush()
    return PROGRAM_FAILED if failed is not None else 0


class _Host:
    def __init__(self, framework: str, folder: VerifiedFolder | None) -> None:
        self._framework = framework
        self._folder = folder
        self._program: ImportedProgram | None = None
        self._timed: TimedProgram | None = None
        self._import_s: float | None = None
        self._asks: Mapping[str, Callable[[dict[str, Any], Arrays], Answer]] = {
            "open": self._open,
            "describe": self._describe,
            "weights": lambda _, __: ({}, self.program.weights()),
            "load": self._load,
            "restore": self._restore,
            "save": self._save,
            "export": self._export,
            "change": self._change,
            "override": self._override,
            "divide": self._divide,
            "lay_steps": self._lay_steps,
            "arrange": self._arrange,
            "feed": self._feed,
            "data": self._data,
            "evaluate": self._evaluate,
            "forward": self._forward,
            "loss": self._loss,
            "gradients": self._gradients,
            "update": self._update,
            "train": self._train,
            "ready": self._ready,
            "time": self._time,
        }

    @property
    def program(self) -> ImportedProgram:
        """Return the program that was opened."""
        if self._program is None:
            raise ProgramError("no program was opened")
        return self._program

    def answer(self, question: dict[str, Any], arrays: Arrays) -> Answer:
        """Return the answer to one question, with its arrays."""
        return self._asks[str(question["ask"])](question, arrays)

    def _open(self, question: dict[str, Any], _: Arrays) -> Answer:
        if question["keras_2"]:  # it is looked at when TensorFlow is imported
            os.environ["TF_USE_LEGACY_KERAS"] = "1"
        began = time.perf_counter()
        try:
            module = import_module(f"likewise.worker.adapters.{self._framework}_adapter.imported")
        except ImportError as error:
            raise ProgramError(f"the environment {sys.prefix} lacks what it needs: {error}") from error
        imported = time.perf_counter()
        self._import_s = self._import_s or imported - began
        file, precision, seed = Path(question["file"]), str(question["precision"]), int(question["seed"])
        if self._folder is not None:
            file = self._folder.folder / file
            os.chdir(file.parent)  # it finds its data as where its user runs it
        self._program = module.open_program(file, question.get("maker"), precision=precision, seed=seed)
        return {
            "input": self.program.input_spec(),
            "functions": self.program.functions,
            "arguments": self.program.arguments(),
            "inputs": self.program.declared_inputs,
            "lines": self.program.lines_of_functions,
            "import_s": self._import_s,
            "build_s": time.perf_counter() - imported,
        }, {}

    def _describe(self, _: dict[str, Any], __: Arrays) -> Answer:
        described = self.program.describe()
        return {**described, "modules": [asdict(one) for one in described["modules"]]}, {}

    def _load(self, _: dict[str, Any], arrays: Arrays) -> Answer:
        self.program.load(arrays)
        return {}, {}

    def _restore(self, question: dict[str, Any], arrays: Arrays) -> Answer:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / Path(question["name"]).name
            file.write_bytes(arrays["bytes"].tobytes())
            self.program.restore(file)
        return {}, {}

    def _save(self, question: dict[str, Any], _: Arrays) -> Answer:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / Path(question["name"]).name
            self.program.save(file)
            return {}, {"bytes": np.fromfile(file, np.uint8)}

    def _export(self, question: dict[str, Any], arrays: Arrays) -> Answer:
        try:
            from likewise.worker.port import onnx_file

            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder) / "model.onnx"
                self.program.export(file, tuple(question["shape"]))
                onnx_file.finish(file, _steps(question, arrays), question["told"])
                found: Arrays = {"bytes": np.fromfile(file, np.uint8)}
                if "rows" in arrays:
                    found["outputs"] = onnx_file.outputs_of(file, arrays["rows"])
                return {}, found
        except ImportError as error:
            raise ProgramError(f"the environment {sys.prefix} lacks what writes ONNX: {error}") from error

    def _change(self, question: dict[str, Any], _: Arrays) -> Answer:
        done = self.program.change(question["path"], question["setting"], question["value"])
        return {"done": done}, {}

    def _divide(self, question: dict[str, Any], _: Arrays) -> Answer:
        self.program.divide(question["paths"])
        return {}, {}

    def _lay_steps(self, question: dict[str, Any], _: Arrays) -> Answer:
        self.program.lay_steps(question["chosen"])
        return {}, {}

    def _override(self, question: dict[str, Any], _: Arrays) -> Answer:
        self.program.override(
            question["optimizers"], rates=question["rates"], loss_factor=float(question["loss_factor"])
        )
        return {}, {}

    def _feed(self, question: dict[str, Any], arrays: Arrays) -> Answer:
        inputs, more = _named(arrays, "inputs"), _named(arrays, "more")
        self.program.feed(inputs, arrays.get("targets"), target=question["target"], more=more)
        return {}, {}

    def _data(self, question: dict[str, Any], _: Arrays) -> Answer:
        with self.program.as_trained():
            arrays, told = first_samples(self.program.data(question["split"], seed=question["seed"]))
        return told, arrays

    def _evaluate(self, question: dict[str, Any], _: Arrays) -> Answer:
        result = self.program.evaluate(training=bool(question["training"]))
        named = result if isinstance(result, Mapping) else {"": result}
        try:
            return {"numbers": {str(name): float(one) for name, one in named.items()}}, {}
        except (TypeError, ValueError):
            raise ProgramError(
                f"evaluate(model) returned a {type(result).__name__}; it must return a number, or "
                "numbers by name"
            ) from None

    def _arrange(self, question: dict[str, Any], _: Arrays) -> Answer:
        given = {key: Arrangement.of(one) for key, one in question["arrangements"].items()}
        self.program.arrange(given, seed=int(question["seed"]))
        return {}, {}

    def _forward(self, question: dict[str, Any], arrays: Arrays) -> Answer:
        inputs, force = _parts(question, arrays)
        training, drops = bool(question["training"]), bool(question["drops"])
        found: Forward = self.program.forward(inputs, force=force, training=training, drops=drops)
        calls, sites = [asdict(one) for one in found.calls], [asdict(one) for one in found.sites]
        return {"calls": calls, "sites": sites}, found.arrays

    def _loss(self, _: dict[str, Any], arrays: Arrays) -> Answer:
        value, gradients = self.program.loss(_named(arrays, "outputs"), arrays.get("targets"))
        return {"loss": value}, gradients

    def _gradients(self, question: dict[str, Any], arrays: Arrays) -> Answer:
        inputs, force = _parts(question, arrays)
        return {}, self.program.gradients(inputs, _named(arrays, "cotangents"), force=force)

    def _update(self, question: dict[str, Any], arrays: Arrays) -> Answer:
        factors = [float(one) for one in question["factors"]]
        return {}, self.program.update(_named(arrays, "gradients"), factors, common=bool(question["common"]))

    def _train(self, question: dict[str, Any], arrays: Arrays) -> Answer:
        plan = TrainingPlan(
            steps=int(question["steps"]),
            order=arrays.get("order"),
            seed=int(question["seed"]),
            common=bool(question["common"]),
            drops=bool(question["drops"]),
            given=_given(question["given"], arrays),
        )
        began = time.perf_counter()
        trained = self.program.train(_named(arrays, "inputs"), arrays.get("targets"), plan)
        train_s = time.perf_counter() - began
        arrays = {f"weights/{name}": one for name, one in trained.weights.items()}
        for group, several in (("applied", trained.applied), ("passes", trained.passes)):
            for place, gradients in enumerate(several):
                arrays |= {f"{group}{place}/{name}": one for name, one in gradients.items()}
        told = {
            "losses": trained.losses,
            "updates": len(trained.applied),
            "passes": len(trained.passes),
            "rates": trained.rates,
            "train_s": train_s,
        }
        return told, arrays

    def _ready(self, question: dict[str, Any], arrays: Arrays) -> Answer:
        given = None
        if not question["loader"]:
            given = GivenBatches(
                inputs=_named(arrays, "inputs"),
                targets=arrays.get("targets"),
                target=str(question["target"]),
                more=_named(arrays, "more"),
                order=arrays.get("order"),
            )
        self._timed = TimedProgram(self.program, given, size=question["size"])
        return {"infers": self._timed.infers, "environment": self._timed.environment()}, {}

    def _time(self, question: dict[str, Any], _: Arrays) -> Answer:
        if self._timed is None:
            raise ProgramError("no batches were made ready")
        return self._timed.run(int(question["updates"]), infers=bool(question["infers"])), {}


def _steps(question: dict[str, Any], arrays: Arrays) -> tuple[list[Step], list[Step]]:
    """Return what is done with rows before the model, and with its outputs after it."""
    every = [(name, arrays[f"step.{place}"]) for place, name in enumerate(question["steps"])]
    return every[: question["before"]], every[question["before"] :]


def _named(arrays: Arrays, group: str) -> Arrays:
    """Return the arrays `<group>/<name>`, by name."""
    return {
        name.removeprefix(f"{group}/"): one for name, one in arrays.items() if name.startswith(f"{group}/")
    }


def _given(counts: Mapping[str, int] | None, arrays: Arrays) -> GivenGradients | None:
    """Return the gradients that replace a step's own; `counts` says how many passes and updates there are."""
    if counts is None:
        return None
    return GivenGradients(
        **{
            group: [_named(arrays, f"{group}{place}") for place in range(number)]
            for group, number in counts.items()
        }
    )


def _parts(question: dict[str, Any], arrays: Arrays) -> tuple[Arrays, dict[str, Forced]]:
    force = {
        path: Forced(input=arrays.get(f"in/{path}"), output=arrays.get(f"out/{path}"))
        for path in question.get("force", ())
    }
    return _named(arrays, "inputs"), force


def _only(given: list[str]) -> VerifiedFolder | None:
    """Return the folder that alone may be imported from, where one is given; end with the parent then."""
    if not given:
        return None
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DIES_WITH_PARENT, signal.SIGKILL)
    _, folder, hashes = given
    only = VerifiedFolder(Path(folder), json.loads(hashes))
    only.install()
    return only


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], _only(sys.argv[2:])))
