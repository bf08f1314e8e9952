"""Records what a user's code computes by TensorFlow's own operations, outside of every layer.

`x * tf.sigmoid(x)` in the `call` of a layer of the user's own, or all of a `tf.Module`, goes through no layer
of Keras and no function of `keras.ops`. TensorFlow tells of each operation that it runs eagerly. Those that
one call of the user's makes, such as the four of `tf.nn.gelu`, are one call here, with what the last gives.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import tensorflow as tf
from tensorflow.python.framework import op_callbacks

from likewise.worker.port.userfile import is_users

_SILENT = {
    *(
        "ReadVariableOp",
        "Identity",
        "StopGradient",
        "Cast",
        "Shape",
        "Fill",
        "ZerosLike",
        "OnesLike",
        "Const",
    ),
    *("Range", "Rank", "Size", "Assert", "CheckNumerics", "EnsureShape", "VarHandleOp", "Print"),
}
"""Operations whose outputs say nothing new."""
_NAMES = {
    "AddV2": "add",
    "BiasAdd": "add",
    "Sub": "subtract",
    "Mul": "multiply",
    "RealDiv": "divide",
    "BatchMatMulV2": "matmul",
    "MatMul": "matmul",
    "StridedSlice": "getitem",
    "ConcatV2": "concatenate",
    "GatherV2": "take",
    "FusedBatchNormV3": "batch_norm",
    "PadV2": "pad",
    "Neg": "negative",
    "Conv2D": "conv",
    "DepthwiseConv2dNative": "depthwise_conv",
    "Pack": "stack",
    "Relu6": "relu6",
}
_AROUND = ("traceback_utils.py", "dispatch.py", "weak_tensor_ops.py", "tf_decorator.py")
"""Files of TensorFlow that stand between a call and the function that was called."""

_NOT_THE_PROGRAM_S = ("backprop.py", "imported_record.py")
"""Files that compute of themselves: gradients, and what stands in the place of a layer's tensors."""


class _Caller(NamedTuple):
    """The user's frame that called, and that of the function which it called."""

    frame: FrameType
    called: FrameType | None
    name: str


class OperatorCalls:
    """It hands over each call of the user's that computes by operations: its kind, its line, its output.

    `add` is given them; it returns whether it took the call. `replace` changes the one that it took last.
    """

    def __init__(
        self,
        *,
        rests: Callable[[], bool],
        add: Callable[[str, str, Any], bool],
        replace: Callable[[str, str, Any], None],
    ) -> None:
        self._rests, self._add, self._replace = rests, add, replace
        self._busy = False
        self._last: FrameType | None = None

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Hand over the calls while it is entered."""
        op_callbacks.add_op_callback(self._ran)
        try:
            yield
        finally:
            op_callbacks.remove_op_callback(self._ran)
            self._last = None

    def _ran(
        self,
        op_type: str | bytes,
        inputs: Any,  # noqa: ARG002 -- TensorFlow gives it
        attrs: Any,  # noqa: ARG002
        outputs: Any,
        op_name: Any = None,  # noqa: ARG002
        graph: Any = None,
    ) -> None:
        if self._busy or graph is not None or self._rests():
            return
        kind = op_type.decode() if isinstance(op_type, bytes) else op_type
        if kind in _SILENT or len(outputs) == 0 or not _says_something(outputs[0]):
            return
        caller = _caller()
        if caller is None:
            return
        line = f"{Path(caller.frame.f_code.co_filename).name}:{caller.frame.f_lineno}"
        self._busy = True
        try:
            if caller.called is not None and caller.called is self._last:
                self._replace(caller.name, line, outputs[0])
            elif self._add(_NAMES.get(kind, _snake(kind)), line, outputs[0]):
                self._last = caller.called
        finally:
            self._busy = False


def _says_something(output: Any) -> bool:
    return bool(isinstance(output, tf.Tensor) and output.dtype.is_floating and output.shape.rank)


def _snake(name: str) -> str:
    return re.sub("(?<=[a-z])(?=[A-Z])", "_", name).lower()


_whose: dict[str, str] = {}


def _whose_file(filename: str) -> str:
    """Return whose a source file is: `user`, `keras`, which computes by itself, or `tensorflow`."""
    if filename not in _whose:
        folders = Path(filename).parts
        of_keras = "keras" in folders or "tf_keras" in folders
        functions = {"ops", "backend"} & set(folders)
        _whose[filename] = (
            "user"
            if is_users(filename)
            else "keras"
            if (of_keras and not functions) or filename.endswith(_NOT_THE_PROGRAM_S)
            else "around"
            if filename.endswith(_AROUND)
            else "tensorflow"
        )
    return _whose[filename]


def _caller() -> _Caller | None:
    """Return the user's innermost frame; None where a layer, an optimizer or a gradient of Keras computes."""
    frame: FrameType | None = sys._getframe(2)
    called, name = None, ""
    while frame is not None:
        whose = _whose_file(frame.f_code.co_filename)
        if whose == "user":
            return _Caller(frame, called, name)
        if whose == "keras":
            return None
        called = frame
        if whose == "tensorflow":
            name = re.sub(r"(_v\d+|_dispatch|_helper)+$", "", frame.f_code.co_name.strip("_"))
        frame = frame.f_back
    return None
