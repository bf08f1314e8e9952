import keras
from keras import layers


def base():
    inputs = keras.Input((7, 7, 3))
    x = layers.Conv2D(4, 3, use_bias=False, name="edges")(inputs)
    x = layers.BatchNormalization(epsilon=1e-5, momentum=0.9, name="edges_bn")(x)
    x = layers.ReLU(name="edges_relu")(x)
    return keras.Model(inputs, x, name="base")


def model():
    trunk = base()
    trunk.trainable = False
    inputs = keras.Input((7, 7, 3))
    x = layers.Conv2D(5, 3, name="parts")(trunk(inputs))
    x = layers.ReLU(name="parts_relu")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(inputs, layers.Dense(2, name="classes")(x))


def loss(outputs, targets):
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)(targets, outputs)


def optimizer(model):
    return keras.optimizers.SGD(0.1, momentum=0.5)
