"""A whole plain program of a job: model, loss, optimizer, data and loop, as `likewise code` prints it.

It is the program whose parts advice is made of, put together as a file that runs by itself. Its functions
`model`, `loss` and `optimizer` are those of a port's side, so `likewise port check` proves it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from textwrap import indent
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likewise.producer.advice.program import NotWrittenError, Part, library_of, program_parts, python
from likewise.producer.data.prepare import Arrays, PreparedRun
from likewise.shared.job.data import is_weighted
from likewise.shared.job.weights import GivenWeights, NpzWeights

MOST_WRITTEN = 64
"""Data of more numbers are not written into the program, but lie in a file beside it."""
SAYS_EPOCH = 'print(f"epoch {epoch + 1}: loss {epoch_loss:.6g}")'
"""How a loop says the loss of an epoch, where `fit` does it by itself."""
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True, kw_only=True)
class WholeProgram:
    """A program, and what it reads."""

    code: str
    arrays: dict[str, NDArray[Any]]
    """What `arrays_file` must hold, such as `x_train`; empty where the data stand in the program."""


def whole_program(run: PreparedRun, *, name: str, arrays_file: str) -> WholeProgram:
    """Return the program of a side's job, which reads its data from `arrays_file` where they are many.

    Raises NotWrittenError for what no plain program of the framework does, or is not written yet.
    """
    return assembled(run, whole_parts(run), name=name, arrays_file=arrays_file)


def whole_parts(run: PreparedRun) -> list[Part]:
    """Return the parts of a program that runs by itself. Raises NotWrittenError."""
    training = run.job.training
    unwritten = {
        "training.early_stopping": training.early_stopping is not None,
        "training.gradient_accumulation_steps": training.gradient_accumulation_steps > 1,
        "training.evaluation_mode": training.evaluation_mode != "evaluation",
        "training.shuffle: once": training.shuffle == "once",
        "optimizer.use_ema": run.job.optimizer.use_ema,
    }
    for path in (path for path, wanted in unwritten.items() if wanted):
        raise NotWrittenError(path)
    every = program_parts(run.job, run.program, run.side.framework)
    gives = isinstance(run.job.initial_weights, GivenWeights | NpzWeights)
    parts = [part for part in every if gives or part.place != "give"]
    _refuse_unwritten(parts)
    return parts


def assembled(run: PreparedRun, parts: Sequence[Part], *, name: str, arrays_file: str) -> WholeProgram:
    """Return the parts as one file. Raises NotWrittenError."""
    known = library_of(run.side.framework)
    if known is None:
        raise NotWrittenError(f"programs of {run.side.framework}")
    library, form = known
    splits = {split: part for split in SPLITS if (part := getattr(run.data, split)) is not None}
    written_in = len(splits) == 1 and run.data.train.x.size + run.data.train.y.size <= MOST_WRITTEN
    arrays = {} if written_in else _arrays(splits)
    file = None if written_in else arrays_file
    program = _Program(run=run, parts=parts, splits=tuple(splits), arrays_file=file)
    title = f'"""{name}: a plain {library} program, written by `likewise code`."""'
    imports, *blocks = (block.strip("\n") for block in _FORMS[form](program) if block)
    return WholeProgram(code="\n\n\n".join([f"{title}\n\n{imports}", *blocks]) + "\n", arrays=arrays)


def model_blocks(run: PreparedRun) -> tuple[str, list[str]]:
    """Return the form of a program, and its blocks up to the function `model()`, the imports first.

    Raises NotWrittenError as `whole_program` does.
    """
    known = library_of(run.side.framework)
    if known is None:
        raise NotWrittenError(f"programs of {run.side.framework}")
    parts = program_parts(run.job, run.program, run.side.framework)
    program = _Program(run=run, parts=parts, splits=("train",), arrays_file="")
    blocks = [block.strip("\n") for block in _FORMS[known[1]](program) if block]
    last = next(place for place, block in enumerate(blocks) if block.startswith("def model()"))
    return known[1], blocks[: last + 1]


def _refuse_unwritten(parts: Sequence[Part]) -> None:
    """Raise NotWrittenError for what the parts say and such a file has no place for."""
    if any(part.place == "end" for part in parts):
        raise NotWrittenError("what is done after the training")
    layers = [re.escape(part.name) for part in parts if part.place == "layer"]
    code = "\n".join(part.code for part in parts if part.place in ("optimizer", "gradient"))
    if layers and re.search(rf"(?<![\w.])({'|'.join(layers)})(?![\w=])", code):
        raise NotWrittenError("an optimizer that treats layers differently")


@dataclass(frozen=True, kw_only=True)
class _Program:
    """The parts of a program, and what surrounds them."""

    run: PreparedRun
    parts: Sequence[Part]
    splits: tuple[str, ...]
    arrays_file: str | None

    def at(self, *places: str) -> str:
        """Return the code at these places, without the classes that it defines."""
        return "\n".join(filter(None, (_apart(part.code)[1] for part in self._parts(*places))))

    def of_model(self, *places: str) -> str:
        """Return the code at these places, where a layer is the model's."""
        layers = "|".join(re.escape(part.name) for part in self.parts if part.place == "layer")
        code = self.at(*places)
        return re.sub(rf"(?<![\w.])({layers})(?![\w=])", r"model.\1", code) if layers else code

    def classes(self, *places: str) -> list[str]:
        """Return the classes and functions that the code at these places defines, each once."""
        return list(dict.fromkeys(one for part in self._parts(*places) for one in _apart(part.code)[0]))

    def _parts(self, *places: str) -> list[Part]:
        return [part for part in self.parts if part.place in places]

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
        """Return the name of the last layer's output."""
        calls = self.at("call").splitlines()
        return calls[-1].partition(" = ")[0] if calls else "x"

    def calls(self) -> str:
        """Return the calls of the layers; one after the other they are all of `x`."""
        code = self.at("call")
        stages = self.run.program.stages
        if all(stage.sources == (place,) for place, stage in enumerate(stages)):
            for line in code.splitlines():
                code = re.sub(rf"\b{line.partition(' = ')[0]}\b", "x", code)
        return code

    def data(self) -> str:
        """Return the function that gives the data of a split."""
        if self.arrays_file is None:
            train = self.run.data.train
            lines = [f"x = np.array({_literal(train.x)})", f"y = np.array({_literal(train.y)})"]
            if train.weights is not None:
                lines.append(f"weight = np.array({_literal(train.weights)})")
            return _function('data(split="train")', [*lines, *self._rescaled(), f"return {self.given}"])
        names = [*("x", "y"), *(["weight"] if self.weighted else [])]
        read = ", ".join(f'arrays[f"{name}_{{split}}"]' for name in names)
        place = f"Path(__file__).with_name({python(self.arrays_file)})"
        lines = [f"with np.load({place}) as arrays:", f"    {self.given} = {read}"]
        return _function('data(split="train")', [*lines, *self._rescaled(), f"return {self.given}"])

    def _rescaled(self) -> list[str]:
        mean, scale = self.run.job.data.mean, self.run.job.data.scale
        if mean is None and scale is None:
            return []
        if isinstance(mean, Mapping) or isinstance(scale, Mapping):
            raise NotWrittenError("data.mean or data.scale by input")
        shifted = "x" if mean is None else f"(x - {_number(mean)})"
        return [f"x = {shifted}" if scale is None else f"x = {shifted} / {_number(scale)}"]

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


