"""What the driver writes: docs/faults.md, from the accounts and the recoveries."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from likewise.producer.display import seconds
from tests.faults.driver.accounts import Accounts
from tests.faults.driver.kills import kills_of
from tests.faults.driver.kinds import KINDS
from tests.faults.driver.world import DISK_MB, FRAMEWORKS, HANG_S, LEASE_S

HERE = Path(__file__).parent
BARS = {"taken over": LEASE_S + 5, "handed back": 5.0}
"""The most seconds of a recovery."""
OWN_PACE = ("child frozen", "disk full under the workers")
"""Kinds whose takeover is not a matter of the lease: a frozen child counts as hung after HANG_S."""


@dataclass(frozen=True, kw_only=True)
class Recovery:
    """One fault that was applied."""

    kind: str
    measure: str
    seconds: float
    at_s: float
    """When, by the server's clock."""


def missed(recoveries: Sequence[Recovery]) -> list[str]:
    """Say which recoveries took longer than they may."""
    return [
        f"{one.kind}: {one.measure} after {one.seconds:.1f} s, more than {BARS[one.measure]:g} s"
        for one in recoveries
        if one.measure in BARS and one.kind not in OWN_PACE and one.seconds > BARS[one.measure]
    ]


def write_page(
    file: Path, accounts: Accounts, recoveries: Sequence[Recovery], *, seed: int, took_s: float
) -> None:
    """Write the page."""
    rows = []
    for name, kind in KINDS.items():
        taken = [one.seconds for one in recoveries if one.kind == name]
        if taken:
            rows.append((kind, len(taken), seconds(statistics.median(taken)), seconds(max(taken))))
    template = Environment(
        loader=FileSystemLoader(HERE), undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False
    ).get_template("faults.md.j2")
    text = template.render(
        rows=rows,
        accounts=accounts,
        faults=len(recoveries),
        seed=seed,
        took=seconds(took_s),
        missed=missed(recoveries),
        lease_s=LEASE_S,
        hang_s=HANG_S,
        disk_mb=DISK_MB,
        workers=FRAMEWORKS,
        machine=f"{os.cpu_count()} cores, {platform.system()}",
    )
    file.write_text(text + kills_of(file.read_text() if file.exists() else ""))
