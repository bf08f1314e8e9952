"""How many cases there are, and what one of them may take."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, settings

ENTRIES = 17
"""Tests of the folder that draw cases. What is asked for is shared out among them."""
CASES = int(os.environ.get("LIKEWISE_FUZZ_CASES", "1700"))
CPU_S = 10.0
"""The most processor time that one case may take: it hangs, however busy the machine is."""
MAY_GROW_BYTES = 2**30
"""The most address space that one case may take."""

settings.register_profile(
    "fuzz",
    max_examples=max(1, CASES // ENTRIES),
    derandomize="LIKEWISE_FUZZ_CASES" not in os.environ,  # the suite's cases are the same each time
    database=None,
    deadline=None,
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)
settings.load_profile("fuzz")


class HungError(AssertionError):
    """A case that takes too long."""


def _hung(*_: Any) -> None:
    raise HungError(f"it has taken {CPU_S:g} s of the processor")


@contextmanager
def bounded() -> Iterator[None]:
    """Let a case take so much time of the processor, and so much memory beyond what there is, and no more."""
    page = os.sysconf("SC_PAGE_SIZE")
    held = int(Path("/proc/self/statm").read_text().split()[0]) * page
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    before = signal.signal(signal.SIGVTALRM, _hung)
    resource.setrlimit(resource.RLIMIT_AS, (held + MAY_GROW_BYTES, hard))
    signal.setitimer(signal.ITIMER_VIRTUAL, CPU_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        signal.signal(signal.SIGVTALRM, before)
