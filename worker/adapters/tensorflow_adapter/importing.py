"""TensorFlow's import, without what it says there of oneDNN."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

_NOTICES = ("oneDNN custom operations are on", "All log messages before absl::InitializeLog() is called")
"""What is written to stderr before TF_CPP_MIN_LOG_LEVEL is read; a result's flags tell that oneDNN is on."""


@contextmanager
def without_notices() -> Iterator[None]:
    """Keep the notices of native code from stderr; every other line that is written meanwhile follows."""
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(stderr, 2)
            os.close(stderr)
            said.seek(0)
            for line in said.read().decode(errors="replace").splitlines(keepends=True):
                if not any(notice in line for notice in _NOTICES):
                    sys.stderr.write(line)
