"""A user's program is named to workers with all that it imports, and copied where it does not lie yet."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from likewise.producer.port import shipping
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


def test_what_a_program_reads_from_beside_it_is_copied_with_it(code: Path, tmp_path: Path) -> None:
    (code / "data").mkdir()
    for name in ("weights.npz", "data/labels.csv", "data/unread.csv", "secret.txt"):
        (code / name).write_text(name)
    (code.parent / "outside.csv").write_text("")
    (code / "helper.py").write_text(
        "import numpy as np\nfrom pathlib import Path\nHERE = Path(__file__).parent\n"
        'a = np.load("weights.npz")\nb = HERE / "data" / "labels.csv"\nc = open("../outside.csv")\n'
    )
    folder = tmp_path / "programs"
    shipped = ship(code / "side.py", folder)
    copy = (folder / shipped.place).parent
    read = {one.relative_to(copy).as_posix() for one in copy.rglob("*") if one.is_file()} - NAMED
    assert read == {"weights.npz", "data/labels.csv"}
    assert {(folder / one.file).relative_to(copy).as_posix() for one in shipped.data} == read
    assert sorted(shipped.copied) == ["labels.csv", "weights.npz"]
    (code / "weights.npz").write_text("others")
    assert ship(code / "side.py", folder).place != shipped.place


def test_data_that_are_too_large_to_copy_are_refused_in_words(
    code: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (code / "weights.npz").write_text("0" * 100)
    (code / "helper.py").write_text('a = "weights.npz"\n')
    monkeypatch.setattr(shipping, "MOST_DATA_BYTES", 99)
    with pytest.raises(UsageError, match=r"side\.py reads weights\.npz, which is too large to be copied"):
        ship(code / "side.py", tmp_path / "programs")
