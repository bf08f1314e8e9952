"""A document as one picture to send: the verdict, why, and the figure that proves it, as SVG or PNG.

No browser is needed: it is drawn from the same `Page` that a browser shows.
"""

from __future__ import annotations

from typing import BinaryIO, TextIO

from likewise.producer.report.canvas import Canvas, PngCanvas, SvgCanvas
from likewise.producer.report.chart import GREEN, INK, ORANGE, QUIET, draw
from likewise.producer.report.document import Document
from likewise.producer.report.layout import Page, Tone

WIDTH = 1000
_MARGIN = 44
_TEXT = 19
_LINE = 28
_MOST_LINES = 14
"""The most lines of reasons; a picture is looked at, and a page is read."""
_HIGHEST = 4_000
_TONES: dict[Tone, tuple[str, str]] = {
    "agree": (GREEN, "="), "differ": (ORANGE, "≠"), "inconclusive": ("#7a5c00", "?"), "plain": (INK, ""),
}  # fmt: skip


def write_svg(document: Document, stream: TextIO) -> None:
    """Write the picture as an SVG file."""
    page = document.own_page()
    canvas = SvgCanvas()
    height = _draw(canvas, page)
    canvas.write(stream, width=WIDTH, height=height, title=_said(page))


def write_png(document: Document, stream: BinaryIO) -> None:
    """Write the picture as a PNG file."""
    page = document.own_page()
    height = _draw(PngCanvas(width=WIDTH, height=1), page)  # which only measures
    canvas = PngCanvas(width=WIDTH, height=height)
    _draw(canvas, page)
    canvas.write(stream, title=_said(page))


def _said(page: Page) -> str:
    return f"{page.name}: {page.title}" if page.name else page.title


def _draw(canvas: Canvas, page: Page) -> float:
    """Draw all, from the top down, and return how high it is."""
    room, at = WIDTH - 2 * _MARGIN, float(_MARGIN)
    if page.name:
        facts = " · ".join([page.name, *page.facts])
        canvas.text((_MARGIN, at + 8), facts, size=16, colour=QUIET)
        at += 30
    colour, sign = _TONES[page.tone]
    left = _MARGIN + (52 if sign else 0)
    for place, line in enumerate(canvas.folded(page.title, room - (left - _MARGIN), size=34, bold=True)):
        if sign and place == 0:
            _badge(canvas, (_MARGIN + 19, at + 22), colour, sign)
        canvas.text((left, at + 34), line, size=34, colour=colour, bold=True)
        at += 44
    at += 6
    for line in canvas.folded(page.lead, room, size=_TEXT):
        canvas.text((_MARGIN, at + _TEXT), line, size=_TEXT, colour=INK)
        at += _LINE
    if page.proof is not None:
        figure = page.proof.figure
        height = 22 * figure.rows if figure.rows else 340.0
        draw(canvas, figure, left=_MARGIN, top=at + 14, width=room, height=height)
        at += height + 62
    at = _reasons(canvas, page, at)
    canvas.text((_MARGIN, at + 24), "Likewise · " + " · ".join(page.foot[:1]), size=14, colour=QUIET)
    return min(_HIGHEST, at + 24 + _MARGIN)


def _badge(canvas: Canvas, centre: tuple[float, float], colour: str, sign: str) -> None:
    """Draw the verdict's sign, of strokes, since not every font has it."""
    canvas.circle(centre, 19, fill=colour, colour=colour)
    x, y = centre
    if sign == "?":
        canvas.text((x, y + 9), sign, size=26, colour="#ffffff", anchor="middle", bold=True)
        return
    for down in (-4.5, 4.5):
        canvas.line([(x - 9, y + down), (x + 9, y + down)], "#ffffff", 3.5)
    if sign == "≠":
        canvas.line([(x - 5, y + 11), (x + 5, y - 11)], "#ffffff", 3)


def _reasons(canvas: Canvas, page: Page, at: float) -> float:
    """Draw what has to be known beside the verdict, and the further reasons."""
    drawn = 0
    for reason in [*page.notes, *page.reasons]:
        lines = canvas.folded(reason, WIDTH - 2 * _MARGIN - 20, size=_TEXT - 2)
        if drawn + len(lines) > _MOST_LINES:
            canvas.text((_MARGIN + 20, at + _TEXT), "…", size=_TEXT, colour=QUIET)
            return at + _LINE
        canvas.circle((_MARGIN + 5, at + 13), 2.5, fill=QUIET, colour=QUIET)
        for line in lines:
            canvas.text((_MARGIN + 20, at + _TEXT), line, size=_TEXT - 2, colour=INK)
            at += _LINE - 2
        at += 4
        drawn += len(lines)
    return at
