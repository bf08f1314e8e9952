import keras
from keras import layers, ops


class Sampling(layers.Layer):
    def call(self, mean, log_variance):
        noise = keras.random.normal(ops.shape(mean), dtype=mean.dtype)
        return mean + ops.exp(0.5 * log_variance) * noise


def model():
    inputs = keras.Input((10,))
    hidden = layers.Dense(8, activation="relu", name="encode")(inputs)
    mean = layers.Dense(3, name="mean")(hidden)
    log_variance = layers.Dense(3, name="log_variance")(hidden)
    code = Sampling(name="sampling")(mean, log_variance)
    x = layers.Dense(8, activation="relu", name="decode")(code)
    x = layers.Dense(10, activation="sigmoid", name="picture")(x)
    return keras.Model(inputs, [x, mean, log_variance])


def loss(outputs, targets):
    picture, mean, log_variance = outputs
    likelihood = ops.sum(keras.losses.binary_crossentropy(targets, picture)) * 10
    divergence = -0.5 * ops.sum(1 + log_variance - ops.square(mean) - ops.exp(log_variance))
    return (likelihood + divergence) / targets.shape[0]


def optimizer(model):
    return keras.optimizers.SGD(1e-2)
