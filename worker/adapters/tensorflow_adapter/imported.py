"""Hosts a user's Keras program on TensorFlow (see `worker.port.contract`).

Longer than 400 lines: it is one object, which answers each question of the contract.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from likewise.worker.adapters.tensorflow_adapter.imported_files import export, restore, save
from likewise.worker.adapters.tensorflow_adapter.imported_groups import split_groups
from likewise.worker.adapters.tensorflow_adapter.imported_keras import keras
from likewise.worker.adapters.tensorflow_adapter.imported_models import (
    as_models,
    by_name,
    called_by,
    compiled_with,
    models_of,
)
from likewise.worker.adapters.tensorflow_adapter.imported_modules import CHANGEABLE, Known, known, pad
from likewise.worker.adapters.tensorflow_adapter.imported_parts import parts
from likewise.worker.adapters.tensorflow_adapter.imported_passes import BackwardPasses
from likewise.worker.adapters.tensorflow_adapter.imported_plain import MODES, PlainModel
from likewise.worker.adapters.tensorflow_adapter.imported_plain_layers import Variables
from likewise.worker.adapters.tensorflow_adapter.imported_precision import (
    as_trained,
    keep_precision,
    widen_normalizations,
    widened_variables,
)
from likewise.worker.adapters.tensorflow_adapter.imported_random import drawing_from
from likewise.worker.adapters.tensorflow_adapter.imported_record import Recorder, patched, walk
from likewise.worker.adapters.tensorflow_adapter.imported_steps import (
    choose,
    proving,
    show_steps,
    ways,
    wrappers,
)
from likewise.worker.adapters.tensorflow_adapter.imported_timing import clocks_of, device_of
from likewise.worker.adapters.tensorflow_adapter.imported_updates import (
    Steps,
    give,
    of_weights,
    penalized,
    penalty_of,
    settings_of,
    with_penalties,
)
from likewise.worker.adapters.tensorflow_adapter.imported_weights import Held
from likewise.worker.port.contract import (
    AS_WRITTEN,
    OUTPUTS,
    OWN,
    Arrays,
    Call,
    Forced,
    Forward,
    FreeRun,
    GivenGradients,
    ImportedProgram,
    Module,
    ProgramError,
    TrainingPlan,
    WrittenProgram,
    refuse_unknown,
)
from likewise.worker.port.plain import as_json, as_returned, named, positional
from likewise.worker.port.randomness import Randomness
from likewise.worker.port.userfile import UserFile, hide_packages, noting_lines


def open_program(file: Path, maker: str | None, *, precision: str, seed: int) -> ImportedProgram:
    """Import the user's file and make its model, begun at a seed. Raises ProgramError."""
    hide_packages("keras", "tensorflow", "tf_keras")
    keras.backend.clear_session()  # so that a model made anew has the names of the one before
    asked: Sequence[str] = ()
    if precision == AS_WRITTEN:
        precision = keras.backend.floatx()
    else:
        tf.config.run_functions_eagerly(True)  # so that what runs can be seen
        split_groups()
        show_steps()
        asked = keep_precision(precision)  # before the user's code makes a layer
    keras.utils.set_random_seed(seed)
    return KerasProgram(UserFile(file, maker), precision=precision, asked=asked)


