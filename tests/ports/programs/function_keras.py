"""A function of variables that lie in dictionaries, as programs for TensorFlow 1 were written."""

import tensorflow as tf


def model():
    init = tf.random_normal_initializer(stddev=0.2)
    weights = {
        "wc1": tf.Variable(init([3, 3, 1, 4])),
        "wc2": tf.Variable(init([3, 3, 4, 8])),
        "wd1": tf.Variable(init([2 * 2 * 8, 16])),
        "out": tf.Variable(init([16, 3])),
    }
    biases = {
        "bc1": tf.Variable(tf.zeros([4])),
        "bc2": tf.Variable(tf.zeros([8])),
        "bd1": tf.Variable(tf.zeros([16])),
        "out": tf.Variable(tf.zeros([3])),
    }

    def conv2d(x, kernel, b, strides=1):
        x = tf.nn.conv2d(x, kernel, strides=[1, strides, strides, 1], padding="SAME")
        x = tf.nn.bias_add(x, b)
        return tf.nn.relu(x)

    def conv_net(x):
        x = conv2d(x, weights["wc1"], biases["bc1"])
        x = tf.nn.max_pool2d(x, ksize=2, strides=2, padding="SAME")
        x = conv2d(x, weights["wc2"], biases["bc2"], strides=2)
        x = tf.reshape(x, [-1, 32])
        x = tf.nn.relu(tf.add(tf.matmul(x, weights["wd1"]), biases["bd1"]))
        return tf.matmul(x, weights["out"]) + biases["out"]

    return conv_net


def loss(outputs, targets):
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=targets, logits=outputs))


def optimizer(model):
    return tf.keras.optimizers.Adam(1e-3)
