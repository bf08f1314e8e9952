import keras
from keras import layers


def model():
    inputs = keras.Input((9, 9, 2))
    x = layers.Conv2D(6, 1, use_bias=False, name="expand")(inputs)
    x = layers.BatchNormalization(name="expand_norm")(x)
    x = layers.Activation("hard_swish", name="expand_act")(x)
    x = layers.DepthwiseConv2D(3, strides=2, padding="same", use_bias=False, name="depth")(x)
    x = layers.BatchNormalization(name="depth_norm")(x)
    s = layers.GlobalAveragePooling2D(keepdims=True, name="squeeze")(x)
    s = layers.Conv2D(2, 1, activation="relu", name="less")(s)
    s = layers.Conv2D(6, 1, activation="hard_sigmoid", name="gate")(s)
    x = layers.Multiply(name="scaled")([x, s])
    x = layers.Conv2D(4, 1, name="project")(x)
    x = layers.GlobalMaxPooling2D(name="most")(x)
    return keras.Model(inputs, layers.Dense(3, name="classes")(x))


def loss(outputs, targets):
    return keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)(
        keras.ops.one_hot(targets, 3), outputs
    )


def optimizer(model):
    return keras.optimizers.SGD(0.03, momentum=0.9, nesterov=True)
