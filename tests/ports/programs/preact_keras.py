import keras
from keras import layers


def model():
    inputs = keras.Input((6, 6, 2))
    x = layers.Conv2D(4, 3, padding="same", name="stem")(inputs)
    for number in (1, 2):
        y = layers.ReLU(name=f"relu_{number}")(x)
        y = layers.SeparableConv2D(4, 3, padding="same", use_bias=False, name=f"mix_{number}")(y)
        y = layers.BatchNormalization(epsilon=1e-5, momentum=0.9, name=f"norm_{number}")(y)
        x = layers.Add(name=f"sum_{number}")([x, y])
    x = layers.GlobalAveragePooling2D()(layers.ReLU(name="last_relu")(x))
    return keras.Model(inputs, layers.Dense(3, name="top")(x))


def loss(outputs, targets):
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)(targets, outputs)


def optimizer(model):
    return keras.optimizers.SGD(0.05, weight_decay=0.01)
