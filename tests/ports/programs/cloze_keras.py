import math

import keras
import tensorflow as tf
from keras import layers


class TFBertEmbeddings(layers.Layer):
    def __init__(self, vocab, hidden, positions, types, eps, drop, **kw):
        super().__init__(**kw)
        self.vocab, self.hidden, self.positions, self.types = vocab, hidden, positions, types
        self.LayerNorm = layers.LayerNormalization(epsilon=eps, name="LayerNorm")
        self.dropout = layers.Dropout(drop)

    def build(self, *_):
        init = keras.initializers.TruncatedNormal(stddev=0.02)
        self.weight = self.add_weight(name="weight", shape=(self.vocab, self.hidden), initializer=init)
        self.token_type_embeddings = self.add_weight(
            name="token_type_embeddings", shape=(self.types, self.hidden), initializer=init
        )
        self.position_embeddings = self.add_weight(
            name="position_embeddings", shape=(self.positions, self.hidden), initializer=init
        )
        self.LayerNorm.build((None, None, self.hidden))
        self.built = True

    def call(self, input_ids, token_type_ids, training=None):
        x = tf.gather(self.weight, input_ids)
        position_ids = tf.expand_dims(tf.range(0, tf.shape(input_ids)[1]), 0)
        x = (
            x
            + tf.gather(self.position_embeddings, position_ids)
            + tf.gather(self.token_type_embeddings, token_type_ids)
        )
        return self.dropout(self.LayerNorm(x), training=training)


class TFBertSelfAttention(layers.Layer):
    def __init__(self, hidden, heads, drop, **kw):
        super().__init__(**kw)
        self.heads, self.size = heads, hidden // heads
        self.query, self.key, self.value = (layers.Dense(hidden, name=n) for n in ("query", "key", "value"))
        self.dropout = layers.Dropout(drop)

    def split(self, x, batch):
        return tf.transpose(tf.reshape(x, (batch, -1, self.heads, self.size)), (0, 2, 1, 3))

    def call(self, x, mask, training=None):
        batch = tf.shape(x)[0]
        q, k, v = (self.split(one(x), batch) for one in (self.query, self.key, self.value))
        scores = tf.matmul(q, k, transpose_b=True) / tf.cast(math.sqrt(self.size), x.dtype)
        probs = self.dropout(tf.nn.softmax(scores + mask, axis=-1), training=training)
        out = tf.transpose(tf.matmul(probs, v), (0, 2, 1, 3))
        return tf.reshape(out, (batch, -1, self.heads * self.size))


class TFBertLayer(layers.Layer):
    def __init__(self, hidden, heads, inner, eps, drop, **kw):
        super().__init__(**kw)
        self.self_attention = TFBertSelfAttention(hidden, heads, drop, name="self")
        self.attention_output = layers.Dense(hidden, name="attention_output")
        self.norm1 = layers.LayerNormalization(epsilon=eps)
        self.intermediate = layers.Dense(inner, name="intermediate")
        self.out = layers.Dense(hidden, name="output")
        self.norm2 = layers.LayerNormalization(epsilon=eps)
        self.d1, self.d2 = layers.Dropout(drop), layers.Dropout(drop)

    def call(self, x, mask, training=None):
        a = self.d1(self.attention_output(self.self_attention(x, mask, training=training)), training=training)
        x = self.norm1(a + x)
        h = keras.activations.gelu(self.intermediate(x))
        return self.norm2(self.d2(self.out(h), training=training) + x)


class TFBertForMaskedLM(keras.Model):
    def __init__(
        self, vocab=40, hidden=24, n=2, heads=3, inner=48, positions=16, types=2, eps=1e-12, drop=0.1
    ):
        super().__init__()
        self.embeddings = TFBertEmbeddings(vocab, hidden, positions, types, eps, drop, name="embeddings")
        self.encoder = [TFBertLayer(hidden, heads, inner, eps, drop, name=f"layer_._{i}") for i in range(n)]
        self.transform = layers.Dense(hidden, name="transform")
        self.transform_norm = layers.LayerNormalization(epsilon=eps, name="transform_norm")
        self.vocab = vocab

    def build(self, shape=None):
        self.embeddings.build()
        self.bias = self.add_weight(name="predictions_bias", shape=(self.vocab,), initializer="zeros")
        super().build(shape)

    def call(self, inputs, training=None):
        mask = tf.cast(inputs["attention_mask"][:, None, None, :], self.compute_dtype)
        mask = (1.0 - mask) * -10000.0
        x = self.embeddings(inputs["input_ids"], inputs["token_type_ids"], training=training)
        for one in self.encoder:
            x = one(x, mask, training=training)
        x = self.transform_norm(keras.activations.gelu(self.transform(x)))
        return tf.matmul(x, self.embeddings.weight, transpose_b=True) + self.bias


def model():
    return TFBertForMaskedLM()


def loss(outputs, targets):
    active = tf.not_equal(tf.reshape(targets, (-1,)), -100)
    flat = tf.boolean_mask(tf.reshape(outputs, (-1, outputs.shape[-1])), active)
    return tf.reduce_mean(
        keras.losses.sparse_categorical_crossentropy(
            tf.boolean_mask(tf.reshape(targets, (-1,)), active), flat, from_logits=True
        )
    )


def optimizer(model):
    return keras.optimizers.Adam(5e-4, epsilon=1e-8)
