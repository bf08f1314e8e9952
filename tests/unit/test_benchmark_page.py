"""What docs/make_benchmarks.py says of a ratio, and that a part can be measured without the rest."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def maker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The program, with its pages in a folder of the test's own."""
    spec = importlib.util.spec_from_file_location("make_benchmarks", ROOT / "docs" / "make_benchmarks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / "benchmarks.md.j2").write_text((ROOT / "docs" / "benchmarks.md.j2").read_text())
    monkeypatch.setattr(module, "HERE", tmp_path)
    monkeypatch.setattr(module, "STORED", tmp_path / "benchmarks.json")
    return module


def told(**changes: object) -> dict[str, object]:
    return {
        "benchmark": "A thing",
        "rows": {"ours_s": 0.25, "runs": "7"},
        "ratio": 2.5,
        "at_least": None,
        "at_most": 2.0,
        "bound": "The moon.",
    } | changes


@pytest.mark.parametrize(
    ("ratio", "target", "said"),
    [
        (2.5, {"at_most": 2.0}, "at most 2 times: **missed by 25 %**"),
        (1.99, {"at_most": 2.0}, "at most 2 times: **met**"),
        (1.7, {"at_most": None, "at_least": 1.7}, "at least 1.7 times: **met**"),
        (0.85, {"at_most": None, "at_least": 1.7}, "at least 1.7 times: **missed by 50 %**"),
    ],
)
def test_a_ratio_stands_beside_its_target(
    maker: ModuleType, ratio: float, target: dict[str, object], said: str
) -> None:
    assert maker.verdict(told(ratio=ratio, **target)).endswith(said)


def test_a_part_that_is_measured_again_leaves_the_others(
    maker: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = {"date": "2020-01-01", "documents": [told(benchmark="Kept")]}
    maker.STORED.write_text(json.dumps({"seeds": old, "service": old}))
    monkeypatch.setattr(maker, "measured", lambda part: [told(benchmark=f"New {part}")])
    monkeypatch.setattr("sys.argv", ["make_benchmarks.py", "--only", "service"])
    maker.main()
    page = (maker.HERE / "benchmarks.md").read_text()
    assert "## New service" in page
    assert "## Kept" in page
    assert "seeds 2020-01-01" in page
    assert "| ours | 250 ms |" in page
    assert json.loads(maker.STORED.read_text())["seeds"] == old


def test_everything_with_a_target_stands_at_the_top(maker: ModuleType) -> None:
    trained = {
        "benchmark": "The article in PyTorch",
        "rows": [
            {"program": "newcomer's loop", "times_faster": 1.0},
            {"program": "ours, replayed", "times_faster": 6.0},
        ],
    }
    untold = told(benchmark="No target", at_most=None)

    assert maker.targets([trained], [told(), untold, told(ratio=None)]) == [
        ("The article in PyTorch: ours, replayed", "6.00 × as fast", "≥ 8", "missed: 75 % of it"),
        ("A thing", "2.50 × as long", "≤ 2", "missed by 25 %"),
    ]
