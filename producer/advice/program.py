"""The plain program of a job in a framework, part by part: stock layers, loss, optimizer and loop.

What a framework calls a thing is in its template, `programs/<framework>.j2`; here stands what it is told.
A part is a few lines of Python at one place of the program. In them a layer is a variable of the user's name
for it, or `layer_<index>`, its output is `x_<that>`, the model's input is `x`, and the whole is `model`,
`loss_fn`, `optimizer`. The given initial weights are `weights`, by the names of `initial_weights`, in Keras's
layouts.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np

from likewise.producer.advice.layer_view import LayerView, variable
from likewise.shared.job import Job
from likewise.shared.job.data import is_weighted
from likewise.shared.job.loss import is_by_row
from likewise.shared.job.weights import GivenWeights, NpzWeights
from likewise.shared.program import ProgramSpec, Weight
from likewise.shared.program.groups import decaying
from likewise.shared.program.spec import ModelOutput

PLACES = {
    "first": "Before all else",
    "layer": "Where the layers are made",
    "draw": "Once, after the model is made",
    "give": "Once, before training, with the other's arrays as weights",
    "call": "Where the layers are called",
    "loss": "As the loss",
    "optimizer": "As the optimizer",
    "schedule": "After the optimizer",
    "penalty": "Before loss.backward()",
    "gradient": "Between loss.backward() and optimizer.step()",
    "after_step": "After each optimizer.step()",
    "after_epoch": "After each epoch",
    "end": "After the training",
    "evaluation": "Before each evaluation",
    "batches": "Where the batches are made",
    "fit": "For the training",
}
"""The places of a program, in its order, as a heading names them."""


class NotWrittenError(Exception):
    """A template cannot write what a job asks; the message is what it cannot."""


@dataclass(frozen=True)
class Part:
    """Lines at one place; `name` says which of several there: a layer's variable, or a weight's name."""

    place: str
    name: str
    code: str


def program_parts(
    job: Job, program: ProgramSpec, framework: str, *, shown: Sequence[str] = ()
) -> tuple[Part, ...]:
    """Return the program of a job; empty for a framework that has no template.

    `shown` are fields of layers that are written though they have the framework's default.
    Raises NotWrittenError for what no code of the framework does in these few lines.
    """
    template = _template(framework)
    if template is None:
        return ()
    view = JobView(job=job, program=program)
    stages = tuple(_views(view, framework, template, frozenset(shown)))
    view = replace(view, layers=stages)
    parts = [Part("first", "", template.first(view)), Part("give", "weights", _given_weights(job))]
    several = len(program.outputs) > 1
    for stage in stages[:-1] if several else stages:  # the last lays several outputs side by side
        parts.append(Part("layer", stage.var, getattr(template, stage.kind)(stage)))
        parts.append(Part("layer", f"{stage.var}_activation", template.after(stage)))
        parts.append(Part("layer", f"{stage.var}_frozen", template.frozen(stage)))
        parts.append(Part("layer", f"{stage.var}_stays", template.stays(stage)))
        parts.append(Part("call", stage.var, template.call(stage)))
        parts.append(Part("call", f"{stage.var}_frozen", template.after_call(stage)))
        if job.initial_weights.type in ("shared", "initializers"):
            parts += [Part("draw", weight.name, template.draw(stage, weight)) for weight in stage.drawn]
        if stage.given:
            parts.append(Part("give", stage.var, template.give(stage)))
    if several:
        parts += _losses(view, template)
    for place in PLACES:
        apart = ("first", "layer", "draw", "give", "call", *(["loss"] if several else []))
        if place not in apart:
            parts.append(Part(place, "", getattr(template, place)(view)))
    written = (Part(part.place, part.name, _tidy(part.code)) for part in parts)
    return tuple(sorted((one for one in written if one.code), key=lambda one: [*PLACES].index(one.place)))


def _losses(view: JobView, template: Any) -> Iterator[Part]:
    """Yield the loss of each of several outputs under a name of its own, and what is made of them."""
    for output in view.program.outputs:
        name = variable(output.name)
        code = re.sub(r"\bloss_fn\b", f"loss_{name}", str(template.loss(replace(view, output=output))))
        yield Part("loss", name, re.sub(r"\bOwnLoss\b", f"LossOf{name.title().replace('_', '')}", code))
    yield Part("loss", "", template.losses(view))


def channels_first(job: Job, program: ProgramSpec, framework: str) -> frozenset[str]:
    """Return the paths of the layers whose input has the channels before the other axes."""
    views = _views(JobView(job=job, program=program), framework, _template(framework), frozenset())
    return frozenset(one.stage.path for one in views if one.first and len(one.shape) > 1)


def library_of(framework: str) -> tuple[str, str] | None:
    """Return what a framework's programs are written in, and whether a model is a `module` or `functional`.

    None for a framework that has no template.
    """
    template = _template(framework)
    return None if template is None else (str(template.library), str(template.form))


@dataclass(frozen=True, kw_only=True)
class JobView:
    """What a template asks of a job beside its layers."""

    job: Job
    program: ProgramSpec
    layers: tuple[LayerView, ...] = ()
    output: ModelOutput | None = None
    """The output that is looked at; None for an only one, and for all of them."""

    @property
    def spared(self) -> list[tuple[LayerView, Weight]]:
        """Return the weights that training changes and that do not decay, each with its layer."""
        decays = decaying(self.program, self.job.optimizer)
        every = ((layer, weight) for layer in self.layers for weight in layer.weights)
        decayed = bool(self.job.optimizer.weight_decay)
        return [(layer, weight) for layer, weight in every if decayed and not decays.get(weight.name, True)]

    @property
    def loss(self) -> Any:
        """Return the loss of the job, or of the output."""
        return self.job.loss if self.output is None else self.job.losses[self.output.name]

    @property
    def losses(self) -> list[tuple[str, str, float]]:
        """Return the name of each output, the variable that its loss has, and what it counts."""
        return [
            (one.name, f"loss_{variable(one.name)}", self.job.losses[one.name].weight)
            for one in self.program.outputs
        ]

    @property
    def optimizer(self) -> Any:
        """Return the optimizer of the job."""
        return self.job.optimizer

    @property
    def training(self) -> Any:
        """Return how it trains."""
        return self.job.training

    @property
    def schedule(self) -> Any:
        """Return the schedule; None for a rate that stays."""
        return self.job.optimizer.schedule

    @property
    def uncorrected(self) -> bool:
        """Return whether the optimizer takes its moments without bias correction."""
        return not getattr(self.job.optimizer, "bias_correction", True)

    @property
    def changing_rate(self) -> bool:
        """Return whether the learning rate changes."""
        return self.schedule is not None

    @property
    def weighted(self) -> bool:
        """Return whether samples have weights."""
        return is_weighted(self.job.data)

    @property
    def by_row(self) -> bool:
        """Return whether the loss has one element a sample."""
        return is_by_row(self.loss)

    @property
    def task(self) -> str:
        """Return what the targets are."""
        return str(self.loss.task)

    @property
    def aligned(self) -> bool:
        """Return whether each output meets its own target alone."""
        return getattr(self.loss, "targets", "aligned") == "aligned"

    @property
    def from_logits(self) -> bool:
        """Return whether the outputs are what the loss takes by itself."""
        return bool(getattr(self.loss, "from_logits", True))

    @property
    def outputs(self) -> int:
        """Return how many outputs a sample has."""
        return math.prod(self.program.output_shape) if self.output is None else self.output.width

    @property
    def softened(self) -> bool:
        """Return whether a softmax or sigmoid ends the model, and the loss takes logits nevertheless."""
        last = (self.output or self.program.outputs[0]).last_activation
        return hasattr(self.loss, "from_logits") and self.from_logits and last in ("softmax", "sigmoid")

    @property
    def weights_in_the_loss(self) -> bool:
        """Return whether each of several outputs is weighted by its own target's class."""
        several = self.output is not None or self.outputs > 1
        return several and bool(self._class_weights) and not self.by_row

    @property
    def class_weight(self) -> dict[int, float]:
        """Return the weight of each class of a sample; empty where none is declared."""
        return {} if self.weights_in_the_loss else dict(enumerate(self._class_weights))

    @property
    def _class_weights(self) -> Sequence[float]:
        return getattr(self.loss, "class_weights", None) or ()

    @property
    def paired_biases(self) -> list[tuple[str, str]]:
        """Return the GRUs whose two biases are one tensor in Keras: variable, and `_reverse` or nothing."""
        found = []
        for stage in self.program.stages:
            cell = getattr(stage.layer, "layer", stage.layer) if stage.cells else None
            if cell is not None and cell.type == "gru" and cell.use_bias and cell.reset_after:
                found += [(variable(stage.path), end) for end in ("", "_reverse")[: len(stage.cells)]]
        return found

    @property
    def packs_kernels(self) -> bool:
        """Return whether there is attention."""
        return any(stage.kind == "multi_head_attention" for stage in self.program.stages)

    @property
    def rate(self) -> str:
        """Return a function of the learning rate, in Python."""
        return rate_function(self.job.optimizer)


