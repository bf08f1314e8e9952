"""The tools that make an environment: uv, and pip where uv cannot do as pip would.

uv makes an environment in seconds. It knows nothing of the user's pip configuration and stops where an
index does not answer, while pip goes on with the others. So pip's settings are handed to uv, every index is
asked first, and a step whose index is silent, or whose pip has a setting that uv has no word for, is pip's.
"""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from likewise.producer.local.packages import Packages, with_included

ANSWER_S = 4.0
"""How long an index may take to answer."""
FULL_MB = 5

_FOR_UV = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "trusted-host": "UV_INSECURE_HOST",
    "cert": "SSL_CERT_FILE",
    "no-cache-dir": "UV_NO_CACHE",
    "timeout": "UV_HTTP_TIMEOUT",
    "default-timeout": "UV_HTTP_TIMEOUT",
    "retries": "UV_HTTP_RETRIES",
}
"""Settings of pip's and the variables by which uv takes them."""
_OF_NO_MATTER = {
    *("break-system-packages", "cache-dir", "config-file", "disable-pip-version-check", "log", "no-color"),
    *("no-input", "no-python-version-warning", "no-warn-script-location", "prefer-binary", "progress-bar"),
    *("quiet", "require-virtualenv", "root-user-action", "verbose", "constraint", "no-index"),
}
"""Settings that change nothing of what is installed, and two that are handed to uv as options."""
_FULL = re.compile(r"No space left on device|Errno 28\b|os error 28\b|Disk quota exceeded|Errno 122\b")
_UNREACHABLE = re.compile(
    r"Failed to resolve|Temporary failure in name resolution|Connection refused|Max retries exceeded|"
    r"Network is unreachable|timed out|SSLError|dns error|error sending request"
)
_MISSING = re.compile(
    r"No matching distribution found for ([^\n]+)|there (?:is|are) no versions? of (\S+)|"
    r"Because (\S+) was not found"
)


Command = Sequence[str | Path]


@dataclass(frozen=True, kw_only=True)
class Step:
    """One process of an installation."""

    title: str
    tool: str
    command: Command
    environment: Mapping[str, str] = field(default_factory=dict)


def steps(folder: Path, packages: Packages) -> list[Step]:
    """Return what is to be run, in order, to make the environment in `folder`."""
    settings = pip_settings()
    uv = find_uv()
    for_uv = _uv_environment(settings)
    runner = _pip_runner()
    python = folder / "bin" / "python"
    constraints = ["-c", str(packages.constraints)]
    installing: list[Step] = []

    def add(title: str, file: Path, *words: str) -> None:
        command: Command
        pip: Command
        words = ("-r", str(file), *words)
        if uv is not None and for_uv is not None and answer(file, settings):
            command = [uv, "pip", "install", "--python", python, *_uv_options(settings), *constraints, *words]
            installing.append(Step(title=title, tool="uv", command=command, environment=for_uv))
            return
        pip = [python, "-m", "pip"] if runner is None else [python, runner]
        options = ["--no-input", "--prefer-binary", "--progress-bar", "off", *constraints]
        quiet = {"PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        command = [*pip, "install", *options, *words]
        installing.append(Step(title=title, tool="pip", command=command, environment=quiet))

    if packages.wheels is not None:
        add("framework", packages.wheels, "--no-deps")
    add("packages", packages.requirements)
    making: Command
    if uv is not None and (runner is not None or all(step.tool == "uv" for step in installing)):
        making = [uv, "venv", "--no-project", "--quiet", "--python", sys.executable, folder]
    else:
        making = [sys.executable, "-m", "venv", *([] if runner is None else ["--without-pip"]), folder]
    return [Step(title="virtual environment", tool="uv" if uv else "venv", command=making), *installing]


def _uv_options(settings: Mapping[str, str]) -> list[str]:
    # The best version of all indexes counts, as with pip; workers start sooner with bytecode.
    options = ["--compile-bytecode", "--index-strategy", "unsafe-best-match", "--color", "never"]
    if _is_true(settings.get("no-index")):
        options.append("--no-index")
    for path in settings.get("constraint", "").split():
        options += ["-c", path]
    return options


def find_uv() -> str | None:
    """Return the program of the package uv; None where it has none for this machine."""
    try:
        import uv
    except ImportError:
        return None
    try:
        return uv.find_uv_bin()
    except FileNotFoundError:
        return None


def _pip_runner() -> Path | None:
    """Return the file by which the producer's pip runs in another Python; None where there is no such pip.

    It is what `pip --python` runs, whose own child would outlive a command that is killed.
    """
    spec = importlib.util.find_spec("pip")
    if spec is None or spec.origin is None:
        return None
    runner = Path(spec.origin).with_name("__pip-runner__.py")
    return runner if runner.exists() else None


def pip_settings() -> dict[str, str]:
    """Return pip's settings for installing, by their long names, from its files and from PIP_*.

    Without a pip here only PIP_* is read.
    """
    if importlib.util.find_spec("pip") is not None:
        listed = subprocess.run(
            [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
        )
        if listed.returncode == 0:
            return _parsed(listed.stdout)
    prefix = "PIP_"
    return {
        name.removeprefix(prefix).lower().replace("_", "-"): value
        for name, value in os.environ.items()
        if name.startswith(prefix) and value
    }


def _parsed(listed: str) -> dict[str, str]:
    """Read `pip config list`: `section.name='value'` a line, a later section prevailing."""
    sections: dict[str, dict[str, str]] = {"global": {}, "install": {}, ":env:": {}}
    for line in listed.splitlines():
        match = re.fullmatch(r"(global|install|:env:)\.([\w-]+)=(.*)", line)
        if match:
            try:
                value = str(ast.literal_eval(match[3]))
            except (SyntaxError, ValueError):
                value = match[3]
            sections[match[1]][match[2].lower().replace("_", "-")] = value
    return {**sections["global"], **sections["install"], **sections[":env:"]}


def _uv_environment(settings: Mapping[str, str]) -> dict[str, str] | None:
    """Return pip's settings as uv takes them; None where it cannot be told one. uv's own prevail."""
    given: dict[str, str] = {}
    for name, value in settings.items():
        if name == "proxy":
            given |= dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), value)
        elif name == "no-cache-dir":
            if _is_true(value):
                given["UV_NO_CACHE"] = "1"
        elif name in _FOR_UV:
            separator = "," if name == "find-links" else " "
            given[_FOR_UV[name]] = separator.join(value.split())
        elif name not in _OF_NO_MATTER:
            return None
    return {name: value for name, value in given.items() if name not in os.environ}


