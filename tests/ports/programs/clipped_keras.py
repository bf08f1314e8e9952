import keras
import tensorflow as tf
from keras import layers, ops


def model():
    inputs = keras.Input((9, 3))
    x = layers.SimpleRNN(6, name="memory")(inputs)
    return keras.Model(inputs, layers.Dense(1, name="value")(x))


def optimizer(model):
    return keras.optimizers.SGD(0.5)


def step(model, optimizer, batch):
    with tf.GradientTape() as tape:
        loss = 10 * ops.mean(ops.square(model(batch["x"], training=True)[:, 0] - batch["y"]))
    gradients, _norm = tf.clip_by_global_norm(tape.gradient(loss, model.trainable_variables), 0.25)
    optimizer.apply_gradients(zip(gradients, model.trainable_variables))
    return {"loss": loss}
