import keras
from keras import layers


def model():
    return keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(9, activation="relu", name="up"),
            layers.LayerNormalization(epsilon=1e-5, name="norm"),
            layers.Dense(2, name="down"),
        ]
    )


def loss(outputs, targets):
    return keras.losses.MeanSquaredError()(targets, outputs)


def optimizer(model):
    adam = keras.optimizers.AdamW(5e-3, weight_decay=0.1, epsilon=1e-8)
    adam.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return adam