def rate_function(optimizer: Any) -> str:
    """Return `rate(t)` in Python: the learning rate of the update t, or of the epoch, counted from 0."""
    schedule, rate = optimizer.schedule, python(optimizer.learning_rate)
    t = "t" if schedule.offset == 0 else f"max(t + {schedule.offset}, 0)"
    lines = [f"def rate(t):  # t counts {'epochs' if schedule.per == 'epoch' else 'updates'} from 0"]
    if schedule.offset:
        lines.append(f"    t = {t}")
    lines += _formula(schedule, rate)
    if schedule.warmup:
        start = schedule.warmup_start
        rising = (
            f"(t + 1) / {schedule.warmup + 1}"
            if start is None
            else f"({python(start)} + {python(1.0 - start)} * t / {schedule.warmup})"
        )
        lines.append(f"    if t < {schedule.warmup}:")
        lines.append(f"        value = value * {rising}")
    return "\n".join([*lines, "    return value"])


def _formula(schedule: Any, rate: str) -> Iterator[str]:
    match schedule.type:
        case "constant":
            yield f"    value = {rate}"
        case "step":
            yield f"    value = {rate} * {python(schedule.gamma)} ** (t // {schedule.step_size})"
        case "exponential":
            yield f"    value = {rate} * {python(schedule.decay_rate)} ** (t / {schedule.decay_steps})"
        case "cosine":
            yield f"    share = min(t, {schedule.decay_steps}) / {schedule.decay_steps}"
            yield _cosine(schedule, rate)
        case "cosine_restarts":
            yield f"    passed, cycle = t, {schedule.decay_steps}"
            yield "    while passed >= cycle:"
            yield f"        passed, cycle = passed - cycle, cycle * {schedule.growth}"
            yield "    share = passed / cycle"
            yield _cosine(schedule, rate)
        case "polynomial":
            end = python(schedule.end_learning_rate)
            yield f"    left = 1 - min(t, {schedule.decay_steps}) / {schedule.decay_steps}"
            yield f"    value = {end} + ({rate} - {end}) * left ** {python(schedule.power)}"
        case "piecewise":
            sign = ">=" if schedule.boundary == "before" else ">"
            passed = f"sum(t {sign} boundary for boundary in {list(schedule.boundaries)})"
            yield f"    value = {[float(value) for value in schedule.values]}[{passed}]"
        case _:
            raise NotWrittenError(f"a schedule of the kind {schedule.type}")


