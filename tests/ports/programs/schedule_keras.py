import keras
import tensorflow as tf
from keras import layers


def model():
    return keras.Sequential(
        [
            keras.Input((5,)),
            layers.Dense(6, activation="elu", name="inner"),
            layers.Dense(1, name="outer"),
        ]
    )


def optimizer(model):
    rate = keras.optimizers.schedules.ExponentialDecay(0.1, decay_steps=1, decay_rate=0.7)
    return keras.optimizers.SGD(rate, momentum=0.8, nesterov=True)


def step(model, optimizer, batch):
    with tf.GradientTape() as tape:
        answers = model(batch["x"], training=True)
        value = keras.losses.MeanSquaredError()(batch["y"], answers)
    optimizer.apply(tape.gradient(value, model.trainable_variables), model.trainable_variables)
    return {"loss": value}
