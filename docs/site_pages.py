"""Pages of the documentation site that are written elsewhere, for MkDocs: `mkdocs.yml` names this file.

The README becomes the first page, and pages beside `docs/`, such as the changelog, stand under `more/`. The
commands' reference is their own `--help`; what differs between frameworks is told by the tables by which
Likewise explains. A link to any other file of the repository leads to a copy of it under `files/`.
"""

from __future__ import annotations

import posixpath
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
BESIDE = ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "deploy/README.md", "deploy/kubernetes/README.md")
"""Pages that are not in the folder of the documentation."""
_LINK = re.compile(r"(\]\()([^)\s#]+)(#[^)\s]*)?(\))")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made here, and the files that pages link to."""
    made = {
        "index.md": (ROOT / "README.md").read_text(encoding="utf-8"),
        "commands.md": "\n".join(_commands()),
        "differences.md": "\n".join(_differences()),
    } | {f"more/{name}": (ROOT / name).read_text(encoding="utf-8") for name in BESIDE}
    for place, text in made.items():
        files.append(File.generated(config, place, content=text))
    linked = {
        target
        for file in files.documentation_pages()
        for _, path, _, _ in _LINK.findall(file.content_string)
        if (target := _repository_path(file.src_uri, path)) is not None and _site_path(target) is None
    }
    for target in sorted(linked):
        files.append(File.generated(config, f"files/{target}", content=(ROOT / target).read_bytes()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001
    """Return a page whose links lead within the site."""
    here = page.file.src_uri

    def led(match: re.Match[str]) -> str:
        target = _repository_path(here, match[2])
        if target is None:
            return match[0]
        place = _site_path(target) or f"files/{target}"
        return (
            f"{match[1]}{posixpath.relpath(place, posixpath.dirname(here) or '.')}{match[3] or ''}{match[4]}"
        )

    return _LINK.sub(led, markdown)


def _source(place: str) -> str:
    """Return which file of the repository a page of the site is."""
    if place == "index.md":
        return "README.md"
    return place.removeprefix("more/") if place.startswith("more/") else f"docs/{place}"


def _site_path(source: str) -> str | None:
    """Return where a file of the repository is as a page; None where it is none."""
    if source == "README.md":
        return "index.md"
    if source in BESIDE:
        return f"more/{source}"
    is_page = source.startswith("docs/") and not source.endswith((".py", ".j2"))
    return source.removeprefix("docs/") if is_page else None


def _repository_path(place: str, link: str) -> str | None:
    """Return which file of the repository a page links to; None for what is none."""
    if re.match(r"[a-z]+:|/", link):
        return None
    target = posixpath.normpath(posixpath.join(posixpath.dirname(_source(place)), link))
    if (ROOT / target).is_dir():
        target = posixpath.join(target, "README.md")
    return target if not target.startswith("..") and (ROOT / target).is_file() else None


def _commands() -> Iterator[str]:
    """Yield the reference of the commands: what each says of itself with --help."""
    import click
    import typer.main

    from likewise.producer.cli.app import app

    yield "# Commands"
    yield "\nWhat `likewise COMMAND --help` prints, by group. `--json` is on each that prints.\n"
    root: Any = typer.main.get_command(app)
    groups: dict[str, list[tuple[str, Any]]] = {}
    for name, command in root.commands.items():
        groups.setdefault(getattr(command, "rich_help_panel", None) or "Other", []).append((name, command))
    for group, commands in groups.items():
        yield f"\n## {group}\n"
        for name, command in commands:
            parts = getattr(command, "commands", None) or {}
            for path, one in [(name, command), *((f"{name} {part}", own) for part, own in parts.items())]:
                context = click.Context(one, info_name=f"likewise {path}", terminal_width=100)
                yield f"\n### likewise {path}\n\n```text\n{one.get_help(context)}\n```\n"


def _differences() -> Iterator[str]:
    """Yield the page of what differs: each setting with what it does, and the frameworks' own defaults."""
    known = tomllib.loads((ROOT / "producer/verdict/known/causes.toml").read_text(encoding="utf-8"))
    yield "# What differs between frameworks"
    yield (
        "\nEach setting that sides may have otherwise, with what it does to a training. `likewise explain` "
        "measures how much each does in a job of yours. The search finds a setting by any of its words.\n"
    )
    yield "| setting | what a difference in it does |\n|---|---|"
    for path, text in _leaves(known):
        yield f"| `{path}` | {_cell(text)} |"
    files = sorted((ROOT / "producer/job/native").glob("*.toml"))
    own = {file.stem: dict(_rows(tomllib.loads(file.read_text(encoding="utf-8")))) for file in files}
    yield (
        "\n## What each takes where nothing is said\n\nTheir own defaults, which `defaults: native` "
        f"in a job file stands for.\n\n| setting | {' | '.join(own)} |\n|---{'|---' * len(own)}|"
    )
    for path in dict.fromkeys(path for rows in own.values() for path in rows):
        if len({rows.get(path) for rows in own.values()}) > 1:
            yield f"| `{path}` | {' | '.join(_cell(rows.get(path, '—')) for rows in own.values())} |"


def _rows(document: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield each default of a framework under its dotted path, with what is special about it."""
    for name, value in document.items():
        here = f"{path}.{name}".lstrip(".")
        if isinstance(value, dict) and "value" in value:
            fact = f": {value['fact']}" if value.get("fact") else ""
            yield here, f"{value['value']}{fact}"
        elif isinstance(value, dict):
            yield from _rows(value, here)


def _leaves(document: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the values of nested tables, each under its dotted path."""
    for name, value in document.items():
        here = f"{path}.{name}".lstrip(".")
        if isinstance(value, dict):
            yield from _leaves(value, here)
        else:
            yield here, value


def _cell(value: Any) -> str:
    """Return a value as the cell of a table."""
    text = str(value).replace("|", "\\|").replace("\n", " ").replace("<", "&lt;").replace("_", "\\_")
    return text.replace("*", "\\*").replace("[", "\\[")
