"""The article's program as a newcomer writes it in Keras. Prints its seconds and its prediction at 10.

The seconds are those of `fit` alone: building and importing are left out. Started by
`tensorflow_speed.py` in a process of its own, with nothing that Likewise sets.
"""

from __future__ import annotations

import time

import keras
import numpy as np

EPOCHS = 500


def main() -> None:
    """Train and print `seconds prediction`."""
    xs = np.array([-1.0, 0.0, 1.0, 2.0, 3.0, 4.0], dtype=float)
    ys = np.array([-3.0, -1.0, 1.0, 3.0, 5.0, 7.0], dtype=float)
    model = keras.Sequential([keras.Input(shape=(1,)), keras.layers.Dense(units=1)])
    model.set_weights([np.array([[0.37]]), np.array([0.0])])
    model.compile(optimizer="sgd", loss="mean_squared_error")
    begin = time.perf_counter()
    model.fit(xs, ys, epochs=EPOCHS, verbose=0)
    seconds = time.perf_counter() - begin
    print(seconds, float(model.predict(np.array([10.0]), verbose=0)[0, 0]))


if __name__ == "__main__":
    main()
