import keras
import tensorflow as tf
from keras import layers, ops


def net():
    return keras.Sequential(
        [keras.Input((5,)), layers.Dense(8, activation="relu", name="one"), layers.Dense(2, name="two")]
    )


def model():
    return {"student": net(), "teacher": net()}


def optimizer(models):
    return keras.optimizers.SGD(0.05)


def step(models, optimizer, batch):
    student, teacher = models["student"], models["teacher"]
    with tf.GradientTape() as tape:
        answer = student(batch["x"], training=True)
        supervised = ops.mean(ops.square(answer - batch["y"]))
        consistency = ops.mean(ops.square(answer - tf.stop_gradient(teacher(batch["x"], training=True))))
        total = supervised + 0.3 * consistency
    weights = student.trainable_variables
    optimizer.apply_gradients(zip(tape.gradient(total, weights), weights))
    for old, new in zip(teacher.weights, student.weights):
        old.assign(0.95 * old + 0.05 * new)
    return {"supervised": supervised, "consistency": consistency}
