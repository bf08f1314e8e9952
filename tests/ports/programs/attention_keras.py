import keras
from keras import layers, ops


class Attention(layers.Layer):
    def __init__(self, width, **options):
        super().__init__(**options)
        self.query = layers.Dense(width, name="query")
        self.key = layers.Dense(width, name="key")
        self.value = layers.Dense(width, name="value")
        self.out = layers.Dense(width, name="out")
        self.width = width

    def call(self, x):
        q, k, v = self.query(x), self.key(x), self.value(x)
        scores = ops.matmul(q, ops.transpose(k, (0, 2, 1))) / self.width**0.5
        return self.out(ops.matmul(ops.softmax(scores, axis=-1), v))


def model():
    inputs = keras.Input((5, 8))
    x = layers.LayerNormalization(epsilon=1e-5, name="norm")(inputs)
    x = layers.Add()([inputs, Attention(8, name="attention")(x)])
    x = layers.GlobalAveragePooling1D()(x)
    return keras.Model(inputs, layers.Dense(2, name="head")(x))


def loss(outputs, targets):
    return keras.ops.mean(keras.ops.square(outputs - targets))


def optimizer(model):
    return keras.optimizers.SGD(1e-3)
