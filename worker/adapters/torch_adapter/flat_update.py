"""One update in place: of one training, or of many side by side (see `ensemble`).

All trainable weights lie in one tensor, as `flat` lays them out: (values,) for one training and
(members, values) for many. The optimizer's slots and the gradient have the same shape.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch

from shared.job import Optimizer
from worker.adapters.torch_adapter.flat import Layout
from worker.adapters.torch_adapter.optimizers import update

Tensor = Any


class FlatUpdate:
    """The weights, the optimizer's state, and the update that changes both.

    An update gets everything that differs from one update to the next as tensors, which is what a replay
    needs (see `replay`): first the optimizer's constants, then the dropout masks, in the order of `expect`.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        *,
        layout: Layout,
        weights: Tensor,
        slots: Mapping[str, Tensor],
        fixed: Mapping[str, Tensor],
    ) -> None:
        """`optimizer` gives the formula alone; `fixed` are its constants that never change."""
        self._optimizer = optimizer
        self._layout = layout
        self._weights = weights
        self._slots = slots
        self._fixed = dict(fixed)
        self._gradient = torch.zeros_like(weights)
        self._gradients = layout.shaped(self._gradient)
        self._constants: tuple[str, ...] = ()
        self._masks: tuple[str, ...] = ()

    def expect(self, *, constants: Iterable[str], masks: Iterable[str]) -> None:
        """Say which constants and masks the next updates are given, by name."""
        self._constants, self._masks = tuple(constants), tuple(masks)

    def run(
        self,
        losses_of: Callable[[Mapping[str, Tensor]], Tensor],
        parameters: Sequence[Tensor],
        given: Sequence[Tensor],
    ) -> Tensor:
        """Change the weights and the slots by one update; the loss before it, or each member's (members,).

        `losses_of` computes that loss from the masks, with `parameters`, which are the layout's pieces.
        """
        count = len(self._constants)
        constants = dict(zip(self._constants, given[:count], strict=True))
        masks = dict(zip(self._masks, given[count:], strict=True))
        with torch.enable_grad():
            losses = losses_of(masks)
            # members share no weight, so the gradient of the sum is each member's own
            total = losses.sum() if losses.ndim else losses
            gradients = torch.autograd.grad(total, parameters) if parameters else ()
        if gradients:
            torch._foreach_copy_(self._gradients, gradients)
            update(
                self._optimizer,
                weights=self._weights,
                gradient=self._gradient,
                slots=self._slots,
                constants=self._fixed | constants,
                pieces=self._layout.pieces,
            )
        return losses.detach()
