"""The job of `many_seeds.py` as a newcomer writes it in Keras: one Celery task a seed."""

from __future__ import annotations

import os

import celery
import keras
import numpy as np

app = celery.Celery("plain", broker=os.environ["PLAIN_REDIS"], backend=os.environ["PLAIN_REDIS"])
X = np.array([-1, 0, 1, 2, 3, 4], dtype="float32")[:, None]
Y = 2 * X - 1


@app.task(name="train")  # type: ignore[untyped-decorator]
def train(seed: int) -> float:
    """The last epoch's loss."""
    keras.utils.set_random_seed(seed)
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile(optimizer=keras.optimizers.SGD(0.01), loss="mse")
    model.build((None, 1))
    model.set_weights([np.array([[0.37]], "float32"), np.zeros(1, "float32")])
    history = model.fit(X, Y, epochs=500, batch_size=6, shuffle=False, verbose=0)
    return float(history.history["loss"][-1])