class KerasProgram(ImportedProgram):
    """A Keras model, with what else the user's file defines."""

    def __init__(self, file: UserFile, *, precision: str, asked: Sequence[str]) -> None:
        """Make the model; `asked` are the precisions that the file asks for. Raises ProgramError where the
        user's code cannot.
        """
        self._asked = asked
        self._file = file
        self._dtype = precision
        self.lines: dict[int, str | None] = {}
        modules, layers = noting_lines(tf.Module, self.lines), noting_lines(keras.layers.Layer, self.lines)
        with modules, layers, widened_variables(precision):
            self._theirs = file.call("model")
        """What model() returned, which the file's other functions are given."""
        self._given = as_models(self._theirs)
        self._models = models_of(self._given)
        self._compiled = [name for name, one in compiled_with(self._given).items() if file.offer(name, one)]
        self.known: dict[str, Known] = {}
        self.paths: dict[int, str] = {}
        self._layers: dict[str, Any] = {}
        self._divided: frozenset[str] = frozenset()
        self._proved = False

    def divide(self, paths: Sequence[str]) -> None:
        self._divided = frozenset(paths)
        for one in (self.known, self.paths, self._layers):
            one.clear()
        if all(one.built for one in self._models.values()):
            self._look()

    def lay_steps(self, chosen: Mapping[str, str]) -> None:
        there = wrappers(self._walked())
        for path, way in chosen.items():
            choose(there[path], way)

    def _look(self) -> None:
        """List the layers that are known, once the model is built."""
        if self.paths:
            return
        if self._dtype == "float64":
            widen_normalizations((layer for _, layer in self._walked()), self._dtype)
        for path, layer in self._walked():
            for end, found in parts(layer, divided=path in self._divided).items():
                self.known[path + end] = found
                self.paths[id(layer)] = path
                self._layers[path + end] = layer
        for name, model in self._models.items():  # a model's own weights, beside those of its layers
            own = None if isinstance(model, PlainModel) else known(model)
            if own is not None and own.kind == OWN:
                self.known[name], self._layers[name] = own, model

    def _walked(self) -> Iterator[tuple[str, Any]]:
        for name, model in self._models.items():
            yield from walk(model, f"{name}." if name else "")

    def _variables_of(self, kind: str) -> list[Any]:
        """Return the `variables` or the `trainable_variables` of all models, each once."""
        found = {id(one): one for model in self._models.values() for one in getattr(model, kind)}
        return list(found.values())

    @property
    def functions(self) -> list[str]:
        return self._file.functions

    @property
    def lines_of_functions(self) -> dict[str, str]:
        return self._file.lines

    def describe(self) -> dict[str, Any]:
        self._look()
        return {
            "framework": "tensorflow",
            "version": tf.__version__,
            "keras": keras.__version__,
            "modules": [self._module(path, one) for path, one in self.known.items()],
            "wrappers": {path: ways(one) for path, one in wrappers(self._walked()).items()},
            "optimizers": self._optimizers(),
            "several": not isinstance(self._given, keras.Model),
            "functions": self.functions,
            "compiled": self._compiled,
            "penalized": "step" not in self.functions
            and bool(penalized(self._variables_of("trainable_variables"))),
            "asked": sorted({one for one in self._asked if one != self._dtype}),
        }

    def _module(self, path: str, one: Known) -> Module:
        layer = self._layers[path]
        return Module(
            path=path,
            kind=one.kind,
            type=type(self._made(path)).__name__,
            settings={name: as_json(value) for name, value in one.settings.items()},
            slots={name: held.slot() for name, held in one.weights.items()},
            line=self.lines.get(id(self._made(path))),
            owner=layer.place if isinstance(layer, Variables) else self.paths.get(id(layer), path),
        )

    def _made(self, path: str) -> Any:
        """Return the object of the user's program that is at a path."""
        layer = self._layers[path]
        return layer.owner if isinstance(layer, Variables) else layer

    def _optimizers(self) -> dict[str, Any] | None:
        """Return the settings of each optimizer by name; None where the file defines none."""
        if "optimizer" not in self._file.functions:
            return None
        variables = [(name, held.variable) for name, held in self._held()]
        lines: dict[int, str | None] = {}
        with noting_lines(keras.optimizers.Optimizer, lines):
            made = self._new_optimizer()
        found = {
            name: {**settings_of(one), "line": lines.get(id(one)), "of_weights": of_weights(one, variables)}
            for name, one in named(made, keras.optimizers.Optimizer).items()
        }
        if "step" in self._file.functions:  # which adds penalties itself, or does not
            return found
        return {name: with_penalties(one, variables) for name, one in found.items()}

    def _new_optimizer(self) -> Any:
        """Return what optimizer(model) does: an optimizer, or whatever step() takes."""
        optimizer = self._file.call("optimizer", self._theirs)
        if "step" not in self._file.functions and not isinstance(optimizer, keras.optimizers.Optimizer):
            raise ProgramError(
                f"optimizer(model) returned a {type(optimizer).__name__}; it must return a keras optimizer, "
                "or define step(model, optimizer, batch), which takes anything"
            )
        for name, one in named(optimizer, keras.optimizers.Optimizer).items():
            give(one, self._overrides.get(name, {}))
        return optimizer

    @property
    def declared_inputs(self) -> dict[str, dict[str, str]]:
        return self._file.inputs

    def arguments(self) -> list[str] | None:
        if not isinstance(self._given, keras.Model):
            return None
        named = [one.name for one in getattr(self._given, "inputs", None) or ()]
        return named or positional(called_by(self._given), without=MODES)

    def input_spec(self) -> dict[str, Any] | None:
        shape = getattr(self._given, "input_shape", None)
        if not isinstance(shape, tuple) or any(one is None for one in shape[1:]):
            return None
        self._look()
        embedding = next((one for one in self.known.values() if one.kind == "embedding"), None)
        return {
            "shape": list(shape[1:]),
            "below": None if embedding is None else int(embedding.settings["input_dim"]),
        }

    def _held(self) -> Iterator[tuple[str, Held]]:
        for path, one in self.known.items():
            for name, held in one.weights.items():
                yield f"{path}.{name}", held

    def weights(self) -> Arrays:
        self._look()
        return {name: held.read() for name, held in self._held()}

    def load(self, weights: Mapping[str, NDArray[Any]]) -> None:
        held = dict(self._held())
        refuse_unknown(weights, held)
        for name, one in weights.items():
            held[name].write(one)

    def restore(self, file: Path) -> None:
        self._file.guarded(f"reading {file.name}", restore, self._given, file)

    def save(self, file: Path) -> None:
        self._file.guarded(f"writing {file.name}", save, self._given, file)

    def export(self, file: Path, shape: tuple[int, ...]) -> None:
        self._file.guarded(f"writing {file.name}", export, self._given, file, shape)

    def change(self, path: str, setting: str, value: Any) -> bool:
        layer = self._layers.get(path)
        if layer is not None and setting == "padding":
            return pad(layer, value)
        if layer is None or setting not in CHANGEABLE or not hasattr(layer, setting):
            return False
        setattr(layer, setting, tuple(value) if isinstance(value, list) else value)
        return True

    def forward(
        self, inputs: Arrays, *, force: Mapping[str, Forced], training: bool = False, drops: bool = False
    ) -> Forward:
        randomness = self._randomness(drops=drops)
        self._build(inputs)
        with self._kept("variables" if len(self._models) > 1 else "non_trainable_variables"):
            found, outputs = self._run(inputs, force, randomness, training=training)
        found.saw_draws(randomness)
        for name, output in outputs.items():
            found.add(
                Call(path=None, kind=f"{OUTPUTS}{'.' if name else ''}{name}", line=None),
                entered=None,
                left=np.array(output),
            )
        return found

    def feed(
        self, inputs: Arrays, targets: NDArray[Any] | None, *, target: str, more: Arrays | None = None
    ) -> None:
        super().feed(inputs, targets, target=target, more=more)
        self._build(inputs)

    def _build(self, inputs: Arrays) -> None:
        """Build the models by a call, where they are not yet."""
        if not all(one.built for one in self._models.values()):
            with widened_variables(self._dtype):
                self._outputs(inputs, training=False)
        self._look()

    def _run(
        self, inputs: Arrays, force: Mapping[str, Forced], randomness: Randomness, *, training: bool
    ) -> tuple[Forward, dict[str, Any]]:
        self._prove_steps(inputs, training=training)
        recorder = Recorder(self, force, randomness)
        layers = recorder.watching_layers(self._layers.values())
        resting = Steps(self._by_name, rests=True).watching()
        drawing = drawing_from(randomness, training=training)
        functions, operators = recorder.watching_functions(), recorder.watching_operators()
        plain = recorder.watching_plain(self._models.values())
        with drawing, resting, patched(recorder.wrapped), functions, layers, plain, operators:
            outputs = self._outputs(inputs, training=training)
        return recorder.found, outputs

    def _prove_steps(self, inputs: Arrays, *, training: bool) -> None:
        """Hold each `TimeDistributed` once against what Keras gives, in evaluation."""
        if not training and not self._proved and isinstance(self._given, keras.Model):
            self._proved = True
            if wrappers(self._walked()):
                with proving():
                    self._outputs(inputs, training=False)

    def _outputs(self, inputs: Arrays, *, training: bool) -> dict[str, Any]:
        if not isinstance(self._given, keras.Model):
            return self._step(self._new_optimizer(), inputs)
        given = {name: self._tensor(array) for name, array in inputs.items()}
        whole, more = self._spread(given)
        return by_name(self._file.guarded("the forward pass", self._given, whole, training=training, **more))

    def _spread(self, given: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """Return the inputs as the model takes them: alone, by name, in order, or as arguments of call."""
        if len(given) == 1:
            return next(iter(given.values())), {}
        names = [one.name for one in getattr(self._given, "inputs", None) or ()]
        if names:
            return (given, {}) if set(names) == set(given) else (list(given.values()), {})
        taken = inspect.signature(called_by(self._given)).parameters
        if all(name in taken for name in given):
            first, *rest = given
            return given[first], {name: given[name] for name in rest}
        return given, {}

    def _step(self, optimizer: Any, inputs: Arrays) -> dict[str, Any]:
        """Run the user's step on the batch; return its losses by name."""
        batch = {name: self._tensor(array) for name, array in {**inputs, **self._more}.items()}
        if self._targets is not None:
            batch[self._target] = self._tensor(self._targets)
        result = self._file.call("step", self._theirs, optimizer, batch)
        named = result if isinstance(result, Mapping) else {"loss": result}
        try:
            return {str(name): tf.reshape(tf.cast(one, self._dtype), (1,)) for name, one in named.items()}
        except (TypeError, ValueError, tf.errors.InvalidArgumentError):
            raise ProgramError(
                f"step(model, optimizer, batch) returned a {type(result).__name__}; it must return a loss, "
                "or losses by name, each one number"
            ) from None

    def _tensor(self, array: NDArray[Any] | tf.Tensor) -> Any:
        if tf.is_tensor(array):
            return array
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
        value = self._file.call(
            "loss", as_returned(outputs), None if targets is None else self._tensor(targets)
        )
        size = int(np.prod(getattr(value, "shape", ()), dtype=np.int64))
        if size != 1:
            raise ProgramError(
                f"loss(outputs, targets) returned {tuple(value.shape)}; it must return one number as a tensor"
            )
        whole = tf.reshape(tf.convert_to_tensor(value), ())
        return whole if self._loss_factor == 1.0 else whole * self._loss_factor

    def gradients(self, inputs: Arrays, cotangents: Arrays, *, force: Mapping[str, Forced]) -> Arrays:
        self._build(inputs)
        with tf.GradientTape() as tape:
            _, outputs = self._run(inputs, force, self._randomness(drops=False), training=False)
            total = tf.add_n(
                [tf.reduce_sum(output * self._tensor(cotangents[name])) for name, output in outputs.items()]
            )
        variables = self._variables_of("trainable_variables")
        return self._by_name(tape.gradient(total, variables), variables)

    def _by_name(self, gradients: Sequence[Any], variables: Sequence[Any]) -> Arrays:
        found = {
            id(variable): _dense_array(one)
            for variable, one in zip(variables, gradients, strict=True)
            if one is not None
        }
        return {
            name: held.part(found[id(held.variable)])
            for name, held in self._held()
            if id(held.variable) in found
        }

    def _replaced(
        self, replacing: Mapping[str, NDArray[Any]], gradients: Sequence[Any], variables: Sequence[Any]
    ) -> list[Any]:
        """Return gradients of variables with those by weight in their place, where there are some."""
        wholes: dict[int, NDArray[Any]] = {}
        own = {id(one): gradient for one, gradient in zip(variables, gradients, strict=True)}
        for name, held in self._held():
            variable = id(held.variable)
            if name in replacing and own.get(variable) is not None:
                if variable not in wholes:
                    wholes[variable] = _dense_array(own[variable])
                held.into(wholes[variable], replacing[name])
        return [
            self._tensor(wholes[id(one)]) if id(one) in wholes else gradient
            for one, gradient in zip(variables, gradients, strict=True)
        ]

    def update(self, gradients: Arrays, factors: Sequence[float], *, common: bool) -> Arrays:  # noqa: ARG002 -- these gradients are dense
        by_variable: dict[int, NDArray[Any]] = {}
        for name, held in self._held():
            if name in gradients:
                whole = by_variable.setdefault(id(held.variable), np.zeros(held.variable.shape))
                held.into(whole, gradients[name])
        with self._kept():
            optimizer = self._new_optimizer()
            variables = self._variables_of("trainable_variables")
            for factor in factors:
                own = self._slopes_of_penalties()
                pairs = [
                    (factor * self._tensor(by_variable.get(id(one), np.zeros(one.shape))), one)
                    for one in variables
                ]
                pairs = [(slope + own.get(id(one), 0.0), one) for slope, one in pairs]
                self._file.guarded("the optimizer's step", optimizer.apply_gradients, pairs)
            return self.weights()

    def train(self, inputs: Arrays, targets: NDArray[Any] | None, plan: TrainingPlan) -> FreeRun:
        randomness = self._randomness(drops=plan.drops, seed=plan.seed)
        given = plan.given or GivenGradients()

        def replaced(place: int, gradients: Sequence[Any], variables: Sequence[Any]) -> list[Any]:
            replacing = given.applied[place] if place < len(given.applied) else {}
            return self._replaced(replacing, gradients, variables)

        applying = Steps(self._by_name, common=plan.common, replaced=replaced, rates=self._rates)
        passes = BackwardPasses(self._by_name, self._replaced, plan.given)
        trained = FreeRun()
        with self._kept(), drawing_from(randomness), applying.watching(), passes.watching():
            optimizer = self._new_optimizer()
            for taken, expected in self.batches(inputs, targets, plan):
                if "step" in self._file.functions:
                    losses = self._step(optimizer, taken)
                else:
                    losses = {"loss": self._plain_step(optimizer, taken, expected)}
                trained.add({name: float(np.squeeze(one)) for name, one in losses.items()})
                applying.keeps = passes.keeps = False
                randomness.next_step()
            trained.weights, trained.applied, trained.rates = self.weights(), applying.applied, applying.rates
            trained.passes = passes.seen
        return trained

    def _slopes_of_penalties(self) -> dict[int, Any]:
        """Return the gradients of the layers' regularizers, by the ids of the variables."""
        variables = penalized(self._variables_of("trainable_variables"))
        if not variables:
            return {}
        with tf.GradientTape() as tape:
            total = penalty_of(variables)
        found = zip(variables, tape.gradient(total, variables), strict=True)
        return {id(one): slope for one, slope in found if slope is not None}

    def _plain_step(self, optimizer: Any, inputs: Arrays, targets: NDArray[Any] | None) -> Any:
        """Take a step by the loss alone, with what the layers add to it.

        Return the loss without the penalties of weights, which another program has as an optimizer's decay.
        """
        with tf.GradientTape() as tape:
            loss = self._loss(self._outputs(inputs, training=True), targets)
            added = [one for model in self._models.values() for one in model.losses]
            if added:
                loss += tf.add_n(added)
        variables = self._variables_of("trainable_variables")
        pairs = list(zip(tape.gradient(loss, variables), variables, strict=True))
        penalties = penalized(variables)
        told = loss - penalty_of(penalties) if penalties else loss
        self._file.guarded("the optimizer's step", optimizer.apply_gradients, pairs)
        return told

    def as_written(self) -> WrittenProgram:
        made: list[Any] = []
        steps = "step" in self._file.functions
        fits = self._compiled == ["optimizer", "loss"] and not steps
        trains = steps or {"loss", "optimizer"} <= set(self._file.functions)

        def begin() -> None:  # the first one is kept: what it compiled knows it
            if not made and not fits:
                made.append(self._new_optimizer())
                if not steps:
                    made[0].build(self._variables_of("trainable_variables"))

        plain = tf.function(lambda inputs, targets: self._plain_step(made[0], inputs, targets))

        def update(inputs: Mapping[str, Any], targets: Any, whole: Mapping[str, Any]) -> None:
            if steps:
                self._file.call("step", self._theirs, made[0], dict(whole))
            elif fits:
                self._given.train_on_batch(self._spread(dict(inputs))[0], targets)
            else:
                plain(inputs, targets)

        infer = tf.function(lambda inputs: self._outputs(inputs, training=False))
        ways = "train_on_batch, as it is compiled", "its own loss and optimizer as one tf.function"
        return WrittenProgram(
            tensor=self._tensor,
            begin=begin if trains else lambda: None,
            update=update if trains else None,
            infer=infer if isinstance(self._given, keras.Model) else None,
            kept=self._kept,
            environment={
                "framework_version": tf.__version__,
                "versions": {"keras": keras.__version__},
                "precision": self._computes_in(),
                "execution": "its own step" if steps else ways[0 if fits else 1],
                **device_of(),
            },
            **clocks_of(),
        )

    def _computes_in(self) -> str:
        """Return the precision that its first model computes in."""
        return str(getattr(next(iter(self._models.values())), "compute_dtype", self._dtype))

    def as_trained(self) -> AbstractContextManager[None]:
        return as_trained()

    def data(self, split: str, *, seed: int) -> Any:
        keras.utils.set_random_seed(seed)
        return self._file.call("data", split)

    def evaluate(self, *, training: bool) -> Any:  # noqa: ARG002 -- a Keras model has no mode of its own
        with self._kept():
            return self._file.call("evaluate", self._theirs)

    @contextmanager
    def _kept(self, kind: str = "variables") -> Iterator[None]:
        """Put the weights back at the end; a forward pass changes those alone that are not trained."""
        variables = self._variables_of(kind)
        kept = [np.array(one) for one in variables]
        try:
            yield
        finally:
            for variable, value in zip(variables, kept, strict=True):
                variable.assign(value)


def _dense_array(gradient: Any) -> NDArray[Any]:
    return np.array(tf.convert_to_tensor(gradient))
