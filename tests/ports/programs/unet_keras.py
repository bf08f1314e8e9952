import keras
from keras import layers


def double(x, filters, name):
    for number in (1, 2):
        x = layers.Conv2D(filters, 3, padding="same", use_bias=False, name=f"{name}_{number}")(x)
        x = layers.BatchNormalization(epsilon=1e-5, momentum=0.9, name=f"{name}_bn{number}")(x)
        x = layers.ReLU(name=f"{name}_relu{number}")(x)
    return x


def model():
    inputs = keras.Input((8, 8, 1))
    fine = double(inputs, 3, "fine")
    coarse = double(layers.MaxPooling2D(name="down")(fine), 5, "coarse")
    up = layers.UpSampling2D(2, interpolation="bilinear", name="up")(coarse)
    both = layers.Concatenate(name="skip")([fine, up])
    merged = double(both, 3, "merged")
    return keras.Model(inputs, layers.Conv2D(1, 1, name="mask")(merged))


def loss(outputs, targets):
    crossed = keras.losses.BinaryCrossentropy(from_logits=True)(targets, outputs)
    chance = keras.ops.sigmoid(outputs)
    dice = (2 * keras.ops.sum(chance * targets) + 1) / (keras.ops.sum(chance) + keras.ops.sum(targets) + 1)
    return crossed + 1 - dice


def optimizer(model):
    return keras.optimizers.SGD(0.05, momentum=0.9)
