import keras


def model():
    return keras.Sequential(
        [
            keras.Input((12,)),
            keras.layers.Dense(16, activation="tanh", name="first"),
            keras.layers.Dropout(0.3),
            keras.layers.Dense(16, activation="gelu", name="second"),
            keras.layers.LayerNormalization(epsilon=1e-5, name="norm"),
            keras.layers.Dense(3, activation="softmax", name="head"),
        ]
    )


def loss(outputs, targets):
    return keras.ops.mean(keras.losses.sparse_categorical_crossentropy(targets, outputs))


def optimizer(model):
    return keras.optimizers.SGD(0.1, momentum=0.9)