def _cosine(schedule: Any, rate: str) -> str:
    low = python(schedule.alpha)
    return f"    value = {rate} * ({low} + {python(1.0 - schedule.alpha)} * (1 + np.cos(np.pi * share)) / 2)"


def python(value: Any) -> str:
    """Return a value as it is written in Python, strings in double quotes."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, float):
        return repr(float(f"{value:.15g}"))
    if isinstance(value, tuple | list) and any(isinstance(item, float) for item in value):
        inside = ", ".join(map(python, value))
        return f"[{inside}]" if isinstance(value, list) else f"({inside})"
    return repr(value)


MOST_NUMBERS = 200
"""Given weights of more numbers are not written into a program."""


def _given_weights(job: Job) -> str:
    """Return `weights` as the job file gives them; nothing where they are drawn."""
    given = job.initial_weights
    if isinstance(given, NpzWeights):
        return f"weights = np.load({python(given.path)})"
    if not isinstance(given, GivenWeights):
        return ""
    if sum(np.size(numbers) for numbers in given.weights.values()) > MOST_NUMBERS:
        raise NotWrittenError("as many numbers as are given")
    lines = [
        f"    {python(name)}: np.array({np.asarray(numbers, np.float64).tolist()}),"
        for name, numbers in given.weights.items()
    ]
    return "\n".join(["weights = {", *lines, "}"])


def _views(view: JobView, framework: str, template: Any, shown: frozenset[str]) -> Iterator[LayerView]:
    """Yield each layer with its inputs as the framework's layer takes them: channels first, or last."""
    given = view.job.initial_weights
    names = frozenset(given.weights) if isinstance(given, GivenWeights) else None
    outputs, firsts = ["x"], [False]
    shapes = [view.program.input_shape, *(stage.output for stage in view.program.stages)]
    for stage in view.program.stages:
        wants_first = stage.kind in template.channels_first and len(stage.inputs[0]) > 1
        mine = firsts[stage.sources[0]]
        first = mine if stage.kind in template.any_layout else wants_first
        ins = []
        for place, shape in zip(stage.sources, stage.inputs, strict=True):
            name = outputs[place]
            if len(shape) > 1 and firsts[place] != first:
                name = template.to_first(name) if first else template.to_last(name)
            ins.append(str(name))
        told = [
            _counted(outputs[one.place], firsts[one.place], one.value, template, axes=len(shapes[one.place]))
            for one in stage.padding
        ]
        layer = LayerView(stage, framework, first, tuple(ins), shown, names, " | ".join(told) or None)
        yield layer
        outputs.append(layer.out)
        firsts.append(first and len(stage.output) > 1)


