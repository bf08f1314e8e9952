"""The pages that are written from the models are current."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def check(docs: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, docs / "make_reference.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def test_the_reference_pages_say_what_the_models_say() -> None:
    done = check(ROOT / "docs")
    assert done.returncode == 0, done.stderr


def test_a_page_that_lags_behind_is_noticed(tmp_path: Path) -> None:
    for name in ("make_reference.py", "job-file.md", "settings.md"):
        (tmp_path / name).write_text((ROOT / "docs" / name).read_text())
    (tmp_path / "settings.md").write_text("out of date")
    done = check(tmp_path)
    assert done.returncode == 1
    assert "settings.md" in done.stderr


def test_the_index_has_every_decision_in_order() -> None:
    folder = ROOT / "docs" / "decisions"
    listed = re.findall(r"\]\((\d{4}-[\w-]+\.md)\)", (folder / "README.md").read_text())
    assert listed == sorted(file.name for file in folder.glob("[0-9]*.md"))


def test_the_site_leads_to_every_page() -> None:
    nav = re.findall(r": ([\w/.-]+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
    pages = {file.name for file in (ROOT / "docs").glob("*.md")}
    made = {"index.md", "commands.md", "differences.md", "decisions/README.md", "gallery/README.md"}
    assert {page for page in nav if not page.startswith("more/")} == pages | made
    for page in nav:
        if page.startswith("more/"):
            assert (ROOT / page.removeprefix("more/")).is_file(), page
