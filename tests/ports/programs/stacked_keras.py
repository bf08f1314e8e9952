import keras
from keras import layers, ops


def model():
    tokens = keras.Input((7,), dtype="int32")
    x = layers.Embedding(20, 6, name="words")(tokens)
    x = layers.Bidirectional(layers.LSTM(5, return_sequences=True), name="first")(x)
    x = layers.Dropout(0.2, name="between")(x)
    x = layers.Bidirectional(layers.LSTM(5), name="second")(x)
    return keras.Model(tokens, layers.Dense(2, name="head")(x))


def loss(outputs, targets):
    return ops.mean(keras.losses.sparse_categorical_crossentropy(targets, outputs, from_logits=True))


def optimizer(model):
    return keras.optimizers.SGD(0.1)
