import math

import keras
from keras import layers

BLOCKS = [
    {"kernel_size": 3, "repeats": 1, "filters_in": 8, "filters_out": 8, "expand_ratio": 1, "strides": 1},
    {"kernel_size": 5, "repeats": 2, "filters_in": 8, "filters_out": 12, "expand_ratio": 4, "strides": 2},
]
KERNEL = {
    "class_name": "VarianceScaling",
    "config": {"scale": 2.0, "mode": "fan_out", "distribution": "truncated_normal"},
}


def correct_pad(shape, kernel):
    adjust = (1 - shape[0] % 2, 1 - shape[1] % 2)
    correct = (kernel // 2, kernel // 2)
    return ((correct[0] - adjust[0], correct[0]), (correct[1] - adjust[1], correct[1]))


def block(
    inputs,
    activation="swish",
    drop_rate=0.0,
    name="",
    filters_in=32,
    filters_out=16,
    kernel_size=3,
    strides=1,
    expand_ratio=1,
    se_ratio=0.25,
    id_skip=True,
):
    filters = filters_in * expand_ratio
    if expand_ratio != 1:
        x = layers.Conv2D(
            filters, 1, padding="same", use_bias=False, kernel_initializer=KERNEL, name=name + "expand_conv"
        )(inputs)
        x = layers.BatchNormalization(name=name + "expand_bn")(x)
        x = layers.Activation(activation, name=name + "expand_activation")(x)
    else:
        x = inputs
    if strides == 2:
        x = layers.ZeroPadding2D(correct_pad(x.shape[1:3], kernel_size), name=name + "dwconv_pad")(x)
        conv_pad = "valid"
    else:
        conv_pad = "same"
    x = layers.DepthwiseConv2D(
        kernel_size, strides=strides, padding=conv_pad, use_bias=False, name=name + "dwconv"
    )(x)
    x = layers.BatchNormalization(name=name + "bn")(x)
    x = layers.Activation(activation, name=name + "activation")(x)
    if 0 < se_ratio <= 1:
        filters_se = max(1, int(filters_in * se_ratio))
        se = layers.GlobalAveragePooling2D(name=name + "se_squeeze")(x)
        se = layers.Reshape((1, 1, filters), name=name + "se_reshape")(se)
        se = layers.Conv2D(filters_se, 1, padding="same", activation=activation, name=name + "se_reduce")(se)
        se = layers.Conv2D(filters, 1, padding="same", activation="sigmoid", name=name + "se_expand")(se)
        x = layers.multiply([x, se], name=name + "se_excite")
    x = layers.Conv2D(filters_out, 1, padding="same", use_bias=False, name=name + "project_conv")(x)
    x = layers.BatchNormalization(name=name + "project_bn")(x)
    if id_skip and strides == 1 and filters_in == filters_out:
        if drop_rate > 0:
            x = layers.Dropout(drop_rate, noise_shape=(None, 1, 1, 1), name=name + "drop")(x)
        x = layers.add([x, inputs], name=name + "add")
    return x


def efficientnet(
    width_coefficient=1.5,
    depth_coefficient=1.0,
    drop_connect_rate=0.2,
    dropout_rate=0.3,
    classes=5,
    depth_divisor=4,
):
    def round_filters(filters):
        filters *= width_coefficient
        new = max(depth_divisor, int(filters + depth_divisor / 2) // depth_divisor * depth_divisor)
        if new < 0.9 * filters:
            new += depth_divisor
        return int(new)

    def round_repeats(repeats):
        return math.ceil(depth_coefficient * repeats)

    img = layers.Input((16, 16, 3))
    x = layers.Rescaling(1.0 / 255.0)(img)
    x = layers.Normalization(axis=-1, mean=[0.485, 0.456, 0.406], variance=[0.229**2, 0.224**2, 0.225**2])(x)
    x = layers.ZeroPadding2D(correct_pad((16, 16), 3), name="stem_conv_pad")(x)
    x = layers.Conv2D(round_filters(8), 3, strides=2, padding="valid", use_bias=False, name="stem_conv")(x)
    x = layers.BatchNormalization(name="stem_bn")(x)
    x = layers.Activation("swish", name="stem_activation")(x)
    b, total = 0, float(sum(round_repeats(a["repeats"]) for a in BLOCKS))
    for i, stage in enumerate(BLOCKS):
        args = dict(stage)
        args["filters_in"], args["filters_out"] = (
            round_filters(args["filters_in"]),
            round_filters(args["filters_out"]),
        )
        for j in range(round_repeats(args.pop("repeats"))):
            if j > 0:
                args["strides"], args["filters_in"] = 1, args["filters_out"]
            x = block(x, "swish", drop_connect_rate * b / total, name=f"block{i + 1}{chr(j + 97)}_", **args)
            b += 1
    x = layers.Conv2D(round_filters(32), 1, padding="same", use_bias=False, name="top_conv")(x)
    x = layers.BatchNormalization(name="top_bn")(x)
    x = layers.Activation("swish", name="top_activation")(x)
    x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
    x = layers.Dropout(dropout_rate, name="top_dropout")(x)
    return keras.Model(img, layers.Dense(classes, activation="softmax", name="predictions")(x))


def model():
    return efficientnet()


def loss(outputs, targets):
    return keras.losses.SparseCategoricalCrossentropy()(targets, outputs)


def optimizer(model):
    return keras.optimizers.RMSprop(0.016, rho=0.9, momentum=0.9, epsilon=1e-3)
