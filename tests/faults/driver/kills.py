"""The last part of docs/faults.md: what `make kills` counted of workers killed on a full queue.

python -m tests.faults.driver.kills kills.jsonl docs/faults.md
"""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

HEAD = "## Kills on a full queue"


def kills_of(page: str) -> str:
    """Return that part of a page, or nothing."""
    _, head, after = page.partition(HEAD)
    return f"\n{head}{after}" if head else ""


def part(rows: Sequence[Mapping[str, float]]) -> str:
    """Return the part of one or more tests of `tests/faults/test_kill_loop.py`, each with its own queue."""
    names = ("kills", "amid", "runs", "taken_again", "lost")
    total = {name: f"{sum(row[name] for row in rows):,}" for name in names}
    took = max(row["minutes"] for row in rows)
    machine = f"{os.cpu_count()} cores, {platform.system()}"
    at_once = f", {len(rows)} queues at once" if len(rows) > 1 else ""
    return f"""
{HEAD}

Written by `make kills` (`tests/faults/test_kill_loop.py`): parent and child of a worker are killed at once,
again and again, while its queue is full of runs of one update, so that deaths fall between a message's pop
and its claim.

**{total["kills"]} kills, {total["runs"]} runs, {total["lost"]} lost, doubled or without their result**, in
{took:g} min ({machine}{at_once}). {total["amid"]} kills left runs that waited;
{total["taken_again"]} runs took more than one attempt.
"""


def main() -> None:
    """Write the part into the page."""
    rows = [json.loads(line) for line in Path(sys.argv[1]).read_text().splitlines()]
    page = Path(sys.argv[2])
    text = page.read_text()
    page.write_text(text.removesuffix(kills_of(text)).rstrip() + "\n" + part(rows))


if __name__ == "__main__":
    main()
