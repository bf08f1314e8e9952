"""Runs a plain PyTorch program: modules, a forward of calls, a loss, an optimizer, and the usual loop."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

torch.set_num_threads(1)

Parts = dict[str, dict[str, str]]


def code(parts: Parts, place: str) -> str:
    return "\n".join(parts.get(place, {}).values())


class Model(nn.Module):
    """The program's modules and its calls."""

    def __init__(self, names: dict[str, Any], calls: str, output: str, outputs: list[str]) -> None:
        super().__init__()
        self._outputs = outputs
        for name, one in list(names.items()):
            if isinstance(one, nn.Module):
                self.add_module(name, one)
        self._names, self._output = names, output
        self._calls = compile(calls, "calls", "exec")

    def forward(self, x: Any) -> Any:
        self._names["x"] = x
        exec(self._calls, self._names)
        if self._outputs:
            return {name: self._names[f"x_{name}"] for name in self._outputs}
        return self._names[self._output]


def made(parts: Parts) -> dict[str, Any]:
    names: dict[str, Any] = {"torch": torch, "nn": nn, "np": np}
    exec(code(parts, "first"), names)
    exec(code(parts, "layer"), names)
    return names


def run(parts: Parts, task: dict[str, Any], data: dict[str, Any], weights: dict[str, Any]) -> dict[str, Any]:
    if task["draws"]:
        return drawn(parts, task)
    names = made(parts)
    model = Model(names, code(parts, "call"), task["output"], list(task["outputs"]))
    names |= {"model": model, "weights": weights}
    exec(code(parts, "give"), names)
    tensors = [torch.tensor(data[name]) for name in ("x", "y", "w") if name in data]
    names["dataset"] = torch.utils.data.TensorDataset(*tensors)
    for place in ("loss", "optimizer", "schedule", "batches", "fit"):
        exec(code(parts, place), names)
    loss_fn, optimizer, loader = names["loss_fn"], names["optimizer"], names["loader"]
    penalty, gradient, after_step, after_epoch = (
        compile(code(parts, place), place, "exec")
        for place in ("penalty", "gradient", "after_step", "after_epoch")
    )
    for _ in range(names["epochs"]):
        total, count = 0.0, 0
        for x, *rest in loader:
            optimizer.zero_grad()
            wanted = by_output(rest[0], task["outputs"]) if task["outputs"] else rest[0]
            names["loss"] = loss_fn(model(x), wanted, *rest[1:])
            exec(penalty, names)
            loss = names["loss"]
            loss.backward()
            exec(gradient, names)
            optimizer.step()
            exec(after_step, names)
            total, count = total + float(loss.detach()) * len(x), count + len(x)
        names["loss"] = names["validation_loss"] = total / count
        exec(after_epoch, names)
    exec(code(parts, "end"), names)
    exec(code(parts, "evaluation"), names)
    with torch.no_grad():
        outputs = model(tensors[0])
        every = torch.cat([outputs[name] for name in task["outputs"]], dim=1) if task["outputs"] else outputs
        found = {"outputs": every.numpy().copy()}
    if task["sampler"]:
        found["shuffles"] = np.array(isinstance(loader.sampler, torch.utils.data.RandomSampler))
    return found


def by_output(y: Any, outputs: dict[str, Any]) -> dict[str, Any]:
    """The targets of each output; classes as whole numbers."""
    return {
        name: y[:, begin].long() if classes else y[:, begin:end]
        for name, (begin, end, classes) in outputs.items()
    }


def drawn(parts: Parts, task: dict[str, Any]) -> dict[str, Any]:
    """Each weight as the program draws it, many times over."""
    torch.manual_seed(1)
    every: dict[str, list[np.ndarray]] = {name: [] for name in task["draws"]}
    makes, draws = (compile(code(parts, place), place, "exec") for place in ("layer", "draw"))
    names = made(parts)
    for _ in range(task["times"]):
        exec(makes, names)
        exec(draws, names)
        for name, expression in task["draws"].items():
            every[name].append(eval(expression, names).detach().numpy().copy())
    return {name: np.stack(arrays) for name, arrays in every.items()}
