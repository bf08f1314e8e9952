"""A user's program is named to workers with all that it imports, and copied where it does not lie yet."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from likewise.producer.port.shipping import imported_files, ship
from likewise.shared.errors import UsageError


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """A program with a module beside it, and a package whose parts import one another."""
    folder = tmp_path / "code"
    (folder / "parts" / "deep").mkdir(parents=True)
    texts = {
        "side.py": "import torch\nimport helper\nfrom parts import blocks\ndef model(): from lazy import x\n",
        "helper.py": "import side, json\n",
        "lazy.py": "x = 1\n",
        "unused.py": "",
        "parts/__init__.py": "",
        "parts/blocks.py": "from .deep.norms import Norm\nfrom . import sizes\nfrom .. import outside\n",
        "parts/sizes.py": "",
        "parts/deep/__init__.py": "",
        "parts/deep/norms.py": "Norm = 1\n",
    }
    for name, text in texts.items():
        (folder / name).write_text(text.replace("(): from", "():\n    from"))
    return folder


NAMED = {
    *("side.py", "helper.py", "lazy.py", "parts/__init__.py", "parts/blocks.py", "parts/sizes.py"),
    *("parts/deep/__init__.py", "parts/deep/norms.py"),
}


def test_every_file_that_is_imported_is_named_and_no_other(code: Path) -> None:
    found = imported_files(code / "side.py")

    assert found[0] == code / "side.py"
    assert {one.relative_to(code).as_posix() for one in found} == NAMED


def test_a_program_in_the_folder_of_programs_is_run_where_it_is(code: Path) -> None:
    shipped = ship(code / "side.py", code.parent)

    assert shipped.place == "code/side.py"
    assert {one.file for one in shipped.files} == {f"code/{name}" for name in NAMED}
    assert shipped.files[0].sha256 == hashlib.sha256((code / "side.py").read_bytes()).hexdigest()


def test_another_is_copied_with_what_it_imports_and_again_where_it_was_changed(
    code: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "programs"
    first = ship(code / "side.py", folder)

    copy = (folder / first.place).parent
    assert {one.relative_to(copy).as_posix() for one in copy.rglob("*.py")} == NAMED
    assert ship(code / "side.py", folder) == first
    (code / "parts" / "sizes.py").write_text("SIZE = 3")
    assert ship(code / "side.py", folder).place != first.place


def test_what_a_worker_cannot_be_told_is_said(code: Path, tmp_path: Path) -> None:
    odd = code / "my side.py"
    odd.write_text("")
    with pytest.raises(UsageError, match=r"my side.py: a program's name may have letters"):
        ship(odd, code)
    (tmp_path / "programs").write_text("a file")
    with pytest.raises(UsageError, match=r"side.py cannot be written to .*programs \(LIKEWISE_PROGRAMS\)"):
        ship(code / "side.py", tmp_path / "programs")
