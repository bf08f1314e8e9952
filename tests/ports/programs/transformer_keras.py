import keras
from keras import layers, ops


class Positions(layers.Layer):
    def build(self, shape):
        self.table = self.add_weight(shape=shape[1:], initializer="random_normal", name="table")

    def call(self, x):
        return x + self.table


def model():
    tokens = keras.Input((6,), dtype="int32", name="token_ids")
    padding = keras.Input((6,), dtype="bool", name="padding_mask")
    x = layers.Embedding(20, 16, name="words")(tokens)
    x = Positions(name="positions")(x)
    attention = layers.MultiHeadAttention(4, 4, dropout=0.1, name="attention")
    mask = layers.Reshape((1, 6), name="keys")(padding)
    x = layers.LayerNormalization(epsilon=1e-5, name="norm1")(x + attention(x, x, attention_mask=mask))
    wide = layers.Dense(32, activation="relu", name="wide")(x)
    x = layers.LayerNormalization(epsilon=1e-5, name="norm2")(x + layers.Dense(16, name="narrow")(wide))
    return keras.Model([tokens, padding], layers.Dense(3, name="head")(x[:, 0]))


def loss(outputs, targets):
    return ops.mean(keras.losses.sparse_categorical_crossentropy(targets, outputs, from_logits=True))


def optimizer(model):
    return keras.optimizers.Adam(1e-3, epsilon=1e-8)
