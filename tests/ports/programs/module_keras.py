"""Modules of TensorFlow's own, without Keras: a table, a norm and dense layers."""

import tensorflow as tf


class Dense(tf.Module):
    def __init__(self, in_features, out_features, name=None):
        super().__init__(name=name)
        self.w = tf.Variable(tf.random.normal([in_features, out_features], stddev=0.3), name="w")
        self.b = tf.Variable(tf.zeros([out_features]), name="b")

    def __call__(self, x):
        return x @ self.w + self.b


class Norm(tf.Module):
    def __init__(self, features):
        super().__init__()
        self.scale = tf.Variable(tf.ones([features]))
        self.offset = tf.Variable(tf.zeros([features]))

    def __call__(self, x):
        mean, variance = tf.nn.moments(x, axes=[-1], keepdims=True)
        return tf.nn.batch_normalization(x, mean, variance, self.offset, self.scale, 1e-6)


class Net(tf.Module):
    def __init__(self):
        super().__init__()
        self.words = tf.Variable(tf.random.normal([20, 6]))
        self.hidden = [Dense(6, 16), Dense(16, 16)]
        self.norm = Norm(16)
        self.out = Dense(16, 3)

    @tf.function
    def __call__(self, tokens):
        x = tf.reduce_mean(tf.nn.embedding_lookup(self.words, tokens), axis=1)
        for layer in self.hidden:
            x = tf.nn.gelu(layer(x))
        return self.out(self.norm(x))


def model():
    return Net()


def loss(outputs, targets):
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=targets, logits=outputs))


def optimizer(model):
    return tf.keras.optimizers.SGD(0.1, momentum=0.9)
