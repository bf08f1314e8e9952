"""The pieces of a program's file: the code at each place, its classes, its data and its imports."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import indent
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likewise.producer.advice.layer_view import variable
from likewise.producer.advice.program import NotWrittenError, Part, python
from likewise.producer.data.prepare import PreparedRun
from likewise.shared.job.data import is_weighted
from likewise.shared.program.spec import ModelOutput


@dataclass(frozen=True, kw_only=True)
class Pieces:
    """The parts of a program, and what surrounds them in its file."""

    run: PreparedRun
    parts: Sequence[Part]
    splits: tuple[str, ...]
    arrays_file: str | None

    def at(self, *places: str) -> str:
        """Return the code at these places, without the classes that it defines."""
        return "\n".join(filter(None, (apart(part.code)[1] for part in self._parts(*places))))

    def of_model(self, *places: str) -> str:
        """Return the code at these places, where a layer is the model's."""
        layers = "|".join(re.escape(part.name) for part in self.parts if part.place == "layer")
        code = self.at(*places)
        return re.sub(rf"(?<![\w.])({layers})(?![\w=])", r"model.\1", code) if layers else code

    def classes(self, *places: str) -> list[str]:
        """Return the classes and functions that the code at these places defines, each once."""
        return list(dict.fromkeys(one for part in self._parts(*places) for one in apart(part.code)[0]))

    def _parts(self, *places: str) -> list[Part]:
        return [part for part in self.parts if part.place in places]

    @property
    def outputs(self) -> tuple[ModelOutput, ...]:
        """Return the outputs where there are several; nothing for an only one."""
        every = self.run.program.outputs
        return every if len(every) > 1 else ()

    @property
    def weighted(self) -> bool:
        """Return whether samples have weights."""
        return is_weighted(self.run.job.data)

    @property
    def given(self) -> str:
        """Return the names of what the data give."""
        return "x, y, weight" if self.weighted else "x, y"

    @property
    def output(self) -> str:
        """Return what the model gives, behind its calls: a name, or a dictionary of several by name."""
        if self.outputs:
            named = ", ".join(f"{python(one.name)}: x_{variable(one.name)}" for one in self.outputs)
            return f"{{{named}}}"
        calls = [name for name in map(_assigned, self.calls().splitlines()) if "." not in name]
        return calls[-1] if calls else "x"

    def calls(self) -> str:
        """Return the calls of the layers; one after the other they are all of `x`."""
        code = self.at("call")
        outputs = [_assigned(line) for line in code.splitlines()]
        stages = self.run.program.stages
        if not self.outputs and all(stage.sources == (place,) for place, stage in enumerate(stages)):
            for name in outputs:
                code = code if "." in name else re.sub(rf"\b{name}\b", "x", code)
        lines = []
        for name, line in zip(outputs, code.splitlines(), strict=True):
            lines.append(line)
            if name in self.penalized:
                lines.append(f"self.{name} = {_assigned(line)}")
        return "\n".join(lines)

    @property
    def penalized(self) -> list[str]:
        """Return the outputs of layers that the loss has a penalty of, beside the model's own code."""
        names = [_assigned(line) for line in self.at("call").splitlines()]
        return [name for name in names if re.search(rf"\b{name}\b", self.at("penalty"))]

    def data(self) -> str:
        """Return the function that gives the data of a split."""
        if self.arrays_file is None:
            train = self.run.data.train
            lines = [f"x = np.array({_literal(train.x)})", f"y = np.array({_literal(train.y)})"]
            if train.weights is not None:
                lines.append(f"weight = np.array({_literal(train.weights)})")
            lines += [*self._rescaled(), *self._by_output()]
            return function('data(split="train")', [*lines, f"return {self.given}"])
        names = [*("x", "y"), *(["weight"] if self.weighted else [])]
        read = ", ".join(f'arrays[f"{name}_{{split}}"]' for name in names)
        place = f"Path(__file__).with_name({python(self.arrays_file)})"
        lines = [f"with np.load({place}) as arrays:", f"    {self.given} = {read}"]
        lines += [*self._rescaled(), *self._by_output()]
        return function('data(split="train")', [*lines, f"return {self.given}"])

    def _rescaled(self) -> list[str]:
        mean, scale = self.run.job.data.mean, self.run.job.data.scale
        if mean is None and scale is None:
            return []
        if isinstance(mean, Mapping) or isinstance(scale, Mapping):
            raise NotWrittenError("data.mean or data.scale by input")
        shifted = "x" if mean is None else f"(x - {_number(mean)})"
        return [f"x = {shifted}" if scale is None else f"x = {shifted} / {_number(scale)}"]

    def _by_output(self) -> list[str]:
        """Return the line that takes a row of targets apart, where there are several outputs."""
        if not self.outputs:
            return []
        begins = {one.name: (one.targets or (0, 0), one.target == "classes") for one in self.outputs}
        named = [
            f"{python(name)}: y[:, {begin}]" if classes else f"{python(name)}: y[:, {begin}:{end}]"
            for name, ((begin, end), classes) in begins.items()
        ]
        return [f"y = {{{', '.join(named)}}}"]

    def imports(self, *lines: str) -> str:
        """Return the imports, and what is set before all else."""
        own = [] if self.arrays_file is None else ["from pathlib import Path", ""]
        first = "" if self.run.job.precision == "float32" else self.at("first")
        return "\n".join([*own, *lines, *(["", first] if first else [])])

    def predicted(self, call: str) -> list[str]:
        """Return the lines that print the predictions of the job's rows, as the model takes them."""
        rows = self.run.data.predict
        if rows is None:
            return []
        return [f"rows = np.array({_literal(rows)})", f'print("predictions:", {call})']


def _assigned(line: str) -> str:
    """Return what a line sets: the output of a layer, or with a dot something of a layer itself."""
    return line.partition(" = ")[0]


def function(signature: str, body: Sequence[str]) -> str:
    """Return a function of these lines."""
    return "\n".join([f"def {signature}:", indent("\n".join(filter(None, body)), "    ")])


def apart(code: str) -> tuple[list[str], str]:
    """Return the classes and functions that a piece of code defines, and what is left of it."""
    defined: list[list[str]] = []
    left: list[str] = []
    inside = False
    for line in code.splitlines():
        if line.startswith(("class ", "def ")):
            inside = True
            defined.append([line])
        elif inside and (not line or line.startswith((" ", ")"))):
            defined[-1].append(line)
        else:
            inside = False
            left.append(line)
    return ["\n".join(lines).rstrip() for lines in defined], "\n".join(left).strip("\n")


def _literal(array: NDArray[Any]) -> str:
    return repr(np.asarray(array).tolist())


def _number(value: Any) -> str:
    return python(value) if isinstance(value, int | float) else f"np.array({list(value)!r})"
