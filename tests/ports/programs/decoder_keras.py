import keras
from keras import layers


def model():
    codes = keras.Input((5,))
    x = layers.Dense(3 * 3 * 4, name="seed")(codes)
    x = layers.Reshape((3, 3, 4))(x)
    x = layers.Conv2DTranspose(4, 4, strides=2, padding="same", name="up_one")(x)
    x = layers.LeakyReLU(negative_slope=0.1, name="leak")(x)
    x = layers.Conv2DTranspose(2, 4, strides=2, padding="same", activation="tanh", name="up_two")(x)
    return keras.Model(codes, x)


def loss(outputs, targets):
    return keras.ops.mean(keras.ops.abs(outputs - targets))


def optimizer(model):
    return keras.optimizers.Adam(2e-3, beta_1=0.5, epsilon=1e-8)
