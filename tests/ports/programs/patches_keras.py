import keras
from keras import layers, ops


class Attention(layers.Layer):
    def __init__(self, dim, heads, **named):
        super().__init__(**named)
        self.heads = heads
        self.qkv = layers.Dense(3 * dim)
        self.out = layers.Dense(dim)

    def call(self, x):
        b, n, d = ops.shape(x)[0], x.shape[1], x.shape[2]
        split = [
            ops.transpose(ops.reshape(t, (b, n, self.heads, d // self.heads)), (0, 2, 1, 3))
            for t in ops.split(self.qkv(x), 3, axis=-1)
        ]
        q, k, v = split
        weights = ops.softmax(ops.matmul(q, ops.transpose(k, (0, 1, 3, 2))) * (d // self.heads) ** -0.5)
        return self.out(ops.reshape(ops.transpose(ops.matmul(weights, v), (0, 2, 1, 3)), (b, n, d)))


def model():
    images = keras.Input((8, 8, 3))
    x = layers.Conv2D(12, 4, 4, name="patch")(images)
    x = layers.Reshape((4, 12))(x)
    x = x + Attention(12, 3, name="attention")(layers.LayerNormalization(epsilon=1e-6, name="norm")(x))
    return keras.Model(images, layers.Dense(5, name="head")(layers.GlobalAveragePooling1D()(x)))


def loss(outputs, targets):
    return keras.ops.mean(keras.losses.sparse_categorical_crossentropy(targets, outputs, from_logits=True))


def optimizer(model):
    return keras.optimizers.SGD(0.1)
