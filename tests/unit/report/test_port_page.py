"""The page of a port: both trees of modules, paired, marked and walkable, and small enough to send."""

from __future__ import annotations

import io
import re
from html.parser import HTMLParser

import pytest

from likewise.producer.port.models import ModuleRow, PortCheck, PortFinding, Rung
from likewise.producer.report.layout import Branch, Leaf, Trees
from likewise.producer.report.page import write_html
from likewise.producer.report.port import PortDocument

MOST_BYTES = 1_500_000


def module(keras: str, torch: str, status: str = "same", findings: tuple[int, ...] = ()) -> ModuleRow:
    paths = {side: path for side, path in (("keras", keras), ("torch", torch)) if path}
    return ModuleRow(
        paths=paths,
        types=dict.fromkeys(paths, "Dense"),
        lines={side: f"{side}.py:7" for side in paths},
        shapes={side: {"kernel": (128, 64), "bias": (64,)} for side in paths},
        status=status,
        relative_difference=1e-16 if status == "same" else 0.5,
        findings=findings,
    )


def document(*modules: ModuleRow) -> PortDocument:
    cause = PortFinding(rung="forward", path="b", setting="epsilon", text="epsilon of b differs",
                        fix={"torch": "write eps=0.001"})  # fmt: skip
    return PortDocument(
        PortCheck(
            name="net", sides=("keras", "torch"), files={}, tolerance=2e-7, mapping=(),
            versions={"keras": "tensorflow 2.21.0", "torch": "torch 2.13.0"},
            rungs=(Rung(name="forward", status="fails", first_cause=cause, text="they part"),),
            findings=(cause,), modules=modules,
        )
    )  # fmt: skip


def trees(*modules: ModuleRow) -> Trees:
    blocks = [block for section in document(*modules).page().sections for block in section.blocks]
    (found,) = [block for block in blocks if isinstance(block, Trees)]
    return found


def html(*modules: ModuleRow) -> str:
    stream = io.StringIO()
    write_html(document(*modules), stream)
    return stream.getvalue()


NET = (
    module("a", "stem.a"),
    module("b", "stem.b", "differs", (0,)),
    module("c", "", "alone"),
    module("d", "head.d"),
    module("", "head.e", "alone"),
    module("f", "out"),
)


def test_pairs_stand_under_the_parents_of_the_deeper_tree() -> None:
    stem, head, out = trees(*NET).inner
    assert isinstance(stem, Branch)
    assert isinstance(head, Branch)
    assert isinstance(out, Leaf)
    assert [one.names for one in stem.inner] == [("a", "stem.a"), ("b", "stem.b"), ("c", "")]
    assert (stem.marked, stem.says) == (True, "3 lines, 2 to look at")
    assert [one.names for one in head.inner] == [("d", "head.d"), ("", "head.e")]


def test_what_needs_a_look_is_walked_from_one_to_the_next() -> None:
    page = html(*NET)
    marked = re.findall(r'id="(module-\d)"', page)
    assert marked == ["module-1", "module-2", "module-3"]
    assert re.findall(r'href="#(module-\d)"', page) == ["module-2", "module-3"]


def test_a_module_that_differs_says_how_where_it_opens() -> None:
    page = html(*NET)
    leaf = page[page.index('id="module-1"') :]
    facts = leaf[: leaf.index("</ul>")]
    assert "epsilon of b differs." in facts
    assert "keras: Dense (kernel 128 × 64, bias 64), keras.py:7" in facts
    assert "what leaves is 0.5 apart" in facts


def test_every_element_of_the_trees_is_closed() -> None:
    class Balance(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.depth: dict[str, int] = {}

        def handle_starttag(self, tag: str, _: object) -> None:
            self.depth[tag] = self.depth.get(tag, 0) + 1

        def handle_endtag(self, tag: str) -> None:
            self.depth[tag] = self.depth.get(tag, 0) - 1

    balance = Balance()
    balance.feed(html(*NET))
    assert {tag: balance.depth[tag] for tag in ("ul", "li", "details", "summary", "div")} == dict.fromkeys(
        ("ul", "li", "details", "summary", "div"), 0
    )


@pytest.mark.parametrize("status", ["same", "alone"])
def test_the_page_of_a_thousand_modules_is_small(status: str) -> None:
    several = [
        module(f"block_{n // 10}_expand_{n}", f"layers.{n // 10}.conv.{n}", status) for n in range(1_000)
    ]
    assert len(html(*several).encode()) < MOST_BYTES
