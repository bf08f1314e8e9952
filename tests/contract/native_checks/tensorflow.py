"""What Keras does where no signature says it. CHECKS has a function a row; it raises AssertionError."""

from __future__ import annotations

import warnings
from typing import Any

import keras
import numpy as np


def fit_sizes(place: str, value: Any) -> None:
    """The samples that each update of a bare `fit` sees, of 40."""
    seen: list[np.ndarray] = []

    class Model(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = keras.layers.Dense(1)

        def call(self, x: Any) -> Any:
            return self.dense(x)

        def train_step(self, data: Any) -> dict[str, Any]:
            seen.append(np.asarray(data[0])[:, 0])
            return super().train_step(data)

    x = np.arange(40.0)[:, None]
    model = Model()
    model.compile(loss="mse", run_eagerly=True)
    model.fit(x, x, epochs=2, verbose=0)
    full, last = seen[0], seen[1]
    found = {
        "batch_size": full.size,
        "drop_last": full.size + last.size < 40,
        "shuffle": not np.array_equal(np.concatenate([full, last]), np.arange(40.0)),
    }
    assert found[place.rpartition(".")[2]] == value


def is_cut(place: str, value: Any) -> None:
    """Whether an initializer gives numbers beyond two standard deviations of the uncut normal."""
    word = {"glorot_normal": "GlorotNormal", "he_normal": "HeNormal", "lecun_normal": "LecunNormal"}
    drawn = np.asarray(getattr(keras.initializers, word[place.split(".")[1]])(seed=1)((300, 300)))
    assert (abs(drawn).max() < 2.01 * drawn.std() / 0.8796) == value


def frozen_mode(_: str, value: Any) -> None:
    """Whether a layer in training whose weights are frozen moves its mean."""
    layer = keras.layers.BatchNormalization(trainable=False)
    layer(np.array([[1.0], [3.0]], np.float32), training=True)
    assert {True: "training", False: "inference"}[bool(np.asarray(layer.moving_mean)[0])] == value


def limits(_: str, value: Any) -> None:
    """Where a narrow truncated normal ends: at two deviations, or where its numbers reach -2 and 2."""
    drawn = np.asarray(keras.initializers.TruncatedNormal(stddev=0.1, seed=1)((300, 300)))
    assert {True: "deviations", False: "absolute"}[bool(abs(drawn).max() <= 0.2)] == value


def asked_each_update(_: str, value: Any) -> None:
    """The rates of two updates of one optimizer."""
    optimizer = keras.optimizers.SGD(keras.optimizers.schedules.ExponentialDecay(1.0, 1, 0.5))
    weight, rates = keras.Variable(np.zeros(1)), []
    for _ in range(2):
        rates.append(float(optimizer.learning_rate))
        optimizer.apply([keras.ops.zeros(1)], [weight])
    assert (rates == [1.0, 0.5]) == (value == "step")


def boundary(_: str, value: Any) -> None:
    """The rate of the update at a boundary of 3."""
    rate = keras.optimizers.schedules.PiecewiseConstantDecay([3], [1.0, 0.1])(3)
    assert {1.0: "after", 0.1: "before"}[round(float(rate), 3)] == value


def rates_on_plateau(losses: list[float], **settings: Any) -> list[float]:
    """The rate after each epoch with these validation losses."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(1.0), loss="mse")
    callback = keras.callbacks.ReduceLROnPlateau(**settings)
    callback.set_model(model)
    callback.on_train_begin()
    rates = []
    for epoch, loss in enumerate(losses):
        with warnings.catch_warnings():  # Keras reads its variable in a way that NumPy 2 advises against
            warnings.simplefilter("ignore", DeprecationWarning)
            callback.on_epoch_end(epoch, {"val_loss": loss})
        rates.append(round(float(model.optimizer.learning_rate.numpy()), 6))
    return rates


def patience_rule(_: str, value: Any) -> None:
    """When two epochs in a row without a fall lower the rate."""
    rates = rates_on_plateau([1.0, 1.0, 1.0, 1.0], patience=2)
    assert {(1.0, 1.0, 0.1): "reached", (1.0, 1.0, 1.0): "exceeded"}[tuple(rates[:3])] == value


def min_delta_kind(_: str, value: Any) -> None:
    """Whether a fall from 10 to 9.4 is more than a min_delta of 0.1."""
    rates = rates_on_plateau([10.0, 9.4], patience=1, min_delta=0.1)
    assert {1.0: "absolute", 0.1: "relative"}[rates[1]] == value


def moving_variance(_: str, value: Any) -> None:
    """What one batch of 0, 2 leaves of the variance: 1 by n, 2 by n - 1."""
    layer = keras.layers.BatchNormalization(momentum=0.0)
    layer(np.array([[0.0], [2.0]], dtype="float32"), training=True)
    assert {1.0: "biased", 2.0: "unbiased"}[float(layer.moving_variance.numpy()[0])] == value


def counts_padding(place: str, value: Any) -> None:
    """Whether the mean of a window of 2 that reaches beyond the edge is halved."""
    axes = int(place.split(".")[1][-2])
    layer = getattr(keras.layers, f"AveragePooling{axes}D")(2, strides=2, padding="same")
    corner = float(np.asarray(layer(np.ones((1, *[3] * axes, 1)))).flat[-1])
    assert (corner < 1) == value


def flatten_order(_: str, value: Any) -> None:
    """Where the second number of an image of 1 x 2 pixels and two channels comes from."""
    image = np.arange(4.0).reshape(1, 1, 2, 2)  # (batch, height, width, channels)
    second = float(np.asarray(keras.layers.Flatten()(image))[0, 1])
    assert {1.0: "channels_last", 2.0: "channels_first"}[second] == value


def aligned_corners(_: str, value: Any) -> None:
    """Where the second of four numbers between 0 and 1 lies."""
    layer = keras.layers.UpSampling2D((1, 2), interpolation="bilinear")
    second = float(np.asarray(layer(np.array([[[[0.0], [1.0]]]])))[0, 0, 1, 0])
    assert {0.25: False, 0.33333: True}[round(second, 5)] == value


def hard_slope(_: str, value: Any) -> None:
    """How fast a hard sigmoid rises."""
    low, high = np.asarray(keras.activations.hard_sigmoid(np.array([0.0, 1.0], np.float32)))
    assert abs(high - low - value) < 1e-6


def softplus_beta(_: str, value: Any) -> None:
    """How sharp the corner of a softplus is."""
    middle = float(np.asarray(keras.activations.softplus(np.array([0.0], np.float32)))[0])
    assert abs(np.log(2) / middle - value) < 1e-6


def hard_tanh_bounds(setting: str, value: Any) -> None:
    """Where a hard tanh ends."""
    low, high = np.asarray(keras.activations.hard_tanh(np.array([-9.0, 9.0], np.float32)))
    assert value == (low if setting.endswith("min_value") else high)


def sparsemax_sums(_: str, value: Any) -> None:
    """Whether a row of a sparsemax falls short of 1, as by the sum of cumulative sums."""
    row = np.asarray(keras.activations.sparsemax(np.array([[0.3, 0.2, 0.1]])))
    assert (row.sum() < 0.9) == (value == "cumulative")


LOSSES = {
    "mse": "MeanSquaredError",
    "mae": "MeanAbsoluteError",
    "huber": "Huber",
    "log_cosh": "LogCosh",
    "poisson": "Poisson",
    "binary_crossentropy": "BinaryCrossentropy",
}


def loss_of(place: str) -> Any:
    return getattr(keras.losses, LOSSES[place.split(".")[1]])()


def targets(place: str, value: Any) -> None:
    """Whether a flat target means the same as a column."""
    output, target = np.array([[0.3], [0.6]]), np.array([[1.0], [0.0]])
    alike = abs(loss_of(place)(target[:, 0], output) - loss_of(place)(target, output)) < 1e-6
    assert {True: "aligned", False: "broadcast"}[bool(alike)] == value


def weighting(place: str, value: Any) -> None:
    """Whether weights of 2 double the loss."""
    output, target = np.array([[0.3], [0.6]]), np.array([[1.0], [0.0]])
    ratio = float(
        loss_of(place)(target, output, sample_weight=np.full(2, 2.0)) / loss_of(place)(target, output)
    )
    assert {2.0: "by_count", 1.0: "by_weights"}[round(ratio, 5)] == value


def class_weighting(place: str, value: Any) -> None:
    """Whether `fit` with class weights of 2 reports twice the loss."""
    last = "softmax" if "categorical" in place else "sigmoid"
    loss = place.split(".")[1].replace("categorical_crossentropy", "sparse_categorical_crossentropy")
    losses = []
    for weights in (None, {0: 2.0, 1: 2.0}):
        dense = keras.layers.Dense(2 if last == "softmax" else 1, activation=last, kernel_initializer="ones")
        model = keras.Sequential([keras.Input((1,)), dense])
        model.compile(keras.optimizers.SGD(0.0), loss=loss)
        x, y = np.array([[0.5], [1.0]]), np.array([0, 1])
        if loss == "categorical_focal_crossentropy":
            y = np.eye(2)[y]
        losses.append(model.fit(x, y, class_weight=weights, verbose=0).history["loss"][0])
    assert {2.0: "by_count", 1.0: "by_weights"}[round(losses[1] / losses[0], 5)] == value


def hinge_labels(place: str, value: Any) -> None:
    """What an output of 0.5 costs for a target of 0: 1 + 0.5 where that stands for −1."""
    loss = getattr(keras.losses, place.split(".")[1])(np.array([[0.0]]), np.array([[0.5]]))
    signed = {"hinge": 1.5, "squared_hinge": 2.25}[place.split(".")[1]]
    assert {signed: "signed", 1.0: "as_given"}[float(loss[0])] == value


def overlap(place: str, value: Any) -> None:
    """What Keras takes for outputs, and what it adds above and below the line, by an overlap of nothing."""
    _, kind, name = place.split(".")
    loss = getattr(keras.losses, kind)
    zeros, ones = np.zeros((1, 2)), np.ones((1, 2))
    match name:
        case "from_logits":
            assert (abs(float(loss(ones, ones))) > 0.1) == value
        case "smooth":
            assert 1.0 - float(loss(zeros, zeros)) == value
        case "epsilon":
            # 1 over 1 + epsilon, or 2 over 2 + epsilon
            one = np.array([[1.0]], np.float64)
            lost = float(loss(keras.ops.convert_to_tensor(one), keras.ops.convert_to_tensor(one * 1e-6)))
            whole = 1.0 + 1e-6 if kind == "dice" else 1e-6 + 0.5 * (1 - 1e-6)
            above = 2e-6 if kind == "dice" else 1e-6
            found = above / (1.0 - lost) - whole
            assert abs(found - value) < 1e-2 * value


CHECKS = {
    "loss.*hinge.labels": hinge_labels,
    "loss.dice.from_logits": overlap,
    "loss.dice.smooth": overlap,
    "loss.dice.epsilon": overlap,
    "loss.tversky.from_logits": overlap,
    "loss.tversky.smooth": overlap,
    "loss.tversky.epsilon": overlap,
    "loss.*hinge.weighting": class_weighting,
    "loss.*.targets": targets,
    "loss.mse.weighting": weighting,
    "loss.mae.weighting": weighting,
    "loss.huber.weighting": weighting,
    "loss.log_cosh.weighting": weighting,
    "loss.poisson.weighting": weighting,
    "loss.*_crossentropy.weighting": class_weighting,
    "training.*": fit_sizes,
    "initializer.*_normal.truncated": is_cut,
    "initializer.truncated_normal.limits": limits,
    "schedule.*.per": asked_each_update,
    "schedule.piecewise.boundary": boundary,
    "schedule.reduce_on_plateau.patience_rule": patience_rule,
    "schedule.reduce_on_plateau.min_delta_kind": min_delta_kind,
    "layer.batch_norm.moving_variance": moving_variance,
    "layer.batch_norm.frozen_mode": frozen_mode,
    "layer.average_pooling?d.count_include_pad": counts_padding,
    "layer.flatten.order": flatten_order,
    "activation.hard_sigmoid.slope": hard_slope,
    "activation.softplus.beta": softplus_beta,
    "activation.hard_tanh.*": hard_tanh_bounds,
    "activation.sparsemax.sums": sparsemax_sums,
    "layer.upsampling2d.align_corners": aligned_corners,
}
