"""What disturbed a timed run."""

from __future__ import annotations

import subprocess
import sys

import pytest

from worker.service.machine import conditions, moment

BURN = "import time\nwhile time.process_time() < 0.5: pass"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts all processes' time")
def test_the_time_that_another_program_takes_is_not_counted_as_the_run_s_own() -> None:
    before = moment()
    subprocess.run([sys.executable, "-c", BURN], check=True)
    found = conditions(before)
    assert found.others_cpu_s is not None
    assert found.others_cpu_s > 0.25
    assert found.cpu_s < 0.25
    assert found.stolen_s is not None
    assert found.stolen_s >= 0
