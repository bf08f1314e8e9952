"""What the backward passes of a user's own step give in PyTorch, and what replaces it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from likewise.worker.adapters.torch_adapter.imported_weights import Held
from likewise.worker.port.contract import Arrays, GivenGradients


class BackwardPasses:
    """Watches backward passes: what each adds to the gradients, which may be replaced."""

    def __init__(self, held: Callable[[], Iterable[tuple[str, Held]]], given: GivenGradients | None) -> None:
        """Take the weights by name; nothing is watched where nothing is `given`."""
        self.seen: list[Arrays] = []
        """What each pass added, before it was replaced, while `keeps` is set."""
        self.keeps = given is not None
        self._held = held
        self._given = given or GivenGradients()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch `backward()` and `torch.autograd.grad` while it is entered."""
        backward, grad = torch.autograd.backward, torch.autograd.grad

        def watched_backward(*args: Any, **kwargs: Any) -> None:
            if not self.keeps:
                backward(*args, **kwargs)
                return
            with torch._C.DisableTorchFunction():
                before = self._gradients()
            backward(*args, **kwargs)
            with torch._C.DisableTorchFunction():
                self._saw_backward(before)

        def watched_grad(outputs: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
            found = grad(outputs, inputs, *args, **kwargs)
            with torch._C.DisableTorchFunction():
                return self._saw_grad(inputs, found) if self.keeps else found

        torch.autograd.backward, torch.autograd.grad = watched_backward, watched_grad
        try:
            yield
        finally:
            torch.autograd.backward, torch.autograd.grad = backward, grad

    def _gradients(self) -> Arrays:
        read = {name: held.read_gradient() for name, held in self._held()}
        return {name: one for name, one in read.items() if one is not None}

    def _saw_backward(self, before: Arrays) -> None:
        """Take in what a pass has added, and lay there what replaces it."""
        now = self._gradients()
        added = {
            name: one - before.get(name, 0.0)
            for name, one in now.items()
            if name not in before or not np.array_equal(one, before[name])
        }
        if not added:
            return
        for name, held in self._held():
            replacing = self._replacing().get(name)
            if name in now and replacing is not None:
                held.write_gradient(before.get(name, 0.0) + replacing)
        self.seen.append(added)

    def _saw_grad(self, inputs: Any, found: Any) -> Any:
        """Take in gradients that were asked of weights, and return what replaces them."""
        alone = isinstance(inputs, torch.Tensor)
        asked, gradients = [inputs] if alone else list(inputs), [*found]
        places = {id(one): place for place, one in enumerate(asked)}
        held = [(name, one) for name, one in self._held() if id(one.tensors[0][1]) in places]
        if not held or any(one is None for one in gradients):
            return found
        kept = {id(one): one.grad for one in asked}
        added: Arrays = {}
        for one, gradient in zip(asked, gradients, strict=True):
            one.grad = gradient.detach().clone()
        for name, one in held:
            gradient = one.read_gradient()
            if gradient is not None:
                added[name] = gradient
            replacing = self._replacing().get(name)
            if replacing is not None:
                one.write_gradient(replacing)
        replaced = tuple(one.grad for one in asked)
        for one in asked:
            one.grad = kept[id(one)]
        used = bool(self._replacing())
        self.seen.append(added)
        return replaced if used else found

    def _replacing(self) -> Mapping[str, Any]:
        """Return what replaces the pass that is the next to be seen."""
        place = len(self.seen)
        return self._given.passes[place] if place < len(self._given.passes) else {}
