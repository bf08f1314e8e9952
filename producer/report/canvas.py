"""Two surfaces to draw a picture on, with the same few strokes: an SVG file, and a PNG file by Pillow.

Lengths are in pixels of the picture; the PNG has twice as many each way. Colours are `#rrggbb`.
"""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, TextIO
from xml.sax.saxutils import escape, quoteattr

from likewise.producer.display import printable
from likewise.producer.report import MARK

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont, ImageFont

Point = tuple[float, float]
Anchor = Literal["start", "middle", "end"]
_PILLOW: dict[Anchor, str] = {"start": "ls", "middle": "ms", "end": "rs"}
_FONTS = ("DejaVuSans{}.ttf", "LiberationSans{}.ttf", "NotoSans{}.ttf", "Arial{}.ttf", "Helvetica{}.ttc")
"""Fonts that Pillow looks for on this machine, the one with most signs first; it ships one for the rest."""
_FINE = 4
"""The PNG is drawn so many times as large and then made half of that, so that its lines are smooth."""


class Canvas(ABC):
    """It takes strokes. `bold` and `size` say how a text is set; a text stands on its baseline."""

    @abstractmethod
    def polygon(self, points: Sequence[Point], fill: str) -> None:
        """Fill what lies between points."""

    @abstractmethod
    def line(self, points: Sequence[Point], colour: str, width: float, dash: Sequence[float] = ()) -> None:
        """Draw a line through points."""

    @abstractmethod
    def circle(self, centre: Point, radius: float, *, fill: str | None, colour: str) -> None:
        """Draw a circle, filled or open."""

    @abstractmethod
    def text(
        self, at: Point, text: str, *, size: float, colour: str, anchor: Anchor = "start", bold: bool = False
    ) -> None:
        """Write a text that begins, has its middle, or ends at a point."""

    @abstractmethod
    def length(self, text: str, *, size: float, bold: bool = False) -> float:
        """Return about how wide a text is."""

    def rectangle(self, left: float, top: float, width: float, height: float, fill: str) -> None:
        """Draw a filled rectangle, by its upper left corner and its size."""
        right, bottom = left + width, top + height
        self.polygon([(left, top), (right, top), (right, bottom), (left, bottom)], fill)

    def folded(self, text: str, width: float, *, size: float, bold: bool = False) -> list[str]:
        """Return a text as lines that are no wider; a word that is wider than a line has one by itself."""
        lines: list[str] = []
        for word in printable(text).split():
            longer = f"{lines[-1]} {word}" if lines else word
            if lines and self.length(longer, size=size, bold=bold) <= width:
                lines[-1] = longer
            else:
                lines.append(word)
        return lines


class SvgCanvas(Canvas):
    """It writes elements of an SVG file."""

    def __init__(self) -> None:
        self._elements: list[str] = []

    def polygon(self, points: Sequence[Point], fill: str) -> None:
        """Fill what lies between points."""
        self._elements.append(f'<polygon points="{_listed(points)}" fill="{fill}"/>')

    def line(self, points: Sequence[Point], colour: str, width: float, dash: Sequence[float] = ()) -> None:
        """Draw a line through points."""
        dashed = f' stroke-dasharray="{" ".join(map(str, dash))}"' if dash else ""
        self._elements.append(
            f'<polyline points="{_listed(points)}" fill="none" stroke="{colour}" '
            f'stroke-width="{width:g}" stroke-linejoin="round"{dashed}/>'
        )

    def circle(self, centre: Point, radius: float, *, fill: str | None, colour: str) -> None:
        """Draw a circle, filled or open."""
        x, y = centre
        self._elements.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}" fill="{fill or "none"}" stroke="{colour}" '
            f'stroke-width="{0 if fill else 2}"/>'
        )

    def text(
        self, at: Point, text: str, *, size: float, colour: str, anchor: Anchor = "start", bold: bool = False
    ) -> None:
        """Write a text that begins, has its middle, or ends at a point."""
        weight = ' font-weight="bold"' if bold else ""
        self._elements.append(
            f'<text x="{at[0]:.1f}" y="{at[1]:.1f}" font-size="{size:g}" fill="{colour}" '
            f'text-anchor="{anchor}"{weight}>{escape(printable(text))}</text>'
        )

    def length(self, text: str, *, size: float, bold: bool = False) -> float:
        """Return about how wide a text is; a reader's font may be a little narrower."""
        return len(text) * size * (0.64 if bold else 0.58)

    def write(self, stream: TextIO, *, width: float, height: float, title: str) -> None:
        """Write the file; `title` is what it shows, in words."""
        stream.write(
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" '
            f'height="{height:g}" role="img" aria-label={quoteattr(printable(title))} '
            "font-family=\"system-ui, -apple-system, 'Segoe UI', Roboto, Arial, sans-serif\">\n"
            f"<title>{escape(printable(title))}</title>\n<!-- {MARK} -->\n"
            f'<rect width="100%" height="100%" fill="#ffffff"/>\n'
        )
        stream.writelines(f"{element}\n" for element in self._elements)
        stream.write("</svg>\n")


