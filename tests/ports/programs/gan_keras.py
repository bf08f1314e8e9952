import keras
import tensorflow as tf
from keras import layers, ops


def generator():
    return keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(16, activation="relu", name="lift"),
            layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name="norm"),
            layers.Dense(6, activation="tanh", name="draw"),
        ]
    )


def discriminator():
    return keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(16, name="look"),
            layers.LeakyReLU(negative_slope=0.2),
            layers.Dropout(0.3),
            layers.Dense(1, name="judge"),
        ]
    )


def model():
    return {"generator": generator(), "discriminator": discriminator(), "smooth": generator()}


def optimizer(models):
    return {
        "generator": keras.optimizers.Adam(1e-3, beta_1=0.5, epsilon=1e-8),
        "discriminator": keras.optimizers.Adam(2e-3, beta_1=0.5, epsilon=1e-8, clipvalue=0.5),
    }


def judged(logits, real):
    target = ops.ones_like(logits) * (0.9 if real else 0.0)
    return ops.mean(keras.losses.binary_crossentropy(target, logits, from_logits=True))


def step(models, optimizers, batch):
    generator, discriminator, smooth = models["generator"], models["discriminator"], models["smooth"]
    real = batch["x"]
    noise = keras.random.normal((real.shape[0], 4), dtype=real.dtype)
    with tf.GradientTape() as tape:
        fake = generator(noise, training=True)
        d_loss = judged(discriminator(real, training=True), True)
        d_loss += judged(discriminator(tf.stop_gradient(fake), training=True), False)
    weights = discriminator.trainable_variables
    optimizers["discriminator"].apply_gradients(zip(tape.gradient(d_loss, weights), weights))
    with tf.GradientTape() as tape:
        g_loss = judged(discriminator(generator(noise, training=True), training=True), True)
    weights = generator.trainable_variables
    optimizers["generator"].apply_gradients(zip(tape.gradient(g_loss, weights), weights))
    for slow, fast in zip(smooth.trainable_variables, generator.trainable_variables):
        slow.assign(0.99 * slow + 0.01 * fast)
    return {"d_loss": d_loss, "g_loss": g_loss}
