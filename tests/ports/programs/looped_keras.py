import keras
from keras import layers, ops


class Loop(keras.Model):
    def __init__(self):
        super().__init__()
        self.enter = layers.Dense(6, name="enter")
        self.again = layers.Dense(6, use_bias=False, name="again")
        self.norm = layers.LayerNormalization(epsilon=1e-5, name="norm")
        self.leave = layers.Dense(2, name="leave")

    def call(self, x):
        state = ops.zeros((x.shape[0], 6), dtype=x.dtype)
        for step in range(x.shape[1]):
            new = ops.tanh(self.enter(x[:, step]) + self.again(state))
            state = self.norm(0.9 * new + 0.1 * state)
        return self.leave(ops.relu(state))


def model():
    return Loop()


def loss(outputs, targets):
    return ops.mean(ops.square(outputs - targets))


def optimizer(model):
    return keras.optimizers.SGD(0.05, momentum=0.9)
