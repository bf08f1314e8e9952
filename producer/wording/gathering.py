"""Rules on gradients that are gathered from several batches, and what keeps two ways to gather apart. Pure.

Each rule takes the reference's form and the other's, and returns both in one wording, or None where it does
not apply. The other's job takes on the reference's words.
"""

from __future__ import annotations

from likewise.producer.wording.form import Form
from likewise.producer.wording.layers import Forms
from likewise.producer.wording.training import sees_batches, weighs_nothing
from likewise.shared.job import Job
from likewise.shared.job.loss import is_broadcast
from likewise.shared.job.training import BatchPlan, Training
from likewise.shared.program.penalties import penalized_outputs


def cuts_no_group(form: Form) -> bool:
    """Return whether the batches of an epoch are whole groups."""
    samples = form.facts.samples
    if form.job.training.gradient_accumulation_steps == 1:
        return True
    return samples is not None and left_over(form.job.training, samples) == 0


def gathers_evenly(form: Form) -> bool:
    """Return whether a mean over batches is one over samples: none is smaller, and no sum is taken."""
    training, samples = form.job.training, form.facts.samples
    if training.gradient_accumulation_steps == 1:
        return True
    whole = samples is not None and BatchPlan.of(training, samples).remainder == 0
    return whole and training.accumulation != "sum" and cuts_no_group(form)


def gathered_alike(reference: Form, other: Form) -> Forms | None:
    """Write batches that are gathered as the reference's, of the same samples in each update."""
    mine, theirs = reference.job.training, other.job.training
    if mine.gradient_accumulation_steps == theirs.gradient_accumulation_steps:
        return None
    samples = reference.facts.samples
    if samples is None or samples != other.facts.samples:
        return None
    if not all(map(_counts_samples_alone, (reference, other))):
        return None
    if not (gathers_evenly(reference) and gathers_evenly(other)):
        uneven = [_counts_each_sample(one, samples) for one in (mine, theirs)]
        reported = {one.epoch_loss for one in (mine, theirs)} == {"per_sample"}
        if not (all(uneven) and reported):
            return None
    if _of_an_update(mine, samples) != _of_an_update(theirs, samples):
        return None
    names = ("batch_size", "gradient_accumulation_steps", "accumulation", "accumulation_remainder")
    return reference, other.with_section(
        "training", **{name: reference.document["training"][name] for name in names}
    )


def _counts_samples_alone(form: Form) -> bool:
    """Return whether nothing but the gradients sees where one batch ends and the next begins."""
    job = form.job
    counted = sees_batches(form) or _has_bounds(form) or job.optimizer.schedule is not None
    return not counted and job.training.early_stopping is None and _is_a_mean(form)


def _counts_each_sample(training: Training, samples: int) -> bool:
    """Return whether an update is the mean of its samples, whatever their number, and none is left out."""
    if training.drop_last:
        return False
    if training.gradient_accumulation_steps == 1:
        return True
    ends = left_over(training, samples) == 0 or training.accumulation_remainder == "update"
    return training.accumulation == "samples" and ends


def _has_bounds(form: Form) -> bool:
    """Return whether some weight is constrained, which is done after each batch."""
    return form.program is None or any(weight.constraint for weight in form.program.weights)


def _is_a_mean(form: Form) -> bool:
    """Return whether a batch's loss is the mean of its samples', which all count alike."""
    loss = form.job.only_loss
    if form.program is None or any(
        one.reduction == "sum" for one in penalized_outputs(form.program).values()
    ):
        return False
    plain = getattr(loss, "ignore_index", None) is None and getattr(loss, "per", "sample") == "sample"
    counted = weighs_nothing(form) or getattr(loss, "weighting", "by_count") == "by_count"
    return loss.reduction == "mean" and plain and counted and not is_broadcast(loss)


def left_over(training: Training, samples: int) -> int:
    """Return how many batches of an epoch are in no whole group."""
    return BatchPlan.of(training, samples).steps_per_epoch % training.gradient_accumulation_steps


def _of_an_update(training: Training, samples: int) -> int:
    return (training.batch_size or samples) * training.gradient_accumulation_steps


def gathered_as_many(one: Job, other: Job, samples: int) -> int | None:
    """Return the samples of an update where they are as many in both; None where they are not."""
    wanted = {_of_an_update(job.training, samples) for job in (one, other)}
    return wanted.pop() if len(wanted) == 1 else None


def what_parts(job: Job, samples: int) -> str | None:
    """Return why an update of gathered batches is not that of one large batch, as a clause, if it is not."""
    training, plan = job.training, BatchPlan.of(job.training, samples)
    wanted, left = training.gradient_accumulation_steps, left_over(training, samples)
    if wanted == 1:
        return None
    if training.accumulation == "sum":
        return f"the sum of {wanted} batches' gradients is {wanted} times their mean"
    clauses = []
    if left:
        clauses.append(
            f"an epoch of {plan.steps_per_epoch:,} batches cuts a group after {left} of {wanted}, which "
            f"{_CUT[training.accumulation_remainder]}"
        )
    if plan.remainder and training.accumulation == "mean":
        clauses.append(
            f"the epoch's last batch has {plan.remainder:,} samples and counts as much as one of "
            f"{plan.batch_size:,}; accumulation: samples counts each sample"
        )
    return "; ".join(clauses) or None


_CUT = {
    "carry": "the next epoch completes, where one large batch ends with the epoch",
    "update": "makes an update of its own, as if it were whole unless samples are counted",
    "drop": "is forgotten, where one large batch would be trained on",
    "keep": "is added to the next epoch's first group",
}
