"""Each planted fault is seen, found at its place and blamed on its setting."""

from __future__ import annotations

from typing import Any

ANY = "any"


def test_a_planted_fault_is_found(fault: Any, likewise: Any, record: Any) -> None:
    options = [word for change in fault.changes for word in ("--set", change)]
    said = likewise("compare", fault.document, *options)
    found = said["first_divergence"] or {}
    record(
        "faults",
        fault=fault.name,
        verdict=said["verdict"],
        said=said["reasons"][0],
        **{name: found.get(name) for name in ("stage", "step", "tensor", "relative_difference")},
    )
    assert said["verdict"] == "differ", said["reasons"]
    assert fault.setting in said["reasons"][0]
    assert found, said["reasons"]
    assert fault.stage in (ANY, found["stage"])
    assert fault.tensor in (ANY, found["tensor"])
    assert fault.step in (ANY, found["step"])
