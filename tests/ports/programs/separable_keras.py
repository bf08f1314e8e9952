import keras
from keras import layers, ops


def model():
    inputs = keras.Input((8, 8, 3))
    x = layers.SeparableConv2D(6, 3, padding="same", activation="relu", name="stem")(inputs)
    x = layers.BatchNormalization(epsilon=1e-5, momentum=0.9, name="stem_norm")(x)
    left = layers.SeparableConv2D(6, 3, padding="same", use_bias=False, depth_multiplier=2, name="left")(x)
    right = layers.Conv2D(6, 1, use_bias=False, name="right")(x)
    left = layers.BatchNormalization(epsilon=1e-5, momentum=0.9, name="left_norm")(left)
    right = layers.BatchNormalization(epsilon=1e-5, momentum=0.9, name="right_norm")(right)
    x = layers.ReLU()(layers.Add()([left, right]))
    return keras.Model(inputs, layers.Dense(4, name="head")(layers.GlobalAveragePooling2D()(x)))


def loss(outputs, targets):
    return ops.mean(keras.losses.sparse_categorical_crossentropy(targets, outputs, from_logits=True))


def optimizer(model):
    return keras.optimizers.SGD(1e-2)
