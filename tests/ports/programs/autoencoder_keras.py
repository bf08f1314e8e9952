import keras
from keras import layers


def model():
    inputs = keras.Input((8, 8, 1))
    x = layers.Conv2D(4, 2, strides=2, activation="elu", name="down")(inputs)
    x = layers.Flatten()(x)
    x = layers.Dense(64, activation="relu", name="code")(x)
    x = layers.Reshape((4, 4, 4))(x)
    return keras.Model(inputs, layers.Conv2DTranspose(1, 2, strides=2, activation="sigmoid", name="up")(x))


def loss(outputs, targets):
    return keras.ops.mean(keras.ops.sum(keras.ops.square(outputs - targets), axis=(1, 2, 3)))


def optimizer(model):
    return keras.optimizers.Adam(1e-3, epsilon=1e-8)
