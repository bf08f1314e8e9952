import keras
import tensorflow as tf
from keras import layers, ops


def model():
    state = keras.Input((4,))
    x = layers.Dense(8, activation="tanh", name="body")(state)
    return keras.Model(state, [layers.Dense(3, name="actor")(x), layers.Dense(1, name="critic")(x)])


def optimizer(model):
    return keras.optimizers.RMSprop(7e-3, rho=0.99, epsilon=1e-5)


def step(model, optimizer, batch):
    with tf.GradientTape() as tape:
        logits, values = model(batch["state"], training=True)
        values = values[:, 0]
        chances = ops.log_softmax(logits)
        advantage = batch["reward"] - values
        taken = tf.gather(chances, batch["action"], batch_dims=1)
        policy = -ops.mean(taken * tf.stop_gradient(advantage))
        value = ops.mean(ops.square(advantage))
        entropy = -ops.mean(ops.sum(ops.exp(chances) * chances, axis=-1))
        total = policy + 0.5 * value - 0.01 * entropy
    gradients = tape.gradient(total, model.trainable_variables)
    optimizer.apply_gradients(zip(gradients, model.trainable_variables))
    return {"policy": policy, "value": value, "entropy": entropy}
