import keras
import tensorflow as tf
from keras import layers


def make_generator_model():
    model = keras.Sequential()
    model.add(keras.Input((10,)))
    model.add(layers.Dense(4 * 4 * 16, use_bias=False))
    model.add(layers.BatchNormalization())
    model.add(layers.LeakyReLU())
    model.add(layers.Reshape((4, 4, 16)))
    model.add(layers.Conv2DTranspose(8, (5, 5), strides=(1, 1), padding="same", use_bias=False))
    model.add(layers.BatchNormalization())
    model.add(layers.LeakyReLU())
    model.add(
        layers.Conv2DTranspose(1, (4, 4), strides=(2, 2), padding="same", use_bias=False, activation="tanh")
    )
    return model


def make_discriminator_model():
    model = keras.Sequential()
    model.add(keras.Input((8, 8, 1)))
    model.add(layers.Conv2D(8, (5, 5), strides=(2, 2), padding="same"))
    model.add(layers.LeakyReLU())
    model.add(layers.Dropout(0.3))
    model.add(layers.Conv2D(16, (5, 5), strides=(2, 2), padding="same"))
    model.add(layers.LeakyReLU())
    model.add(layers.Dropout(0.3))
    model.add(layers.Flatten())
    model.add(layers.Dense(1))
    return model


cross_entropy = keras.losses.BinaryCrossentropy(from_logits=True)


def discriminator_loss(real_output, fake_output):
    real_loss = cross_entropy(tf.ones_like(real_output), real_output)
    fake_loss = cross_entropy(tf.zeros_like(fake_output), fake_output)
    return real_loss + fake_loss


def generator_loss(fake_output):
    return cross_entropy(tf.ones_like(fake_output), fake_output)


def model():
    return {"generator": make_generator_model(), "discriminator": make_discriminator_model()}


def optimizer(models):
    return {"generator": keras.optimizers.Adam(1e-4), "discriminator": keras.optimizers.Adam(1e-4)}


def step(models, optimizers, batch):
    generator, discriminator = models["generator"], models["discriminator"]
    images = batch["x"]
    noise = tf.random.normal([images.shape[0], 10])
    with tf.GradientTape() as gen_tape, tf.GradientTape() as disc_tape:
        generated_images = generator(noise, training=True)
        real_output = discriminator(images, training=True)
        fake_output = discriminator(generated_images, training=True)
        gen_loss = generator_loss(fake_output)
        disc_loss = discriminator_loss(real_output, fake_output)
    g = gen_tape.gradient(gen_loss, generator.trainable_variables)
    d = disc_tape.gradient(disc_loss, discriminator.trainable_variables)
    optimizers["generator"].apply_gradients(zip(g, generator.trainable_variables))
    optimizers["discriminator"].apply_gradients(zip(d, discriminator.trainable_variables))
    return {"gen_loss": gen_loss, "disc_loss": disc_loss}
