"""Messages with arrays over a pipe."""

from __future__ import annotations

import io

import numpy as np
import pytest

from likewise.shared.port.wire import receive, send


def test_arrays_come_back_as_they_went() -> None:
    arrays = {
        "a": np.arange(6.0).reshape(2, 3).T,  # not contiguous
        "number": np.array(3, np.int64),
        "none": np.zeros((0, 4), np.float32),
    }
    pipe = io.BytesIO()
    send(pipe, {"ask": "load"}, arrays)
    pipe.seek(0)
    document, found = receive(pipe)
    assert document == {"ask": "load"}
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        assert np.array_equal(found[name], array)


def test_a_closed_or_cut_pipe_is_told_apart_from_no_message() -> None:
    with pytest.raises(EOFError):
        receive(io.BytesIO(b""))
    pipe = io.BytesIO()
    send(pipe, {}, {"a": np.zeros(4)})
    with pytest.raises(EOFError, match="within the array a"):
        receive(io.BytesIO(pipe.getvalue()[:-1]))
    with pytest.raises(ValueError, match="Expecting"):
        receive(io.BytesIO(b"print of the user\n"))


def test_objects_are_refused() -> None:
    line = b'{"document": {}, "arrays": [["a", "|O", [1]]]}\n' + b"\0" * 8
    with pytest.raises(ValueError, match="objects"):
        receive(io.BytesIO(line))
