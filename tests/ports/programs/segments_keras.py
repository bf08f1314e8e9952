import keras
from keras import layers


def block(x, filters):
    x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
    return layers.Activation("relu")(layers.BatchNormalization()(x))


def model(base=3, depth=2):
    inputs = keras.Input((8, 8, 2))
    skips, x = [], inputs
    for level in range(depth):
        x = block(x, base * 2**level)
        skips.append(x)
        x = layers.MaxPooling2D(2)(x)
    x = block(x, base * 2**depth)
    for level in reversed(range(depth)):
        x = layers.Conv2DTranspose(base * 2**level, 3, strides=2, padding="same")(x)
        x = block(layers.Concatenate()([skips[level], x]), base * 2**level)
    return keras.Model(inputs, layers.Conv2D(1, 1, activation="sigmoid")(x))


def loss(outputs, targets):
    return keras.losses.BinaryCrossentropy()(targets, outputs)


def optimizer(model):
    return keras.optimizers.Adam(1e-3)
