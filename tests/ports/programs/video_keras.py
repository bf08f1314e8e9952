import keras
from keras import layers, ops


def model():
    frame = keras.Sequential(
        [
            layers.Input((8, 8, 3)),
            layers.Conv2D(4, 3, padding="same", name="edges"),
            layers.ReLU(name="rectify"),
            layers.MaxPooling2D(2, name="shrink"),
            layers.Dropout(0.2, name="drop"),
            layers.Conv2D(5, 3, activation="relu", name="shapes"),
            layers.GlobalAveragePooling2D(name="pool"),
        ],
        name="frame",
    )
    video = keras.Input((3, 8, 8, 3))
    x = layers.TimeDistributed(frame, name="frames")(video)
    x = layers.TimeDistributed(layers.Dense(6, activation="tanh", name="squeeze"), name="each")(x)
    x = layers.LSTM(4, name="over_time")(x)
    return keras.Model(video, layers.Dense(3, name="head")(x))


def loss(outputs, targets):
    return ops.mean(keras.losses.sparse_categorical_crossentropy(targets, outputs, from_logits=True))


def optimizer(model):
    return keras.optimizers.SGD(0.1)
