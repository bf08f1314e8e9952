import keras
from keras import layers, ops


class LanguageModel(keras.Model):
    def __init__(self):
        super().__init__()
        self.table = layers.Embedding(12, 6, name="table")
        self.rnn = layers.LSTM(6, return_sequences=True, name="rnn")
        self.norm = layers.LayerNormalization(epsilon=1e-5, name="norm")

    def call(self, tokens):
        hidden = self.norm(self.rnn(self.table(tokens)))
        return ops.matmul(hidden, ops.transpose(self.table.embeddings))


def model():
    return LanguageModel()


def loss(outputs, targets):
    return ops.mean(keras.losses.sparse_categorical_crossentropy(targets, outputs, from_logits=True))


def optimizer(model):
    return keras.optimizers.Adam(1e-3, epsilon=1e-8)
