"""Hosts a user's Keras program on TensorFlow (see `worker.port.contract`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from likewise.worker.adapters.tensorflow_adapter.imported_modules import CHANGEABLE, Known, array_of, known
from likewise.worker.adapters.tensorflow_adapter.imported_random import drawing_from
from likewise.worker.adapters.tensorflow_adapter.imported_record import Recorder, patched, walk
from likewise.worker.port.contract import (
    OUTPUTS,
    Arrays,
    Call,
    Forced,
    Forward,
    ImportedProgram,
    Module,
    ProgramError,
    Slot,
    as_json,
)
from likewise.worker.port.randomness import Randomness
from likewise.worker.port.userfile import UserFile, hide_packages, users_line

_NUMBERS = (
    *("learning_rate", "momentum", "nesterov", "beta_1", "beta_2", "epsilon", "rho", "centered", "amsgrad"),
    *("weight_decay", "clipnorm", "global_clipnorm", "clipvalue", "initial_accumulator_value", "use_ema"),
)


def open_program(file: Path, maker: str | None, *, precision: str) -> ImportedProgram:
    """Import the user's file and make its model. Raises ProgramError."""
    hide_packages("keras", "tensorflow")
    keras.config.set_floatx(precision)  # before the user's code makes a layer
    return KerasProgram(UserFile(file, maker), precision=precision)


