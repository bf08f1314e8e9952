"""What the benchmarks of our own runner share: which framework they measure, started in this process."""

from __future__ import annotations

import argparse

from likewise.worker.adapters import adapter_names, load_adapter
from likewise.worker.adapters.base import FrameworkAdapter


def started_adapter(what: str | None, *, repeats: int) -> tuple[FrameworkAdapter, int]:
    """The adapter that `--framework` names, started on one CPU thread, and how often to repeat.

    The first line of `what` describes the program; `repeats` is the default of `--repeats`.
    """
    parser = argparse.ArgumentParser(description=(what or "").partition("\n")[0])
    parser.add_argument("--framework", required=True, choices=adapter_names())
    parser.add_argument("--repeats", type=int, default=repeats)
    given = parser.parse_args()
    adapter = load_adapter(given.framework)
    adapter.start(device="cpu", threads=1)
    return adapter, given.repeats
