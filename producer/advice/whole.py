"""A whole plain program of a job: model, loss, optimizer, data and loop, as `likewise code` prints it.

It is the program whose parts advice is made of, put together as a file that runs by itself. Its functions
`model`, `loss` and `optimizer` are those of a port's side, so `likewise port check` proves it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from textwrap import indent
from typing import Any

from numpy.typing import NDArray

from likewise.producer.advice.pieces import Pieces, function
from likewise.producer.advice.program import NotWrittenError, Part, library_of, program_parts, python
from likewise.producer.data.prepare import Arrays, PreparedRun
from likewise.shared.draws import draw_weights
from likewise.shared.job import Job
from likewise.shared.job.weights import GivenWeights, InitializerWeights, NpzWeights, SharedWeights

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


def whole_program(run: PreparedRun, *, name: str, arrays_file: str, seed: int | None = None) -> WholeProgram:
    """Return the program of a side's job, which reads its data from `arrays_file` where they are many.

    With `seed` it starts as all sides do with that seed, and those weights are in the file, too.
    Raises NotWrittenError for what no plain program of the framework does, or is not written yet.
    """
    start = {} if seed is None else drawn_start(run, seed)
    if start:
        given = NpzWeights(type="npz", path=arrays_file)
        run = replace(run, job=run.job.model_copy(update={"initial_weights": given}))
    written = assembled(run, whole_parts(run), name=name, arrays_file=arrays_file)
    if not start:
        return written
    read = f"np.load({python(arrays_file)})"
    beside = f"np.load(Path(__file__).with_name({python(arrays_file)}))"
    return WholeProgram(code=written.code.replace(read, beside), arrays={**written.arrays, **start})


def drawn_start(run: PreparedRun, seed: int) -> dict[str, NDArray[Any]]:
    """Return the weights that all sides of a job start from by name; none where each draws its own, or they
    are given in the job.
    """
    declared = run.job.initial_weights
    if not isinstance(declared, SharedWeights | InitializerWeights):
        return {}
    precision = run.job.precision if run.job.precision in ("float32", "float64") else "float32"
    own = seed if declared.seed is None else declared.seed
    return draw_weights(run.program, seed=own, precision=precision)


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
    in_the_file = run.job.initial_weights == NpzWeights(type="npz", path=arrays_file)
    written_in = (
        not in_the_file and len(splits) == 1 and run.data.train.x.size + run.data.train.y.size <= MOST_WRITTEN
    )
    arrays = {} if written_in else _arrays(splits)
    file = None if written_in else arrays_file
    program = Pieces(run=run, parts=parts, splits=tuple(splits), arrays_file=file)
    title = f'"""{name}: a plain {library} program, written by `likewise code`.{_start_of(run.job)}"""'
    imports, *blocks = (block.strip("\n") for block in _FORMS[form](program) if block)
    return WholeProgram(code="\n\n\n".join([f"{title}\n\n{imports}", *blocks]) + "\n", arrays=arrays)


def _start_of(job: Job) -> str:
    """Return what a program says of its initial weights, where they are not those of the other sides."""
    if not isinstance(job.initial_weights, SharedWeights | InitializerWeights):
        return ""
    return (
        "\n\nIt draws its own initial weights, by the job's rules; "
        "likewise code --shared-start writes\nthose that all sides start from.\n"
    )


def model_blocks(run: PreparedRun) -> tuple[str, list[str]]:
    """Return the form of a program, and its blocks up to the function `model()`, the imports first.

    Raises NotWrittenError as `whole_program` does.
    """
    known = library_of(run.side.framework)
    if known is None:
        raise NotWrittenError(f"programs of {run.side.framework}")
    parts = program_parts(run.job, run.program, run.side.framework)
    program = Pieces(run=run, parts=parts, splits=("train",), arrays_file="")
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


def _keras(program: Pieces) -> list[str]:
    shape = python(tuple(program.run.data.input_shape))
    body = [f"x = inputs = keras.Input({shape})", program.at("layer"), program.calls()]
    body += [program.at("give"), f"return keras.Model(inputs, {program.output})"]
    rest = program.at("schedule", "batches", "fit")
    fitting = [*program.classes("schedule"), _compiled(program), rest]
    ending = ["keras.utils.set_random_seed(0)", "network = model()"]
    ending.append("train(network, optimizer(network), *data())")
    first = "[0]" if program.outputs else ""  # of several outputs it gives each loss behind the sum
    ending += [
        f'print("{split} loss:", network.evaluate(*data("{split}"), verbose=0){first})'
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
        function("model()", body),
        *program.classes("loss"),
        program.at("loss"),
        function("loss(outputs, targets)", [_keras_loss(program)]),
        *program.classes("optimizer"),
        _optimizer(program),
        program.data(),
        function(f"train(model, optimizer, {program.given})", fitting),
        "\n".join(['if __name__ == "__main__":', indent("\n".join(ending), "    ")]),
    ]


def _compiled(program: Pieces) -> str:
    weights = "loss_weights=loss_weights, " if program.outputs else ""
    return f"model.compile(loss=loss_fn, {weights}optimizer=optimizer)"


def _keras_loss(program: Pieces) -> str:
    if not program.outputs:
        return "return loss_fn(targets, outputs)"
    return (
        "return sum(loss_weights[name] * one(targets[name], outputs[name]) for name, one in loss_fn.items())"
    )


def _torch(program: Pieces) -> list[str]:
    own = [part.name for part in program.parts if part.place == "layer"]

    def of_self(code: str) -> str:
        return (
            re.sub(rf"(?<![\w.\"])({'|'.join(map(re.escape, own))})(?![\w=])", r"self.\1", code)
            if own
            else code
        )

    calls = of_self(program.calls())
    making = [
        "super().__init__()",
        *map(of_self, (program.at("layer"), program.at("draw"), program.at("give"))),
    ]
    network = "\n\n".join(
        [
            "class Net(nn.Module):",
            indent(function("__init__(self)", making), "    "),
            indent(function("forward(self, x)", [calls, f"return {program.output}"]), "    "),
        ]
    ).replace("Module):\n\n", "Module):\n", 1)
    whole, losses = program.at("loss"), program.classes("loss")
    losses = [one.replace("def loss_fn(output, target", "def loss(outputs, targets", 1) for one in losses]
    if program.outputs:
        losses = [*filter(None, [whole]), *(one.replace("def loss_fn(", "def loss(", 1) for one in losses)]
    elif whole:
        losses += [whole, function("loss(outputs, targets)", ["return loss_fn(outputs, targets)"])]
    else:
        losses = [_renamed(one) for one in losses]
    return [
        program.imports("import numpy as np", "import torch", "from torch import nn"),
        *program.classes("layer"),
        network,
        function("model()", ["return Net()"]),
        *losses,
        *program.classes("optimizer"),
        _torch_optimizer(program),
        program.data(),
        function(f"tensors({program.given})", _tensors(program)),
        function("train(model, optimizer, *samples)", _loop(program)),
        "\n".join(['if __name__ == "__main__":', indent("\n".join(_torch_ending(program)), "    ")]),
    ]


def _renamed(function: str) -> str:
    """Return a loss of the names that a port's side has."""
    return re.sub(r"\btarget\b", "targets", re.sub(r"\boutput\b", "outputs", function))


