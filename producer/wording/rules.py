"""The rules on what computes the same in other words, in the order they are tried. Pure.

What a rule does stands in the module of its subject; here is what it says, and where it does not hold.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from likewise.producer.wording import (
    data,
    functions,
    gathering,
    grouped,
    heads,
    held,
    initializers,
    layers,
    losses,
    narrow,
    one_hot,
    outputs,
    reordered,
    synonyms,
    taken,
    training,
)
from likewise.producer.wording.form import Form
from likewise.producer.wording.layers import Forms
from likewise.shared.errors import LikewiseError


@dataclass(frozen=True, kw_only=True)
class Rule:
    """It says of some settings that other values of them compute the same."""

    says: str
    """Why, as a clause."""
    apply: Callable[[Form, Form], Forms | None]
    except_where: str | None = None
    """Where it does not hold, as a clause, if there is such a place."""
    sets_scale: bool = False
    """Whether outputs are compared on another scale for it."""
    of_numbers: bool = False
    """Whether it changes numbers that stay in the job."""
    of_one_loss: bool = False
    """Whether it is about the loss of an only output."""
    of_several: Callable[[Form, Form], Forms | None] | None = None
    """The same of each of several outputs; where there is none, it is not tried where there are several."""
    of_layers: bool = False
    """Whether it changes how many layers there are, so that a path names another layer afterwards."""
    loosely: Callable[[Form, Form], Forms | None] | None = None
    """The same where other layers may still be written otherwise, for a rule on how many layers there are."""
    may_leave: str | None = None
    """The setting that may differ after it and did not before: what is reported, of the same training."""


RULES = (
    Rule(says="the samples are the same arrays", apply=data.same_data),
    Rule(
        says="the samples are rescaled before they are stored, or as they are read",
        apply=data.rescaled_data,
        except_where="float32 rounds both in their last place",
    ),
    Rule(
        says="a dense layer without a bias gives for a row of one 1 the row of its kernel that an embedding "
        "looks up by the place of the 1",
        apply=one_hot.looked_up,
        loosely=one_hot.looked_up_loosely,
        of_layers=True,
    ),
    Rule(
        says="a window of one along an axis of one place does nothing there",
        apply=narrow.along_one_axis,
        loosely=narrow.along_one_axis_loosely,
        of_layers=True,
    ),
    Rule(
        says="a PReLU whose alphas all stay at one number is a leaky ReLU of that slope",
        apply=functions.fixed_alike,
        loosely=functions.fixed_loosely,
        of_layers=True,
    ),
    Rule(
        says="a function of each number by itself is the same before a layer that moves numbers, picks the "
        "largest or drops some, and behind it",
        apply=reordered.where_alike(reordered.earlier),
        loosely=reordered.loosely(reordered.earlier),
        except_where="several numbers of a window are equal only behind the function, and another of them "
        "has the gradient",
        of_layers=True,
    ),
    Rule(
        says="a convolution with a window of one before a global mean is a dense layer behind it",
        apply=reordered.where_alike(reordered.averaged),
        loosely=reordered.loosely(reordered.averaged),
        of_layers=True,
    ),
    Rule(
        says="a separable convolution is a depthwise one with a pointwise one behind it",
        apply=reordered.where_alike(reordered.joined),
        loosely=reordered.loosely(reordered.joined),
        of_layers=True,
    ),
    Rule(
        says="a convolution with a group a channel is a depthwise one",
        apply=grouped.by_channel,
        loosely=grouped.by_channel_loosely,
        of_layers=True,
    ),
    Rule(
        says="two poolings, or upsamplings, of windows side by side are one, and a row that becomes a "
        "step and is upsampled is repeated",
        apply=reordered.where_alike(reordered.widened),
        loosely=reordered.loosely(reordered.widened),
        except_where="several numbers of a window are the largest, and another of them has the gradient",
        of_layers=True,
    ),
    Rule(
        says="what is put together along one axis may be so in several steps",
        apply=reordered.side_by_side,
        loosely=reordered.side_by_side_loosely,
        of_layers=True,
    ),
    Rule(
        says="of what gives numbers another shape, or axes another order, one does what several do",
        apply=reordered.where_alike(reordered.ordered),
        loosely=reordered.loosely(reordered.ordered),
        of_layers=True,
    ),
    Rule(
        says="an activation is a layer of its own or belongs to the layer before it, and a layer that gives "
        "what it gets adds nothing",
        apply=layers.folded,
        loosely=layers.folded_loosely,
        of_layers=True,
    ),
    Rule(
        says="zeros at the edges are a layer of their own or padding of the layer behind them",
        apply=synonyms.padded_within,
        loosely=synonyms.padded_loosely,
        of_layers=True,
    ),
    Rule(
        says="a recurrent layer gives its last step by itself, or that is cut off its sequence",
        apply=taken.taken_alike("last step"),
        loosely=taken.taken_loosely("last step"),
        of_layers=True,
    ),
    Rule(
        says="a global pooling is a pooling over all of its input with a flatten behind it",
        apply=taken.taken_alike("pooling"),
        loosely=taken.taken_loosely("pooling"),
        except_where="several numbers of a window are the largest, whose gradient a global pooling shares "
        "out and another gives to the first",
        of_layers=True,
    ),
    Rule(
        says="layers that read the same compute the same wherever they are listed",
        apply=reordered.listed_alike,
        of_layers=True,
    ),
    Rule(says="a sum, a product and a mean have no order", apply=reordered.merged_alike),
    Rule(says="a layer's name is a handle and no part of the model", apply=layers.named_alike),
    Rule(
        says="labels are smoothed in the data or by the loss, and a divergence from them is the "
        "cross-entropy less a constant",
        apply=data.smoothed_targets,
    ),
    Rule(
        says="labels are smoothed in the data or by the loss",
        apply=data.smoothed_classes,
    ),
    Rule(
        says="a focal loss whose gamma is 0 is the cross-entropy",
        apply=losses.plain_focal,
        of_one_loss=True,
        of_several=outputs.of_each(losses.plain_focal),
    ),
    Rule(
        says="Tversky's loss of two halves is Dice",
        apply=losses.dice_is_tversky,
        of_one_loss=True,
        of_several=outputs.of_each(losses.dice_is_tversky),
    ),
    Rule(
        says="a mean that divides by the weights takes back what all of them are multiplied by",
        apply=losses.weighed_up_to_a_factor,
        of_one_loss=True,
        of_several=outputs.of_each(losses.weighed_up_to_a_factor),
    ),
    Rule(
        says="alpha weighs no class",
        apply=training.idle("loss.alpha", losses.balances_nothing),
        of_one_loss=True,
        of_several=outputs.of_each(training.idle("loss.alpha", losses.balances_nothing)),
    ),
    Rule(says="a hinge's targets are 0 and 1, or −1 and 1", apply=data.signed_targets, of_one_loss=True),
    Rule(
        says="classes are weighed by the loss or sample by sample",
        apply=data.weighted_samples,
    ),
    Rule(
        says="a softmax of the logarithms of a softmax is that softmax",
        apply=heads.logs_of_softmax,
        of_one_loss=True,
        sets_scale=True,
    ),
    Rule(
        says="the softmax or sigmoid stands in the model before a loss on probabilities, or in a loss on "
        "logits",
        apply=heads.head,
        of_one_loss=True,
        of_several=outputs.heads,
        sets_scale=True,
        except_where="probabilities are clipped to [1e-7, 1 − 1e-7], which logits are not",
        of_layers=True,
    ),
    Rule(says="both words are one layer", apply=synonyms.named_otherwise),
    Rule(says="one number stands for every axis and side", apply=layers.numbers_alike),
    Rule(says="every window stands in the same place", apply=layers.padded_alike),
    Rule(says="this layer is not frozen", apply=layers.frozen_alike),
    Rule(says="both words are one function", apply=functions.functions_alike),
    Rule(says="this flatten has only one order", apply=layers.flattened_alike),
    Rule(
        says="batch normalization takes off the mean, and with it any bias in front of it",
        apply=layers.bias_before_batch_norm,
    ),
    Rule(says="both words draw the same distribution", apply=initializers.drawn_alike),
    Rule(says="AdamW is Adam with decoupled decay", apply=training.adamw_is_adam),
    Rule(
        says="Adam without a first moment and without its corrections divides the gradient by RMSprop's root",
        apply=training.one_root,
    ),
    Rule(says="every update has the same learning rate", apply=training.same_rates),
    Rule(
        says="where a step is the learning rate times the gradient alone, decay in the gradient is decay of "
        "the weights",
        apply=training.idle("optimizer.weight_decay_kind", training.decay_is_plain),
    ),
    Rule(
        says="at one learning rate momentum gathers steps or gradients to the same",
        apply=training.idle("optimizer.momentum_convention", training.momentum_is_plain),
    ),
    Rule(says="the same weights decay", apply=training.same_groups),
    Rule(says="both keep the same weights within the same bounds", apply=held.held_alike),
    Rule(
        says="the gradient of an L2 penalty is a decay of twice as much",
        apply=held.decay_in_the_loss,
        may_leave="training.report_penalty",
    ),
    Rule(
        says="no penalty is in any loss",
        apply=training.idle("training.report_penalty", held.reports_no_penalty),
    ),
    Rule(
        says="a batch is taken whole, or in parts whose mean is the same",
        apply=gathering.gathered_alike,
        of_one_loss=True,
    ),
    *(
        Rule(says="no average of the weights is kept", apply=training.idle(path, training.keeps_no_average))
        for path in (
            "optimizer.ema_momentum",
            "optimizer.ema_start",
            "optimizer.ema_use",
            "optimizer.ema_buffers",
        )
    ),
    Rule(
        says="no layer tells training from evaluation",
        apply=training.idle("training.evaluation_mode", training.knows_no_mode),
    ),
    Rule(
        says="every group is of equal batches",
        apply=training.idle("training.accumulation", gathering.gathers_evenly),
        of_one_loss=True,
    ),
    Rule(
        says="no epoch's end cuts a group",
        apply=training.idle("training.accumulation_remainder", gathering.cuts_no_group),
    ),
    Rule(
        says="without bias correction epsilon joins the same root",
        apply=training.idle("optimizer.epsilon_placement", training.corrects_no_bias),
    ),
    Rule(
        says="no norm is clipped",
        apply=training.idle("optimizer.clip_epsilon", training.clips_no_norm),
    ),
    Rule(
        says="no mean is taken of weighted elements",
        apply=training.idle("loss.weighting", training.weighs_nothing),
        of_one_loss=True,
        of_several=outputs.of_each(training.idle("loss.weighting", training.weighs_nothing)),
    ),
    Rule(
        says="no target is the class that is ignored",
        apply=training.idle("loss.ignore_index", training.ignores_nothing),
        of_one_loss=True,
    ),
    Rule(
        says="an epoch is one batch of all samples",
        apply=training.idle("training.batch_size", training.is_one_batch),
        of_one_loss=True,
    ),
    Rule(
        says="the samples fall into whole batches",
        apply=training.idle("training.drop_last", training.leaves_nothing_out),
    ),
    Rule(
        says="nothing is shuffled",
        apply=training.idle("training.shuffle_seed", training.never_shuffles),
    ),
    Rule(
        says="the reduction multiplies the loss by a number that the optimizer's numbers take back",
        apply=training.reduction,
        of_one_loss=True,
        of_numbers=True,
    ),
    Rule(
        says="a softmax does not see what is added to every logit",
        apply=layers.head_shifted,
        of_one_loss=True,
        sets_scale=True,
    ),
)


def applied(apply: Callable[[Form, Form], Forms | None], forms: Forms) -> Forms | None:
    """Return what a rule makes of both; None too where that is no job, or the old data are gone."""
    try:
        return apply(*forms)
    except (ValidationError, LikewiseError, LookupError):
        return None


def rules_for(forms: Forms) -> Sequence[Rule]:
    """Return the rules, with one before them where only several together make the layers as many in both."""
    together, now = [], forms
    for rule in RULES:
        changed = None if rule.loosely is None else applied(rule.loosely, now)
        if changed is not None:
            together.append(rule)
            now = changed
    if len(together) < 2 or not layers.as_many(now):
        return RULES
    said = "; ".join(rule.says for rule in together)
    excepted = next((rule.except_where for rule in together if rule.except_where), None)
    return (Rule(says=said, apply=lambda *_: now, except_where=excepted, of_layers=True), *RULES)
