"""Arrays above Redis's share on the local stack: a folder of it takes them, without a setting."""

from __future__ import annotations

import json

JOB = """
name: bytes
data: {type: synthetic, kind: mnist, samples: 8000, scale: 255}
model: {layers: [flatten, {type: dense, units: 10}]}
loss: categorical_crossentropy
optimizer: {type: sgd, learning_rate: 0.1}
training: {epochs: 1, batch_size: 100}
"""


def test_bytes_of_ordinary_size_train_on_the_embedded_default(served_home):
    (served_home.paths.home.parent / "job.yaml").write_text(JOB)
    status, stdout, problems = served_home.answer(
        "compare", "job.yaml", "--sides", "torch,again=torch", "--no-twin", "--json"
    )
    assert status == 0, problems
    document = json.loads(stdout)
    assert document["verdict"] == "agree"
    assert document["runs"]["torch"][0]["metrics"]["train"]["accuracy"] > 0.9
    kept = [path for path in served_home.paths.arrays.rglob("*") if path.is_file()]
    assert sorted(path.stat().st_size for path in kept) == [8000 * 28 * 28]
