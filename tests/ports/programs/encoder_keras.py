import keras
from keras import layers, ops


class BertEmbeddings(layers.Layer):
    def __init__(self, vocab_size, hidden, max_len, type_vocab=2, dropout=0.1, **kw):
        super().__init__(**kw)
        self.word_embeddings = layers.Embedding(vocab_size, hidden, name="word_embeddings")
        self.position_embeddings = layers.Embedding(max_len, hidden, name="position_embeddings")
        self.token_type_embeddings = layers.Embedding(type_vocab, hidden, name="token_type_embeddings")
        self.norm = layers.LayerNormalization(epsilon=1e-12, name="LayerNorm")
        self.dropout = layers.Dropout(dropout)

    def call(self, input_ids, token_type_ids, training=None):
        positions = ops.arange(ops.shape(input_ids)[1])
        x = self.word_embeddings(input_ids)
        x = x + self.position_embeddings(positions)
        x = x + self.token_type_embeddings(token_type_ids)
        return self.dropout(self.norm(x), training=training)


class TransformerBlock(layers.Layer):
    def __init__(self, hidden, heads, intermediate, dropout=0.1, **kw):
        super().__init__(**kw)
        self.att = layers.MultiHeadAttention(num_heads=heads, key_dim=hidden // heads, dropout=dropout)
        self.ffn = keras.Sequential([layers.Dense(intermediate, activation="gelu"), layers.Dense(hidden)])
        self.layernorm1 = layers.LayerNormalization(epsilon=1e-12)
        self.layernorm2 = layers.LayerNormalization(epsilon=1e-12)
        self.dropout1 = layers.Dropout(dropout)
        self.dropout2 = layers.Dropout(dropout)

    def call(self, x, mask=None, training=None):
        attn = self.att(x, x, attention_mask=mask, training=training)
        x = self.layernorm1(x + self.dropout1(attn, training=training))
        return self.layernorm2(x + self.dropout2(self.ffn(x), training=training))


class BertModel(keras.Model):
    def __init__(
        self,
        vocab_size=100,
        hidden=32,
        num_layers=2,
        heads=4,
        intermediate=64,
        max_len=16,
        num_labels=3,
        **kw,
    ):
        super().__init__(**kw)
        self.embeddings = BertEmbeddings(vocab_size, hidden, max_len)
        self.encoder = [
            TransformerBlock(hidden, heads, intermediate, name=f"layer_{i}") for i in range(num_layers)
        ]
        self.pooler = layers.Dense(hidden, activation="tanh", name="pooler")
        self.dropout = layers.Dropout(0.1)
        self.classifier = layers.Dense(num_labels, name="classifier")

    def call(self, inputs, training=None):
        x = self.embeddings(inputs["input_ids"], inputs["token_type_ids"], training=training)
        mask = ops.cast(inputs["attention_mask"], "bool")[:, None, :]
        for block in self.encoder:
            x = block(x, mask=mask, training=training)
        pooled = self.pooler(x[:, 0])
        return self.classifier(self.dropout(pooled, training=training))


def loss(outputs, targets):
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)(targets, outputs)


def optimizer(model):
    schedule = keras.optimizers.schedules.PolynomialDecay(5e-4, decay_steps=100, end_learning_rate=0.0)
    opt = keras.optimizers.AdamW(
        learning_rate=schedule, weight_decay=0.01, epsilon=1e-6, clipnorm=None, global_clipnorm=1.0
    )
    opt.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return opt


def model():
    return BertModel()