def answer(requirements: Path, settings: Mapping[str, str]) -> bool:
    """Return whether every index that a requirement file is installed from answers."""
    if _is_true(settings.get("no-index")):
        return True
    package = next(iter(_names(requirements)), "pip")
    return all(
        _answers(index, package, settings) for index in dict.fromkeys(_indexes(requirements, settings))
    )


def _indexes(requirements: Path, settings: Mapping[str, str]) -> Iterator[str]:
    """Yield the indexes that somebody named.

    The one that both tools take unasked need not be asked first: where it is silent, pip gets no further.
    """
    default = settings.get("index-url") or os.environ.get("UV_DEFAULT_INDEX")
    for file in with_included(requirements):
        for option, url in re.findall(
            r"^\s*(-i|--index-url|--extra-index-url)[ =]+(\S+)", file.read_text(), re.MULTILINE
        ):
            if option == "--extra-index-url":
                yield url
            else:
                default = url
    if default:
        yield default
    yield from settings.get("extra-index-url", "").split()


def _names(requirements: Path) -> Iterator[str]:
    for line in requirements.read_text().splitlines():
        if match := re.match(r"[A-Za-z0-9][\w.-]*", line):
            yield re.sub(r"[-_.]+", "-", match[0]).lower()


def _answers(index: str, package: str, settings: Mapping[str, str]) -> bool:
    """Return whether the index has or lacks the package by its own word, in time."""
    import http.client
    import ssl
    import urllib.error
    import urllib.request

    if not index.startswith(("http://", "https://")):
        return True
    own_proxy = {"http": settings["proxy"], "https": settings["proxy"]} if "proxy" in settings else None
    try:
        trust = ssl.create_default_context(cafile=settings.get("cert"))
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler(own_proxy), urllib.request.HTTPSHandler(context=trust)
        )
        # Credentials in the address are for the tool: here the refusal is an answer too.
        address = re.sub(r"(?<=://)[^/@]+@", "", index).rstrip("/")
        opener.open(f"{address}/{package}/", timeout=ANSWER_S).close()
    except urllib.error.HTTPError as error:
        return error.code == 404 or (error.code == 401 and "@" in index)
    except (OSError, ValueError, http.client.HTTPException):
        return False
    return True


def _is_true(value: str | None) -> bool:
    return (value or "").lower() in {"1", "true", "yes", "on", "y", "t"}


def is_unresolved(said: str) -> bool:
    """Return whether a tool found no versions that fit what is asked for."""
    return _MISSING.search(said) is not None or "No solution found" in said or "ResolutionImpossible" in said


def reason(step: Step, *, status: int, said: str, folder: Path) -> str:
    """Return why a step ended with `status`, having said `said`, in one line with the way out."""
    free_mb = shutil.disk_usage(next(path for path in (folder, *folder.parents) if path.exists())).free / 1e6
    # `python -m venv` swallows the words of the pip it runs, so a full disk is also looked for.
    if _FULL.search(said) or free_mb < FULL_MB:
        return (
            f"the disk is full ({free_mb:,.0f} MB left on that of {folder.parent}); free some space, or set "
            "LIKEWISE_HOME to a folder on another disk"
        )
    if "ensurepip is not" in said or "No module named ensurepip" in said or "No module named venv" in said:
        return (
            "this Python cannot make virtual environments; on Debian and Ubuntu `apt install python3-venv`, "
            "elsewhere install Python from python.org"
        )
    if status < 0:
        ended = signal.Signals(-status).name
        return f"{step.tool} was ended by {ended}, perhaps for want of memory; run the command again"
    match = _MISSING.search(said)
    missing = next(group for group in match.groups() if group).strip() if match else ""
    if _UNREACHABLE.search(said):
        wanted = f" (wanted: {missing})" if missing else ""
        return (
            f"the package index cannot be reached{wanted}; check the network, or name another index "
            "with PIP_INDEX_URL, and run the command again"
        )
    if missing:
        return (
            f"the package index has no {missing} for this Python and machine, or is out of reach; "
            "try another Python (3.11 to 3.13 are the usual ones), or another index with PIP_INDEX_URL"
        )
    errors = re.findall(r"^\s*(?:ERROR|error): (.+)$", said, flags=re.MULTILINE)
    causes = re.findall(r"^\s*cause: (.+)$", said, flags=re.MULTILINE)
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    last = (
        "; ".join([errors[0], *causes[-1:]]) if errors else (lines[-1] if lines else f"exit status {status}")
    )
    return f"{step.tool} says: {last.rstrip('.')}"