def _keras(program: _Program) -> list[str]:
    shape = python(tuple(program.run.data.input_shape))
    body = [f"x = inputs = keras.Input({shape})", program.at("layer"), program.calls()]
    output = "x" if "x = " in program.calls().splitlines()[-1][:4] else program.output
    body += [program.at("give"), f"return keras.Model(inputs, {output})"]
    rest = program.at("schedule", "batches", "fit")
    fitting = [*program.classes("schedule"), "model.compile(loss=loss_fn, optimizer=optimizer)", rest]
    ending = ["keras.utils.set_random_seed(0)", "network = model()"]
    ending.append("train(network, optimizer(network), *data())")
    ending += [
        f'print("{split} loss:", network.evaluate(*data("{split}"), verbose=0))'
        for split in program.splits[1:]
    ]
    ending += program.predicted("network.predict(rows, verbose=0)")
    libraries = ["import keras", "import numpy as np"]
    everything = "\n".join(part.code for part in program.parts)
    if re.search(r"\btf\.", everything):
        libraries.append("import tensorflow as tf")
    return [
        program.imports(*libraries),
        *program.classes("layer"),
        _function("model()", body),
        *program.classes("loss"),
        program.at("loss"),
        _function("loss(outputs, targets)", ["return loss_fn(targets, outputs)"]),
        *program.classes("optimizer"),
        _optimizer(program),
        program.data(),
        _function(f"train(model, optimizer, {program.given})", fitting),
        "\n".join(['if __name__ == "__main__":', indent("\n".join(ending), "    ")]),
    ]


