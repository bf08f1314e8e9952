import keras
from keras import layers


class Noise(layers.Layer):
    def call(self, x, training=False):
        if not training:
            return x
        return x + 0.1 * keras.random.normal(keras.ops.shape(x), dtype=x.dtype)


def model():
    inputs = keras.Input((6, 6, 2))
    x = layers.Conv2D(4, 3, activation="relu", name="first")(inputs)
    x = layers.SpatialDropout2D(0.25)(x)
    x = layers.Conv2D(3, 3, activation="relu", name="second")(x)
    x = layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name="norm")(x)
    x = layers.Flatten()(x)
    x = layers.Dropout(0.4)(x)
    x = layers.Dense(8, activation="tanh", name="third")(x)
    x = Noise()(x)
    x = layers.Dense(8, activation="relu", name="fourth")(x)
    x = layers.Dropout(0.3)(x)
    return keras.Model(inputs, layers.Dense(2, name="head")(x))


def loss(outputs, targets):
    return keras.ops.mean(keras.ops.square(outputs - targets))


def optimizer(model):
    return keras.optimizers.SGD(0.05)
