"""Rules on one of several outputs: its loss and the layer that gives it, written with other words. Pure.

Each rule takes the reference's form and the other's, and returns both in one wording, or None where it does
not apply. The other's job takes on the reference's words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from likewise.producer.wording.form import Facts, Form, Scale
from likewise.producer.wording.functions import last_word
from likewise.producer.wording.heads import SQUASHED
from likewise.producer.wording.layers import HAVE_ACTIVATIONS, Forms
from likewise.shared.job import Job
from likewise.shared.job.loss import Loss
from likewise.shared.job.several import Losses


def of_each(rule: Callable[[Form, Form], Forms | None]) -> Callable[[Form, Form], Forms | None]:
    """Return a rule on a loss alone as one on the loss of each output."""

    def every(reference: Form, other: Form) -> Forms | None:
        changed = other
        for name, _, theirs in _pairs(reference, other):
            found = rule(_alone(reference, name), _alone(changed, name))
            if found is not None:
                loss = found[1].document["loss"]
                changed = _with_loss(changed, name, {**loss, "weight": theirs.weight})
        return None if changed is other else (reference, changed)

    return every


def heads(reference: Form, other: Form) -> Forms | None:
    """Write each output's head as the reference does: probabilities and their loss, or logits and theirs."""
    mine, theirs = reference, other
    for name, loss, others in _pairs(reference, other):
        if loss.type != others.type or loss.type not in SQUASHED:
            continue
        squash: Any = SQUASHED[loss.type]
        heads = [_head(form, name) for form in (reference, other)]
        logits = [_is(head, "linear", from_logits=True) for head in heads]
        squashed = [_is(head, squash, from_logits=False) for head in heads]
        if logits[1] and squashed[0]:
            theirs = _on_scale(_with_head(theirs, name, squash, from_logits=False), name, squash)
        elif squashed[1] and logits[0]:
            mine = _on_scale(mine, name, squash)
            theirs = _with_head(theirs, name, "linear", from_logits=True)
    return None if theirs is other else (mine, theirs)


def _pairs(reference: Form, other: Form) -> Iterator[tuple[str, Loss, Loss]]:
    """Yield each output that both have, with its losses."""
    mine, theirs = reference.job.loss, other.job.loss
    if isinstance(mine, Losses) and isinstance(theirs, Losses):
        for name, loss in mine.root.items():
            if name in theirs.root:
                yield name, loss, theirs.root[name]


def _alone(form: Form, name: str) -> Form:
    """Return a form whose job has the loss of one output, of a layer alone; of its data nothing is known."""
    document = form.document
    model = {"layers": [{"type": "dense", "units": 1}]}
    only = {"model": model, "loss": {**document["loss"][name], "weight": 1.0}, "metrics": None}
    return Form(job=Job.model_validate({**document, **only}), facts=Facts())


def _with_loss(form: Form, name: str, loss: dict[str, Any]) -> Form:
    document = form.document
    return form.with_job({**document, "loss": {**document["loss"], name: loss}})


def _place(form: Form, name: str) -> int:
    return next(place for place, layer in enumerate(form.job.model.layers) if layer.name == name)


def _head(form: Form, name: str) -> tuple[str, bool] | None:
    """Return an output's activation, and whether its loss takes logits; None for a layer without one."""
    layer = form.job.model.layers[_place(form, name)]
    activation = getattr(layer, "activation", None)
    penalized = layer.activity_regularizer is not None  # of probabilities or of logits
    if activation is None or penalized or layer.type not in (*HAVE_ACTIVATIONS, "activation"):
        return None
    return last_word(form, _place(form, name)), bool(getattr(form.job.losses[name], "from_logits", True))


def _is(head: tuple[str, bool] | None, activation: str, *, from_logits: bool) -> bool:
    return head == (activation, from_logits)


def _with_head(form: Form, name: str, activation: str, *, from_logits: bool) -> Form:
    changed = form.with_layer(_place(form, name), activation={"type": activation})
    return changed.with_loss(name, from_logits=from_logits)


def _on_scale(form: Form, name: str, scale: Scale) -> Form:
    """Return the form whose numbers of one output are read on a scale."""
    program = form.program
    columns = next((one.columns for one in program.outputs if one.name == name), None) if program else None
    if columns is None:
        raise LookupError(f"where the output {name} lies")
    return form.read(scales=(*form.reading.scales, (columns, scale)))
