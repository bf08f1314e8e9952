import keras
from keras import layers, ops


def model():
    source = keras.Input((5, 8), name="source")
    target = keras.Input((4, 8), name="target")
    x = layers.MultiHeadAttention(2, 4, name="look_back")(target, target, use_causal_mask=True)
    x = layers.LayerNormalization(epsilon=1e-6, name="first_norm")(layers.Add()([target, x]))
    y = layers.MultiHeadAttention(2, 4, name="look_over")(x, source)
    x = layers.LayerNormalization(epsilon=1e-6, name="second_norm")(layers.Add()([x, y]))
    y = layers.Dense(12, activation="gelu", name="widen")(x)
    y = layers.Dense(8, name="narrow")(y)
    x = layers.LayerNormalization(epsilon=1e-6, name="third_norm")(layers.Add()([x, y]))
    return keras.Model([source, target], layers.Dense(7, name="words")(x))


def loss(outputs, targets):
    return ops.mean(keras.losses.sparse_categorical_crossentropy(targets, outputs, from_logits=True))


def optimizer(model):
    return keras.optimizers.Adam(1e-3, beta_2=0.98, epsilon=1e-9)
