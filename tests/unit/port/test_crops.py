"""How the cuts of a transposed convolution are written in each framework."""

from __future__ import annotations

import pytest

from likewise.producer.port.crops import crop_edit


@pytest.mark.parametrize(
    ("framework", "size", "stride", "cuts", "words"),
    [
        (
            "torch", 3, 2, [[0, 1], [0, 1]],
            "padding=0, output_padding=0) and cut what leaves to x[:, :, :-1, :-1]",
        ),
        ("torch", 3, 2, [[1, 0], [1, 0]], "padding=1, output_padding=1)"),
        ("torch", 4, 2, [[1, 1], [0, 0]], "padding=(1, 0), output_padding=0)"),
        ("torch", 2, 3, [[0, -1], [0, -1]], "padding=0, output_padding=1)"),
        ("tensorflow", 3, 2, [[0, 1], [0, 1]], "padding='same', output_padding=None)"),
        ("tensorflow", 3, 2, [[1, 1], [1, 1]], "padding='same', output_padding=0)"),
        ("tensorflow", 3, 2, [[0, 0], [0, 0]], "padding='valid', output_padding=0)"),
        (
            "tensorflow", 3, 2, [[1, 0], [1, 0]],
            "padding='valid', output_padding=0) and put Cropping2D(((1, 0), (1, 0))) behind it",
        ),
        ("tensorflow", 4, 2, [[1, 1], [1, 1]], "padding='same', output_padding=None)"),
    ],
)  # fmt: skip
def test_cuts_are_written_by_the_framework_s_own_words_where_these_come_to_them(
    framework: str, size: int, stride: int, cuts: list[list[int]], words: str
) -> None:
    settings = {"kernel_size": [size, size], "strides": [stride, stride], "dilation_rate": [1, 1]}
    assert words in crop_edit(framework, "T", settings, cuts)