class PngCanvas(Canvas):
    """It draws with Pillow. The picture grows downwards as far as is drawn."""

    def __init__(self, *, width: float, height: float) -> None:
        from PIL import Image, ImageDraw

        self._image = Image.new("RGB", (round(width * _FINE), round(height * _FINE)), "#ffffff")
        self._draw = ImageDraw.Draw(self._image)
        self._fonts: dict[tuple[float, bool], FreeTypeFont | ImageFont] = {}

    def polygon(self, points: Sequence[Point], fill: str) -> None:
        """Fill what lies between points."""
        self._draw.polygon(_large(points), fill=fill)

    def line(self, points: Sequence[Point], colour: str, width: float, dash: Sequence[float] = ()) -> None:
        """Draw a line through points."""
        for part in _dashes(points, dash) if dash else [points]:
            self._draw.line(_large(part), fill=colour, width=max(1, round(width * _FINE)), joint="curve")

    def circle(self, centre: Point, radius: float, *, fill: str | None, colour: str) -> None:
        """Draw a circle, filled or open."""
        (x, y), r = centre, radius
        box = _large([(x - r, y - r), (x + r, y + r)])
        self._draw.ellipse(box, fill=fill, outline=colour, width=0 if fill else 2 * _FINE)

    def text(
        self, at: Point, text: str, *, size: float, colour: str, anchor: Anchor = "start", bold: bool = False
    ) -> None:
        """Write a text that begins, has its middle, or ends at a point."""
        font = self._font(size, bold=bold)
        self._draw.text(_large([at])[0], printable(text), fill=colour, font=font, anchor=_PILLOW[anchor])

    def length(self, text: str, *, size: float, bold: bool = False) -> float:
        """Return how wide a text is."""
        return float(self._font(size, bold=bold).getlength(text)) / _FINE

    def write(self, stream: BinaryIO, *, title: str) -> None:
        """Write the file; `title` is what it shows, in words."""
        from PIL.PngImagePlugin import PngInfo

        told = PngInfo()
        told.add_itxt("Title", printable(title))
        told.add_text("Software", MARK)
        size = (self._image.width * 2 // _FINE, self._image.height * 2 // _FINE)
        self._image.resize(size, reducing_gap=None).save(stream, "PNG", optimize=True, pnginfo=told)

    def _font(self, size: float, *, bold: bool) -> Any:
        if (size, bold) not in self._fonts:
            self._fonts[size, bold] = _font_of(size * _FINE, bold=bold)
        return self._fonts[size, bold]


def _font_of(size: float, *, bold: bool) -> Any:
    from PIL import ImageFont

    for name in _FONTS:
        try:
            return ImageFont.truetype(name.format("-Bold" if bold else ""), size)
        except OSError:
            continue
    return ImageFont.load_default(size)


def _listed(points: Sequence[Point]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _large(points: Sequence[Point]) -> list[Point]:
    return [(x * _FINE, y * _FINE) for x, y in points]


def _dashes(points: Sequence[Point], dash: Sequence[float]) -> Iterator[list[Point]]:
    """Yield the drawn parts of a dashed line."""
    place, left, drawn = 0, float(dash[0]), True
    part = [points[0]]
    for begin, end in itertools.pairwise(points):
        way, along = math.dist(begin, end), 0.0
        while way - along > left:
            along += left
            at = (begin[0] + (end[0] - begin[0]) * along / way, begin[1] + (end[1] - begin[1]) * along / way)
            if drawn:
                yield [*part, at]
            part, drawn, place = [at], not drawn, (place + 1) % len(dash)
            left = float(dash[place])
        left -= way - along
        part.append(end)
    if drawn and len(part) > 1:
        yield part
