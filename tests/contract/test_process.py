"""What an adapter does to its process: what it loads, what it says, what it reports."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from likewise.worker.adapters import adapter_names

ROOT = Path(__file__).parent.parent.parent
PACKAGES = {"tensorflow": ["tensorflow", "keras"], "torch": ["torch"]}
LACKS: dict[str, set[str]] = {"tensorflow": set(), "torch": set()}
"""What each adapter may lack: one that begins to lack more would skip tests, and fails here instead."""


def run(script: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    return json.loads(done.stdout)


def test_finding_the_adapters_imports_no_framework() -> None:
    loaded = run(
        "import json, sys\n"
        "import likewise.worker.adapters as adapters, likewise.worker.adapters.base\n"
        "names = adapters.adapter_names()\n"
        "[adapters.load_adapter(name) for name in names]\n"
        "print(json.dumps(sorted({module.partition('.')[0] for module in sys.modules})))\n"
    )
    for name in adapter_names():
        assert not set(PACKAGES[name]) & set(loaded)


def test_a_worker_quietly_loads_its_own_framework_and_never_another(framework: str) -> None:
    # start() builds and trains a toy job, which is what makes it warm
    loaded = run(
        "import json, sys\n"
        "from likewise.worker.adapters import load_adapter\n"
        f"load_adapter({framework!r}).start(device='cpu', threads=1)\n"
        "print(json.dumps(sorted({module.partition('.')[0] for module in sys.modules})))\n"
    )
    for name, packages in PACKAGES.items():
        assert set(packages) <= set(loaded) if name == framework else not set(packages) & set(loaded)


def test_the_description_names_versions_device_and_flags(kit: Any) -> None:
    description = kit.adapter.describe()
    assert description.device == "cpu"
    assert {*PACKAGES[kit.adapter.name], "numpy", "python"} <= set(description.versions)
    assert description.versions["numpy"] == np.__version__
    assert description.framework_version == description.versions[kit.adapter.name]
    assert {"determinism", "tf32", "onednn"} <= set(description.flags)
    assert description.flags["tf32"] == "off"
    assert description.flags["determinism"] in ("on", "inherent")


def test_the_cpu_has_no_device_memory(kit: Any) -> None:
    kit.adapter.reset_device_peak()
    assert kit.adapter.device_peak_bytes() is None


def test_an_adapter_is_named_as_its_folder(framework: str, kit: Any) -> None:
    assert kit.adapter.name == framework


def test_an_adapter_lacks_no_more_than_is_allowed(kit: Any) -> None:
    assert set(kit.adapter.lacks) == LACKS[kit.adapter.name]
