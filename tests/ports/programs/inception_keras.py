import keras
from keras import layers


def unit(x, filters, size, name):
    x = layers.Conv2D(filters, size, padding="same", use_bias=False, name=name)(x)
    x = layers.BatchNormalization(epsilon=1e-5, momentum=0.9, name=f"{name}_bn")(x)
    return layers.ReLU()(x)


def block(x, name):
    one = unit(x, 4, 1, f"{name}_one")
    three = unit(unit(x, 4, 1, f"{name}_three_reduce"), 4, 3, f"{name}_three")
    double = unit(unit(x, 4, 1, f"{name}_double_reduce"), 4, 3, f"{name}_double_1")
    double = unit(double, 4, 3, f"{name}_double_2")
    pooled = unit(layers.AveragePooling2D(3, 1, padding="same")(x), 4, 1, f"{name}_pooled")
    return layers.Concatenate()([one, three, double, pooled])


def model():
    inputs = keras.Input((6, 6, 16))
    x = block(block(inputs, "lower"), "upper")
    return keras.Model(inputs, layers.Dense(3, name="top")(layers.GlobalAveragePooling2D()(x)))


def loss(outputs, targets):
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)(targets, outputs)


def optimizer(model):
    return keras.optimizers.SGD(0.05)
