"""Write docs/gallery: what Likewise says of the public reports that ship as job files.

    python docs/make_gallery.py [NAME ...]

Each is compared and explained, on the stack that the settings name, and its page has what was printed. `make
gallery` does so for all of them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from likewise.producer.cli.app import app
from likewise.producer.job.examples import Example, example, example_path, gallery_names

FOLDER = Path(__file__).parent / "gallery"
NAMES = ("article", *gallery_names())


def said(command: str, name: str) -> dict[str, Any]:
    """Return what a command says of an example, in JSON."""
    done = CliRunner().invoke(app, [command, name, "--json"])
    if done.exit_code:
        sys.exit(f"{command} {name}: {done.output}{done.exception or ''}")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def page(one: Example, compared: dict[str, Any], explained: dict[str, Any]) -> str:
    """Return the page of a report."""
    reference, other = explained["reference"], explained["other"]
    lines = [
        f"# {one.title}",
        "",
        one.story,
        "",
        f"The report: <{one.report}>. The job: [`{one.name}`](../../{_shipped(one)}).",
        "",
        f"`likewise compare {one.name}` says **{compared['verdict']}**:",
        "",
        *(f"- {_escaped(reason)}" for reason in compared["reasons"]),
        *(f"- {_escaped(note['text'])}" for note in compared.get("notes", ()) if isinstance(note, dict)),
        "",
        f"`likewise explain {one.name}`: {_escaped(explained['sentence'])}",
    ]
    for each in explained["contributions"]:
        for side, like in ((other, reference), (reference, other)):
            if side in each["fixes"]:
                lines += ["", f"{side} like {like}:", "", "```python", each["fixes"][side], "```"]
    return "\n".join(lines) + "\n"


def _shipped(one: Example) -> str:
    path = example_path(one.name)
    return f"producer/examples/{path.name if path.parent.name == 'examples' else f'gallery/{path.name}'}"


def _escaped(text: str) -> str:
    return text.replace("*", "\\*").replace("_", "\\_")


def index() -> str:
    """Return the list of all pages."""
    rows = [f"| [{one.title}]({one.name}.md) | `{one.name}` |" for one in map(example, NAMES)]
    return (
        "# The gallery\n\n"
        "Public reports of models that came out differently in two frameworks, each as a job file that\n"
        "ships with Likewise: `likewise compare NAME` trains it, `likewise explain NAME` says what did it,\n"
        "and `likewise init job.yaml --from NAME` copies it to start from. `likewise examples WORD` looks\n"
        "for one. What the pages show was printed by the program; `make gallery` writes them anew.\n\n"
        "| report | name |\n|---|---|\n" + "\n".join(rows) + "\n"
    )


def main(names: list[str]) -> None:
    """Write the pages of these reports, of all without a name, and the list."""
    FOLDER.mkdir(exist_ok=True)
    for name in names or NAMES:
        one = example(name)
        text = page(one, said("compare", name), said("explain", name))
        (FOLDER / f"{name}.md").write_text(text, encoding="utf-8")
        print(f"wrote {name}")  # noqa: T201
    (FOLDER / "README.md").write_text(index(), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
