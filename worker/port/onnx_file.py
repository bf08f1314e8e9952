"""An ONNX file that takes rows as the user has them: what is done before and after the model is part of it.

The exporters of the frameworks write the model alone. Rows come in, and outputs leave, as float64, so that
what standardises loses no digits; between them the model keeps its own precision. Its packages are in no
environment but those that were made for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likewise.worker.port.contract import ProgramError

ROWS, OUTPUTS = "rows", "outputs"
"""The names of what the file takes and gives."""
_OPERATIONS = {"subtract": "Sub", "divide": "Div", "multiply": "Mul", "add": "Add"}

Steps = Sequence[tuple[str, NDArray[Any]]]
"""Operations with their second operand, in order."""


def finish(file: Path, steps: tuple[Steps, Steps], told: Mapping[str, str]) -> None:
    """Put the steps before and after the model into its file, and `told` into its metadata.

    Raises ProgramError for a model of several inputs or outputs.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load(file)
    graph = model.graph
    weights = {one.name for one in graph.initializer}
    inputs = [one for one in graph.input if one.name not in weights]
    if len(inputs) != 1 or len(graph.output) != 1:
        raise ProgramError("a model of several inputs or outputs is not written as ONNX")
    given, left = inputs[0], graph.output[0]
    before, after = steps
    entering, rows = _chain("before", ROWS, before)
    leaving, outputs = _chain("after", "after.model", after)
    inner = given.type.tensor_type.elem_type
    nodes = [
        *entering,
        helper.make_node("Cast", [rows], [given.name], to=inner),
        *graph.node,
        helper.make_node("Cast", [left.name], ["after.model"], to=TensorProto.DOUBLE),
        *leaving,
        helper.make_node("Identity", [outputs], [OUTPUTS]),
    ]
    del graph.node[:]
    graph.node.extend(nodes)
    for part, many in (("before", before), ("after", after)):
        graph.initializer.extend(
            numpy_helper.from_array(np.asarray(array, np.float64), f"{part}.{place}")
            for place, (_, array) in enumerate(many)
        )
    kept = [one for one in graph.input if one.name in weights]
    del graph.input[:]
    graph.input.extend([_named(given, ROWS), *kept])
    del graph.output[:]
    graph.output.append(_named(left, OUTPUTS))
    helper.set_model_props(model, dict(told))
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, file)


def outputs_of(file: Path, rows: NDArray[Any]) -> NDArray[np.float64]:
    """Return what ONNX Runtime gives for rows (n, *features)."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    (outputs,) = session.run([OUTPUTS], {ROWS: np.asarray(rows, np.float64)})
    return np.asarray(outputs, np.float64)


def _chain(part: str, name: str, steps: Steps) -> tuple[list[Any], str]:
    """Return the nodes of the steps, and the name of what the last of them gives."""
    from onnx import helper

    nodes = []
    for place, (operation, _) in enumerate(steps):
        made = f"{part}.{place}.made"
        nodes.append(helper.make_node(_OPERATIONS[operation], [name, f"{part}.{place}"], [made]))
        name = made
    return nodes, name


def _named(value: Any, name: str) -> Any:
    """Return what a value is under another name, as float64 and for any number of samples."""
    from onnx import TensorProto, helper

    shape = [one.dim_value or None for one in value.type.tensor_type.shape.dim]
    return helper.make_tensor_value_info(name, TensorProto.DOUBLE, ["n", *shape[1:]])