def _tensors(program: Pieces) -> list[str]:
    made = ["torch.tensor(x, dtype=torch.get_default_dtype())"]
    for name, loss in program.run.job.losses.items():
        kind = "torch.long" if loss.task == "multiclass" else "torch.get_default_dtype()"
        made.append(f"torch.tensor(y{f'[{python(name)}]' if program.outputs else ''}, dtype={kind})")
    if program.weighted:
        made.append("torch.tensor(weight, dtype=torch.get_default_dtype())")
    return [f"return {', '.join(made)}"]


def _loop(program: Pieces) -> list[str]:
    inner = [
        "optimizer.zero_grad()",
        "batch_loss = loss(model(x), y, weight)" if program.weighted else "batch_loss = loss(model(x), y)",
        *_penalty(program),
        "batch_loss.backward()",
        "optimizer.step()",
        _SCHEDULER if _SCHEDULER in program.at("after_step") else "",
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
        f"for {_given(program)} in loader:",
        indent("\n".join(filter(None, [*_named_targets(program), *inner])), "    "),
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


_SCHEDULER = "scheduler.step()"


def _torch_optimizer(program: Pieces) -> str:
    """Return the function that makes an optimizer, with what Keras's optimizers do themselves around a step.

    That stands in hooks, so that whoever steps has it: the loop, or `likewise port check`.
    """
    before, after = program.at("gradient"), program.of_model("after_step").replace(_SCHEDULER, "").strip()
    if not (before or after):
        return _optimizer(program)
    body = [program.at("optimizer")]
    for name, kind, code in (("before_step", "pre", before), ("after_step", "post", after)):
        if code:
            body.append(f"\n{function(f'{name}(*_)', [code])}\n")
            body.append(f"optimizer.register_step_{kind}_hook({name})")
    return function("optimizer(model)", [*body, "return optimizer"])


def _given(program: Pieces) -> str:
    """Return the names of what `tensors` gives: of several outputs, each one's targets."""
    return program.given.replace("y", "*each", 1) if program.outputs else program.given


def _named_targets(program: Pieces) -> list[str]:
    """Return the line that names the targets of several outputs."""
    if not program.outputs:
        return []
    names = ", ".join(map(python, program.run.job.losses))
    return [f"y = dict(zip(({names}), each))"]


def _penalty(program: Pieces) -> list[str]:
    """Return the lines that add the regularizers' penalty to a batch's loss."""
    code = re.sub(r"\bloss\b", "batch_loss", program.of_model("penalty"))
    for name in program.penalized:
        code = re.sub(rf"\b{name}\b", f"model.{name}", code)
    return [code]


def _torch_ending(program: Pieces) -> list[str]:
    lines = ["torch.manual_seed(0)", "network = model()"]
    lines.append("train(network, optimizer(network), *tensors(*data()))")
    wanted = []
    for split in program.splits[1:]:
        wanted += [f'{_given(program)} = tensors(*data("{split}"))', *_named_targets(program)]
        wanted.append(f'print("{split} loss:", loss(network(x), {program.given[3:]}).item())')
    outputs = "network(torch.tensor(rows, dtype=torch.get_default_dtype()))"
    wanted += program.predicted(outputs if program.outputs else f"{outputs}.numpy()")
    if wanted:
        lines += ["network.eval()", "with torch.no_grad():", indent("\n".join(wanted), "    ")]
    return lines


def _optimizer(program: Pieces) -> str:
    code = program.at("optimizer")
    *before, last = code.splitlines()
    if last.startswith("optimizer = "):
        return function("optimizer(model)", [*before, f"return {last.removeprefix('optimizer = ')}"])
    return function("optimizer(model)", [code, "return optimizer"])


def _arrays(splits: dict[str, Arrays]) -> dict[str, NDArray[Any]]:
    found: dict[str, NDArray[Any]] = {}
    for split, part in splits.items():
        found |= {f"x_{split}": part.x, f"y_{split}": part.y}
        if part.weights is not None:
            found[f"weight_{split}"] = part.weights
    return found


_FORMS: dict[str, Callable[[Pieces], list[str]]] = {"functional": _keras, "module": _torch}
