import keras
from keras import ops


class DepthwiseBlock(keras.layers.Layer):
    def __init__(self, filters, stride=1, alpha=1.0, **kwargs):
        super().__init__(**kwargs)
        self.pad = keras.layers.ZeroPadding2D(((0, 1), (0, 1))) if stride == 2 else None
        self.dw = keras.layers.DepthwiseConv2D(
            3, strides=stride, padding="valid" if stride == 2 else "same", use_bias=False
        )
        self.bn1 = keras.layers.BatchNormalization()
        self.pw = keras.layers.Conv2D(int(filters * alpha), 1, use_bias=False)
        self.bn2 = keras.layers.BatchNormalization()

    def call(self, x, training=False):
        if self.pad is not None:
            x = self.pad(x)
        x = ops.relu6(self.bn1(self.dw(x), training=training))
        return ops.relu6(self.bn2(self.pw(x), training=training))


class MobileNet(keras.Model):
    def __init__(self, classes=6, alpha=1.0, dropout=1e-1):
        super().__init__()
        self.rescale = keras.layers.Rescaling(1 / 127.5, offset=-1)
        self.stem = keras.layers.Conv2D(
            8, 3, strides=2, padding="same", use_bias=False, kernel_regularizer="l2"
        )
        self.stem_bn = keras.layers.BatchNormalization()
        self.blocks = [DepthwiseBlock(f, s, alpha) for f, s in [(16, 1), (24, 2)]]
        self.pool = keras.layers.GlobalAveragePooling2D(keepdims=True)
        self.drop = keras.layers.Dropout(dropout)
        self.head = keras.layers.Conv2D(classes, 1)
        self.flat = keras.layers.Flatten()

    def call(self, images, training=False):
        x = self.rescale(images)
        x = ops.relu6(self.stem_bn(self.stem(x), training=training))
        for block in self.blocks:
            x = block(x, training=training)
        x = self.drop(self.pool(x), training=training)
        return ops.softmax(self.flat(self.head(x)))


def model():
    net = MobileNet()
    net.compile(
        optimizer=keras.optimizers.Adam(1e-3),
        loss=keras.losses.SparseCategoricalCrossentropy(),
        metrics=["accuracy"],
    )
    return net