def _counted(name: str, first: bool, value: float, template: Any, *, axes: int) -> str:
    """Return which steps count, from the numbers that say which are padding."""
    here = template.to_last(name) if first else name
    return f"({here} != {python(value)})" + (".any(dim=-1)" if axes > 1 else "")


def _tidy(code: str) -> str:
    """Return code without empty lines at its ends and blanks at the ends of lines."""
    lines = "\n".join(line.rstrip() for line in code.splitlines()).strip("\n")
    while "\n\n\n" in lines:
        lines = lines.replace("\n\n\n", "\n\n")
    return lines


@cache
def _template(framework: str) -> Any:
    from jinja2 import Environment, select_autoescape

    file = files("likewise.producer.advice").joinpath("programs", f"{framework}.j2")
    if not file.is_file():
        return None
    environment = Environment(  # what it writes is Python
        autoescape=select_autoescape((), default_for_string=False), extensions=["jinja2.ext.do"]
    )
    environment.filters |= {"tuple": tuple, "py": python}
    environment.filters["complement"] = lambda value: python(float(f"{1 - value:.12g}"))
    environment.globals["cannot"] = _cannot
    return environment.from_string(file.read_text(encoding="utf-8")).module


def _cannot(what: Any) -> str:
    raise NotWrittenError(str(what))
