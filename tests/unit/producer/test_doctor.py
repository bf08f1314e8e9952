"""What `doctor` says of a machine."""

from __future__ import annotations

from pathlib import Path

from likewise.producer.doctor import examine
from likewise.shared.settings import Settings


def test_a_home_that_cannot_be_written_to_is_told(tmp_path: Path) -> None:
    """A file in its way refuses everyone, root too, as a read-only file system does."""
    (tmp_path / "file").write_text("in the way")
    home = tmp_path / "file" / "home"
    found = {one.link: one for one in examine(Settings(home=home))}["disk"]
    assert found.state == "wrong"
    assert f"nothing can be written to {home}: Not a directory" in found.found
    assert found.mend == "set LIKEWISE_HOME to a folder that you may write to"