def _torch(program: _Program) -> list[str]:
    own = [part.name for part in program.parts if part.place == "layer"]

    def of_self(code: str) -> str:
        return (
            re.sub(rf"(?<![\w.\"])({'|'.join(map(re.escape, own))})(?![\w=])", r"self.\1", code)
            if own
            else code
        )

    calls = of_self(program.calls())
    output = "x" if calls.splitlines()[-1].startswith("x = ") else program.output
    making = [
        "super().__init__()",
        *map(of_self, (program.at("layer"), program.at("draw"), program.at("give"))),
    ]
    network = "\n\n".join(
        [
            "class Net(nn.Module):",
            indent(_function("__init__(self)", making), "    "),
            indent(_function("forward(self, x)", [calls, f"return {output}"]), "    "),
        ]
    ).replace("Module):\n\n", "Module):\n", 1)
    whole, losses = program.at("loss"), program.classes("loss")
    losses = [one.replace("def loss_fn(output, target", "def loss(outputs, targets", 1) for one in losses]
    if whole:
        losses += [whole, _function("loss(outputs, targets)", ["return loss_fn(outputs, targets)"])]
    else:
        losses = [_renamed(one) for one in losses]
    return [
        program.imports("import numpy as np", "import torch", "from torch import nn"),
        *program.classes("layer"),
        network,
        _function("model()", ["return Net()"]),
        *losses,
        *program.classes("optimizer"),
        _optimizer(program),
        program.data(),
        _function(f"tensors({program.given})", _tensors(program)),
        _function("train(model, optimizer, *samples)", _loop(program)),
        "\n".join(['if __name__ == "__main__":', indent("\n".join(_torch_ending(program)), "    ")]),
    ]


def _renamed(function: str) -> str:
    """Return a loss of the names that a port's side has."""
    return re.sub(r"\btarget\b", "targets", re.sub(r"\boutput\b", "outputs", function))


def _tensors(program: _Program) -> list[str]:
    task = program.run.job.loss.task
    kind = "torch.long" if task == "multiclass" else "torch.get_default_dtype()"
    made = ["torch.tensor(x, dtype=torch.get_default_dtype())", f"torch.tensor(y, dtype={kind})"]
    if program.weighted:
        made.append("torch.tensor(weight, dtype=torch.get_default_dtype())")
    return [f"return {', '.join(made)}"]


def _loop(program: _Program) -> list[str]:
    inner = [
        "optimizer.zero_grad()",
        "batch_loss = loss(model(x), y, weight)" if program.weighted else "batch_loss = loss(model(x), y)",
        *_penalty(program),
        "batch_loss.backward()",
        program.at("gradient"),
        "optimizer.step()",
        program.of_model("after_step"),
        "total, count = total + batch_loss.item() * len(x), count + len(x)",
    ]
    if not program.run.job.training.report_penalty and program.at("penalty"):
        raise NotWrittenError("training.report_penalty")
    after = re.sub(r"\bloss\b", "epoch_loss", program.at("after_epoch"))
    if "validation_loss" in after:
        raise NotWrittenError("a learning rate that follows the validation loss")
    epoch = [
        "model.train()",
        "total, count = 0.0, 0",
        f"for {program.given} in loader:",
        indent("\n".join(filter(None, inner)), "    "),
        "epoch_loss = total / count",
        SAYS_EPOCH,
        after,
    ]
    return [
        "dataset = torch.utils.data.TensorDataset(*samples)",
        program.at("batches", "fit"),
        *program.classes("schedule"),
        program.at("schedule"),
        "for epoch in range(epochs):",
        indent("\n".join(filter(None, epoch)), "    "),
    ]


def _penalty(program: _Program) -> list[str]:
    """Return the lines that add the regularizers' penalty to a batch's loss."""
    return [re.sub(r"\bloss\b", "batch_loss", program.of_model("penalty"))]


def _torch_ending(program: _Program) -> list[str]:
    lines = ["torch.manual_seed(0)", "network = model()"]
    lines.append("train(network, optimizer(network), *tensors(*data()))")
    wanted = []
    for split in program.splits[1:]:
        wanted.append(f'{program.given} = tensors(*data("{split}"))')
        wanted.append(f'print("{split} loss:", loss(network(x), {program.given[3:]}).item())')
    wanted += program.predicted("network(torch.tensor(rows, dtype=torch.get_default_dtype())).numpy()")
    if wanted:
        lines += ["network.eval()", "with torch.no_grad():", indent("\n".join(wanted), "    ")]
    return lines


def _optimizer(program: _Program) -> str:
    code = program.at("optimizer")
    *before, last = code.splitlines()
    if last.startswith("optimizer = "):
        return _function("optimizer(model)", [*before, f"return {last.removeprefix('optimizer = ')}"])
    return _function("optimizer(model)", [code, "return optimizer"])


def _function(signature: str, body: Sequence[str]) -> str:
    return "\n".join([f"def {signature}:", indent("\n".join(filter(None, body)), "    ")])


def _apart(code: str) -> tuple[list[str], str]:
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


def _arrays(splits: dict[str, Arrays]) -> dict[str, NDArray[Any]]:
    found: dict[str, NDArray[Any]] = {}
    for split, part in splits.items():
        found |= {f"x_{split}": part.x, f"y_{split}": part.y}
        if part.weights is not None:
            found[f"weight_{split}"] = part.weights
    return found


def _literal(array: NDArray[Any]) -> str:
    return repr(np.asarray(array).tolist())


def _number(value: Any) -> str:
    return python(value) if isinstance(value, int | float) else f"np.array({list(value)!r})"


_FORMS: dict[str, Callable[[_Program], list[str]]] = {"functional": _keras, "module": _torch}
