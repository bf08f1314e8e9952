"""After TensorFlow's tutorial of the Transformer: a small decoder."""

import numpy as np
import tensorflow as tf


def positional_encoding(length, depth):
    depth = depth / 2
    positions = np.arange(length)[:, np.newaxis]
    depths = np.arange(depth)[np.newaxis, :] / depth
    angle_rads = positions * (1 / (10000**depths))
    pos_encoding = np.concatenate([np.sin(angle_rads), np.cos(angle_rads)], axis=-1)
    return tf.cast(pos_encoding, dtype=tf.float32)


def create_look_ahead_mask(size):
    return 1 - tf.linalg.band_part(tf.ones((size, size)), -1, 0)


def scaled_dot_product_attention(q, k, v, mask):
    matmul_qk = tf.matmul(q, k, transpose_b=True)
    dk = tf.cast(tf.shape(k)[-1], tf.float32)
    logits = matmul_qk / tf.math.sqrt(dk)
    if mask is not None:
        logits += mask * -1e9
    return tf.matmul(tf.nn.softmax(logits, axis=-1), v)


class MultiHeadAttention(tf.keras.layers.Layer):
    def __init__(self, d_model, num_heads):
        super().__init__()
        self.num_heads, self.d_model = num_heads, d_model
        self.depth = d_model // num_heads
        self.wq = tf.keras.layers.Dense(d_model)
        self.wk = tf.keras.layers.Dense(d_model)
        self.wv = tf.keras.layers.Dense(d_model)
        self.dense = tf.keras.layers.Dense(d_model)

    def split_heads(self, x, batch_size):
        x = tf.reshape(x, (batch_size, -1, self.num_heads, self.depth))
        return tf.transpose(x, perm=[0, 2, 1, 3])

    def call(self, x, mask=None):
        n = tf.shape(x)[0]
        q, k, v = (
            self.split_heads(self.wq(x), n),
            self.split_heads(self.wk(x), n),
            self.split_heads(self.wv(x), n),
        )
        out = tf.transpose(scaled_dot_product_attention(q, k, v, mask), perm=[0, 2, 1, 3])
        return self.dense(tf.reshape(out, (n, -1, self.d_model)))


class DecoderLayer(tf.keras.layers.Layer):
    def __init__(self, d_model, heads, dff, rate=0.1):
        super().__init__()
        self.mha = MultiHeadAttention(d_model, heads)
        self.ffn = tf.keras.Sequential(
            [tf.keras.layers.Dense(dff, activation="relu"), tf.keras.layers.Dense(d_model)]
        )
        self.norm1 = tf.keras.layers.LayerNormalization(epsilon=1e-6)
        self.norm2 = tf.keras.layers.LayerNormalization(epsilon=1e-6)
        self.drop1 = tf.keras.layers.Dropout(rate)
        self.drop2 = tf.keras.layers.Dropout(rate)

    def call(self, x, training, mask):
        x = self.norm1(x + self.drop1(self.mha(x, mask), training=training))
        return self.norm2(x + self.drop2(self.ffn(x), training=training))


class LanguageModel(tf.keras.Model):
    def __init__(self, vocab=40, d_model=24, heads=3, dff=48, layers=2):
        super().__init__()
        self.d_model = d_model
        self.embedding = tf.keras.layers.Embedding(vocab, d_model)
        self.pos_encoding = positional_encoding(64, d_model)
        self.blocks = [DecoderLayer(d_model, heads, dff) for _ in range(layers)]
        self.dropout = tf.keras.layers.Dropout(0.1)
        self.final = tf.keras.layers.Dense(vocab)

    def call(self, x, training=False):
        n = tf.shape(x)[1]
        mask = create_look_ahead_mask(n)
        x = self.embedding(x)
        x *= tf.math.sqrt(tf.cast(self.d_model, tf.float32))
        x = x + self.pos_encoding[tf.newaxis, :n, :]
        x = self.dropout(x, training=training)
        for b in self.blocks:
            x = b(x, training=training, mask=mask)
        return self.final(x)


class CustomSchedule(tf.keras.optimizers.schedules.LearningRateSchedule):
    def __init__(self, d_model, warmup_steps=10):
        super().__init__()
        self.d_model = tf.cast(d_model, tf.float32)
        self.warmup_steps = warmup_steps

    def __call__(self, step):
        step = tf.cast(step, dtype=tf.float32)
        arg1 = tf.math.rsqrt(step + 1)
        arg2 = (step + 1) * (self.warmup_steps**-1.5)
        return tf.math.rsqrt(self.d_model) * tf.math.minimum(arg1, arg2)


loss_object = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="none")


def loss(outputs, targets):
    mask = targets != 0
    l = loss_object(targets, outputs)
    mask = tf.cast(mask, dtype=l.dtype)
    return tf.reduce_sum(l * mask) / tf.reduce_sum(mask)


def optimizer(model):
    return tf.keras.optimizers.Adam(CustomSchedule(24), beta_1=0.9, beta_2=0.98, epsilon=1e-9)


def model():
    return LanguageModel()
