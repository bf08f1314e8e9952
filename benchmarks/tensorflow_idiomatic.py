"""Two networks as Keras's guides write them: `compile` and `fit`. Prints seconds an epoch and the last loss.

    python tensorflow_idiomatic.py mlp|conv DATA.npz

DATA.npz has x, y and the initial weights w0, w1, … in the order of the layers. One epoch warms up and is
not timed. Started by `tensorflow_speed.py` in a process of its own, with nothing that Likewise sets.
"""

from __future__ import annotations

import sys
import time

import keras
import numpy as np

EPOCHS = 3
BATCH = 32
NETWORKS = {
    "mlp": lambda: [keras.layers.Dense(128, activation="relu"), keras.layers.Dense(10)],
    "conv": lambda: [
        keras.layers.Conv2D(16, 3, activation="relu"),
        keras.layers.MaxPooling2D(2),
        keras.layers.Flatten(),
        keras.layers.Dense(10),
    ],
}


def main(network: str, data: str) -> None:
    """Train and print `seconds loss`."""
    arrays = np.load(data)
    x, y = arrays["x"], arrays["y"]
    model = keras.Sequential([keras.Input(shape=x.shape[1:]), *NETWORKS[network]()])
    model.set_weights([arrays[f"w{i}"] for i in range(len(model.get_weights()))])
    model.compile(optimizer="adam", loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(x, y, epochs=1, batch_size=BATCH, shuffle=False, verbose=0)
    begin = time.perf_counter()
    history = model.fit(x, y, epochs=EPOCHS, batch_size=BATCH, shuffle=False, verbose=0)
    print((time.perf_counter() - begin) / EPOCHS, history.history["loss"][-1])


if __name__ == "__main__":
    main(*sys.argv[1:])
