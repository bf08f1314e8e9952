"""A real Chromium, driven through its own driver. Missing, it skips on a laptop and fails where CI=true."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import pytest

LONG_ENOUGH_S = 30
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "chrome")


@dataclass
class Browser:
    """One window; each `open` starts with empty logs."""

    driver: Any

    def open(self, page: Path, *, dark: bool = False, width: int = 1000) -> None:
        """Load a page and wait until its figures are drawn and its buttons are there."""
        from selenium.webdriver.support.ui import WebDriverWait

        self._tell("Emulation.setEmulatedMedia", media="", features=[_scheme(dark)])
        self._tell(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1,
            mobile=width < 500,
        )  # fmt: skip
        self.errors()
        self.requests()
        self.driver.get(page.as_uri())
        WebDriverWait(self.driver, LONG_ENOUGH_S, poll_frequency=0.05).until(
            lambda driver: driver.execute_script(
                "return document.documentElement.classList.contains('ready')"
            )
        )

    def ask(self, script: str) -> Any:
        """The value of a JavaScript expression."""
        return self.driver.execute_script(f"return {script}")

    def errors(self) -> list[str]:
        """Messages on the console since the last call."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self) -> list[str]:
        """Addresses asked for since the last call."""
        events = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        return [
            event["params"]["request"]["url"]
            for event in events
            if event["method"] == "Network.requestWillBeSent"
        ]

    def use_scheme(self, *, dark: bool) -> None:
        """Change the colour scheme of the open page."""
        self._tell("Emulation.setEmulatedMedia", media="", features=[_scheme(dark)])

    def print_to_pdf(self) -> int:
        """Bytes of the printed page, in base 64."""
        return len(self._tell("Page.printToPDF")["data"])

    def _tell(self, command: str, **options: Any) -> Any:
        return self.driver.execute_cdp_cmd(command, options)


def _scheme(dark: bool) -> dict[str, str]:
    return {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}


@pytest.fixture(scope="session")
def browser(
    unavailable: Callable[[str], NoReturn], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Browser]:
    try:
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service
    except ImportError:
        unavailable("selenium is not installed")
    binary = next(filter(None, map(shutil.which, CHROMIUM)), None)
    driver = shutil.which("chromedriver")
    if binary is None or driver is None:
        unavailable("there is no chromium with a chromedriver on PATH")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for flag in (
        "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update",
        "--disable-sync", f"--user-data-dir={tmp_path_factory.mktemp('profile')}",
    ):  # fmt: skip
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    started = webdriver.Chrome(options=options, service=Service(driver))
    started.get("about:blank")  # a new window's own page asks for files of its own
    yield Browser(started)
    started.quit()


@pytest.fixture(scope="session")
def samples() -> Any:
    """The hand-made comparisons of the unit tests."""
    from tests.unit.verdict import samples

    return samples


@pytest.fixture
def write(samples: Any, tmp_path: Path) -> Callable[..., Path]:
    """Writes a comparison's page and says where."""

    def written(comparison: Any, truth: Any = None, *, change: Callable[[str], str] = str) -> Path:
        from likewise.producer.report.comparison_page import page_of
        from likewise.producer.report.page import html_of
        from likewise.producer.report.truth import truth_of

        truth = truth or truth_of(samples.runs(comparison), samples.tables(comparison), samples.STORE.get)
        page = tmp_path / "page.html"
        page.write_text(change(html_of(page_of(comparison, truth))), encoding="utf-8")
        return page

    return written
