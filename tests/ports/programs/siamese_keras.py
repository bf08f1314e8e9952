import keras
from keras import layers, ops


def tower():
    return keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(8, activation="relu", name="wide"),
            layers.Dense(4, name="code"),
            layers.UnitNormalization(name="unit"),
        ],
        name="tower",
    )


def model():
    left, right = keras.Input((6,), name="left"), keras.Input((6,), name="right")
    shared = tower()
    distance = ops.norm(shared(left) - shared(right), axis=-1)
    return keras.Model([left, right], distance)


def loss(outputs, targets):
    near = targets * ops.square(outputs)
    far = (1 - targets) * ops.square(ops.maximum(1.0 - outputs, 0))
    return ops.mean(near + far)


def optimizer(model):
    return keras.optimizers.Adam(1e-3, epsilon=1e-8)