class KerasProgram(ImportedProgram):
    """A Keras model, with what else the user's file defines."""

    def __init__(self, file: UserFile, *, precision: str) -> None:
        """Make the model. Raises ProgramError where the user's code cannot."""
        keras.utils.set_random_seed(0)
        self._file = file
        self._dtype = precision
        self.lines: dict[int, str | None] = {}
        with self._noting_lines():
            model = file.call("model")
        if not isinstance(model, keras.Model):
            raise ProgramError(f"model() returned a {type(model).__name__}; it must return a keras.Model")
        self._model = model
        self.known: dict[str, Known] = {}
        self.paths: dict[int, str] = {}
        self._layers: dict[str, Any] = {}

    def _look(self) -> None:
        """List the layers that are known, once the model is built."""
        if self.paths:
            return
        for path, layer in walk(self._model, ""):
            if (found := known(layer)) is not None:
                self.known[path] = found
                self.paths[id(layer)] = path
                self._layers[path] = layer

    @contextmanager
    def _noting_lines(self) -> Iterator[None]:
        """Note at which line of the user's code each layer is first applied."""

        def noting(original: Any) -> Any:
            def call(layer: Any, *arguments: Any, **named: Any) -> Any:
                self.lines.setdefault(id(layer), users_line())
                return original(layer, *arguments, **named)

            return call

        with patched(noting):
            yield

    def describe(self) -> dict[str, Any]:
        self._look()
        return {
            "framework": "tensorflow",
            "version": tf.__version__,
            "keras": keras.__version__,
            "modules": [self._module(path, one) for path, one in self.known.items()],
            "optimizer": self._optimizer_settings(),
            "functions": self._file.functions,
        }

    def _module(self, path: str, one: Known) -> Module:
        return Module(
            path=path,
            kind=one.kind,
            type=type(self._layers[path]).__name__,
            settings={name: as_json(value) for name, value in one.settings.items()},
            slots={name: self._slot(variable) for name, variable in one.weights.items()},
            line=self.lines.get(id(self._layers[path])),
        )

    def _slot(self, variable: Any) -> Slot:
        whole = variable[0] if isinstance(variable, tuple) else variable
        return Slot(
            own=whole.name + (f"[{variable[1]}]" if isinstance(variable, tuple) else ""),
            transform="",
            shape=tuple(array_of(variable).shape),
            trainable=bool(whole.trainable),
        )

    def _optimizer_settings(self) -> dict[str, Any] | None:
        if "optimizer" not in self._file.functions:
            return None
        optimizer = self._new_optimizer()
        found: dict[str, Any] = {"type": type(optimizer).__name__.lower()}
        for name in _NUMBERS:
            value = getattr(optimizer, name, None)
            if value is not None:
                found[name] = float(value) if name == "learning_rate" else as_json(value)
        if found.get("weight_decay"):
            found["decay"] = "decoupled"
        return found

    def _new_optimizer(self) -> Any:
        optimizer = self._file.call("optimizer", self._model)
        if not isinstance(optimizer, keras.optimizers.Optimizer):
            raise ProgramError(
                f"optimizer(model) returned a {type(optimizer).__name__}; it must return a keras optimizer"
            )
        return optimizer

    def input_spec(self) -> dict[str, Any] | None:
        shape = getattr(self._model, "input_shape", None)
        if not isinstance(shape, tuple) or any(one is None for one in shape[1:]):
            return None
        self._look()
        embedding = next((one for one in self.known.values() if one.kind == "embedding"), None)
        return {
            "shape": list(shape[1:]),
            "below": None if embedding is None else int(embedding.settings["input_dim"]),
        }

    def _variables(self) -> Iterator[tuple[str, Any]]:
        for path, one in self.known.items():
            for name, variable in one.weights.items():
                yield f"{path}.{name}", variable

    def weights(self) -> Arrays:
        self._look()
        return {name: array_of(variable) for name, variable in self._variables()}

    def load(self, weights: Mapping[str, NDArray[Any]]) -> None:
        for name, variable in self._variables():
            if name in weights:
                _assign(variable, weights[name])

    def change(self, path: str, setting: str, value: Any) -> bool:
        layer = self._layers.get(path)
        if layer is None or setting not in CHANGEABLE or not hasattr(layer, setting):
            return False
        setattr(layer, setting, value)
        return True

    def forward(
        self, inputs: Arrays, *, force: Mapping[str, Forced], training: bool = False, drops: bool = False
    ) -> Forward:
        randomness = self._randomness(drops=drops)
        self._build(inputs)
        with self._kept():
            found, outputs = self._run(inputs, force, randomness, training=training)
        found.saw_draws(randomness)
        for name, output in outputs.items():
            found.add(
                Call(path=None, kind=f"{OUTPUTS}{'.' if name else ''}{name}", line=None),
                entered=None,
                left=np.array(output),
            )
        return found

    def _build(self, inputs: Arrays) -> None:
        if not self._model.built:
            self._outputs(inputs, training=False)
        self._look()

    def _run(
        self, inputs: Arrays, force: Mapping[str, Forced], randomness: Randomness, *, training: bool
    ) -> tuple[Forward, dict[str, Any]]:
        recorder = Recorder(self, force, randomness)
        with drawing_from(randomness), patched(recorder.wrapped), recorder.watching_functions():
            outputs = self._outputs(inputs, training=training)
        return recorder.found, outputs

    def _outputs(self, inputs: Arrays, *, training: bool) -> dict[str, Any]:
        given = {name: self._tensor(array) for name, array in inputs.items()}
        whole = next(iter(given.values())) if len(given) == 1 else given
        return _named(self._file.guarded("the forward pass", self._model, whole, training=training))

    def _tensor(self, array: NDArray[Any]) -> Any:
        return tf.constant(array, self._dtype if array.dtype.kind == "f" else None)

    def loss(self, outputs: Arrays, targets: NDArray[Any] | None) -> tuple[float, Arrays]:
        given = {name: self._tensor(array) for name, array in outputs.items()}
        with drawing_from(self._randomness(drops=False)), tf.GradientTape() as tape:
            for one in given.values():
                tape.watch(one)
            value = self._loss(given, targets)
        found = tape.gradient(value, given)
        return float(value), {
            name: np.zeros_like(outputs[name]) if one is None else _dense_array(one)
            for name, one in found.items()
        }

    def _loss(self, outputs: Mapping[str, Any], targets: NDArray[Any] | None) -> Any:
        whole = next(iter(outputs.values())) if len(outputs) == 1 else dict(outputs)
        value = self._file.call("loss", whole, None if targets is None else self._tensor(targets))
        size = int(np.prod(getattr(value, "shape", ()), dtype=np.int64))
        if size != 1:
            raise ProgramError(
                f"loss(outputs, targets) returned {tuple(value.shape)}; it must return one number as a tensor"
            )
        return tf.reshape(tf.convert_to_tensor(value), ())

    def gradients(self, inputs: Arrays, cotangents: Arrays, *, force: Mapping[str, Forced]) -> Arrays:
        self._build(inputs)
        with tf.GradientTape() as tape:
            _, outputs = self._run(inputs, force, self._randomness(drops=False), training=False)
            total = tf.add_n(
                [tf.reduce_sum(output * self._tensor(cotangents[name])) for name, output in outputs.items()]
            )
        return self._by_name(tape.gradient(total, self._model.trainable_variables))

    def _by_name(self, gradients: Sequence[Any]) -> Arrays:
        found = {
            id(variable): _dense_array(one)
            for variable, one in zip(self._model.trainable_variables, gradients, strict=True)
            if one is not None
        }
        named: Arrays = {}
        for name, variable in self._variables():
            whole, row = variable if isinstance(variable, tuple) else (variable, None)
            if id(whole) in found:
                named[name] = found[id(whole)] if row is None else found[id(whole)][row]
        return named

    def update(self, gradients: Sequence[Arrays], *, common: bool) -> Arrays:  # noqa: ARG002 -- these gradients are dense
        with self._kept():
            optimizer = self._new_optimizer()
            for step in gradients:
                by_variable: dict[int, NDArray[Any]] = {}
                for name, variable in self._variables():
                    whole, row = variable if isinstance(variable, tuple) else (variable, None)
                    if name not in step:
                        continue
                    if row is None:
                        by_variable[id(whole)] = step[name]
                    else:
                        by_variable.setdefault(id(whole), np.zeros(whole.shape))[row] = step[name]
                pairs = [
                    (self._tensor(by_variable.get(id(one), np.zeros(one.shape))), one)
                    for one in self._model.trainable_variables
                ]
                self._file.guarded("the optimizer's step", optimizer.apply_gradients, pairs)
            return self.weights()

    def train(
        self,
        inputs: Arrays,
        targets: NDArray[Any] | None,
        *,
        steps: int,
        common: bool,
        drops: bool,
    ) -> tuple[list[float], Arrays]:
        randomness = self._randomness(drops=drops)
        with self._kept(), drawing_from(randomness):
            optimizer = self._new_optimizer()
            losses = []
            for _ in range(steps):
                with tf.GradientTape() as tape:
                    outputs = self._outputs(inputs, training=True)
                    loss = self._loss(outputs, targets)
                    if self._model.losses:
                        loss += tf.add_n(self._model.losses)
                variables = self._model.trainable_variables
                gradients = tape.gradient(loss, variables)
                if common:
                    gradients = [one if one is None else tf.convert_to_tensor(one) for one in gradients]
                pairs = list(zip(gradients, variables, strict=True))
                self._file.guarded("the optimizer's step", optimizer.apply_gradients, pairs)
                losses.append(float(loss))
                randomness.next_step()
            return losses, self.weights()

    @contextmanager
    def _kept(self) -> Iterator[None]:
        kept = [np.array(one) for one in self._model.variables]
        try:
            yield
        finally:
            for variable, value in zip(self._model.variables, kept, strict=True):
                variable.assign(value)


def _named(result: Any) -> dict[str, Any]:
    if isinstance(result, Mapping):
        return {str(name): one for name, one in result.items()}
    if isinstance(result, tuple | list):
        return {str(place): one for place, one in enumerate(result)}
    if hasattr(result, "dtype"):
        return {"": result}
    raise ProgramError(f"the model returned a {type(result).__name__}; it must return tensors")


def _assign(variable: Any, value: NDArray[Any]) -> None:
    if isinstance(variable, tuple):
        whole = np.array(variable[0])
        whole[variable[1]] = value
        variable[0].assign(whole)
    else:
        variable.assign(value)


def _dense_array(gradient: Any) -> NDArray[Any]:
    return np.array(tf.convert_to_tensor(gradient))
