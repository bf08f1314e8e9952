"""Trains runs while everything goes wrong, accounts for every one, and writes docs/faults.md.

    python -m tests.faults.driver --runs 300 --seed 1 --times 3 --page docs/faults.md

Ends with 1 where a run is lost, doubled or wrong, where something is left over, or where a bar is missed.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

from tests.faults.driver.accounts import Accounts
from tests.faults.driver.page import Recovery, missed, write_page
from tests.faults.driver.schedule import drive


def main() -> int:
    """Run the driver as it is asked for; its exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.driver", description=__doc__)
    parser.add_argument("--runs", type=int, default=300, help="how many runs at the least")
    parser.add_argument(
        "--seed", type=int, default=1, help="of the order of the faults, and of all that is drawn"
    )
    parser.add_argument("--times", type=int, default=2, help="how often each kind of fault is applied")
    parser.add_argument(
        "--only", action="append", help="a kind of fault to apply, again for more; all, if none"
    )
    parser.add_argument("--page", type=Path, help="where to write the page")
    parser.add_argument("--log", type=Path, help="where to write a line of JSON for each fault")
    given = parser.parse_args()
    begin = time.monotonic()
    log = given.log.open("w") if given.log else None

    def tell(line: str) -> None:
        sys.stdout.write(f"{time.monotonic() - begin:7.1f} s  {line}\n")
        sys.stdout.flush()

    recoveries: list[Recovery] = []

    def keep(recovery: Recovery) -> None:
        recoveries.append(recovery)
        tell(f"{recovery.kind}: {recovery.measure} after {recovery.seconds:.1f} s")
        if log is not None:
            log.write(json.dumps(recovery.__dict__) + "\n")
            log.flush()

    with tempfile.TemporaryDirectory(prefix="likewise-faults-") as folder:
        accounts: Accounts = drive(
            Path(folder),
            random.Random(given.seed),
            runs=given.runs,
            times=given.times,
            only=given.only,
            tell=tell,
            keep=keep,
        )
    for line in accounts.faults:
        tell(line)
    late = missed(recoveries)
    for line in late:
        tell(line)
    if given.page is not None:
        write_page(given.page, accounts, recoveries, seed=given.seed, took_s=time.monotonic() - begin)
    return int(bool(accounts.faults or late))


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    sys.exit(main())
