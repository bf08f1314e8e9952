"""Takes out each protection in turn, in a copy of the code, and looks whether the test of its fault fails.

    python -m tests.faults.protections              all of protections.yaml
    python -m tests.faults.protections fence hash   those whose words hold one of these

Ends with 1 where a test passes without its protection.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, kw_only=True)
class Protection:
    """What is protected, the change that takes it out, and the test that must fail then."""

    protection: str
    file: str
    old: str
    new: str
    test: str

    def take_out(self, root: Path) -> None:
        """Change the code below a folder."""
        path = root / self.file
        path.write_text(path.read_text().replace(self.old, self.new))


def protections() -> list[Protection]:
    """Return them all."""
    listed = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text())
    return [Protection(**one) for one in listed]


def _copy(folder: Path) -> None:
    """Copy what git knows of, with the links of the package."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in filter(None, names.stdout.split("\0")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name, follow_symlinks=False)


def main() -> int:
    """Try those that are asked for; the exit status."""
    words = sys.argv[1:]
    passed = []
    asked = [one for one in protections() if not words or any(word in one.protection for word in words)]
    for one in asked:
        with tempfile.TemporaryDirectory(prefix="likewise-without-") as name:
            folder = Path(name)
            _copy(folder)
            one.take_out(folder)
            begin = time.monotonic()
            tried = subprocess.run(
                [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "-x", "-n", "0", one.test],
                cwd=folder,
                env={
                    **os.environ,
                    "PYTHONPATH": str(folder),
                    "CI": "true",
                },  # a test that is skipped proves nothing
                capture_output=True,
                text=True,
                check=False,
            )
        failed = tried.returncode == 1
        if not failed:
            passed.append(one)
        said = "fails without it" if failed else f"DOES NOT FAIL (pytest ended with {tried.returncode})"
        sys.stdout.write(f"{time.monotonic() - begin:5.0f} s  {one.protection}: its test {said}\n")
        sys.stdout.flush()
    sys.stdout.write(f"{len(asked) - len(passed)} of {len(asked)} protections have a test that misses them\n")
    return int(bool(passed))


if __name__ == "__main__":
    sys.exit(main())
