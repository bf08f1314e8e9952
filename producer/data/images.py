"""Images in a folder with a folder a class, decoded once to bytes by Pillow.

All that ports get wrong is declared: the size, the rule by which an image is resized, whether it is cut or
stretched, its mode, the order of its channels, and, as for all data, the mean and the scale.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likewise.producer.data.loaded import Loaded, find_folder
from likewise.producer.data.memory import room_for
from likewise.producer.display import count, printable
from likewise.shared.errors import DataError
from likewise.shared.job.data import ImagesData
from likewise.shared.store.arrays import give_back_pages

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
MOST_PIXELS = 64 * 10**6
"""The most pixels of one image: more are a slip, or meant to fill the memory."""
_SHOWN = 5
_AT_ONCE = 256
"""Images that are decoded between two looks at how far it is."""


def load_images(data: ImagesData, base: Path, tell: Callable[[str], None] = lambda _: None) -> Loaded:
    """Return the images as bytes, uint8 (n, height, width, channels), and the number of each one's class.

    The classes are the folders in the order of their names, and so are the files in each. `tell` is told how
    far it is. Raises DataError where a file is no image, or not like the others.
    """
    folder = find_folder(data.path, base)
    place = printable(folder.name)
    classes, by_class, beside = classes_and_files(folder)
    files = [file for of_class in by_class for file in of_class]
    y = np.repeat(np.arange(len(classes)), [len(of_class) for of_class in by_class])
    height, width = data.size
    x = room_for((len(files), height, width, len(data.mode)), np.dtype(np.uint8), place=place)
    see_through = _decode_all(files, x, data, folder, tell)
    notes = []
    if beside:
        shown = ", ".join(beside[:_SHOWN]) + (f" and {len(beside) - _SHOWN} more" * (len(beside) > _SHOWN))
        notes.append(f"{place}: not taken, since it lies in no folder of a class: {shown}")
    if see_through:
        notes.append(
            f"{place}: {count(see_through, 'image')} can be seen through in places, of which mode "
            f"{data.mode} keeps nothing: the colours behind are trained on; mode: RGBA keeps it"
        )
    return Loaded(
        x=x,
        y=y.astype(np.min_scalar_type(len(classes))).reshape(-1, 1),
        x_place=place,
        y_place=place,
        target_names=("class",),
        class_names=tuple(classes),
        notes=tuple(notes),
    )


def classes_and_files(folder: Path) -> tuple[list[str], list[list[Path]], list[str]]:
    """Return the classes, the files of each, and the names of what lies beside their folders, all by name.

    Raises DataError for fewer than two folders, and for what is no image in one.
    """
    place = printable(folder.name)
    entries = sorted(
        (entry for entry in os.scandir(folder) if entry.name[0] != "."), key=lambda one: one.name
    )
    classes = [entry.name for entry in entries if entry.is_dir()]
    beside = [printable(entry.name) for entry in entries if not entry.is_dir()]
    if len(classes) < 2:
        raise DataError(
            f"{place}: has {count(len(classes), 'folder')}, and images lie in a folder a class; "
            f"make two or more, such as {place}/cat and {place}/dog"
        )
    return classes, [_images_of(folder / name, f"{place}/{printable(name)}") for name in classes], beside


def shapes_of(
    by_class: Sequence[Sequence[Path]], folder: Path
) -> tuple[list[tuple[int, int]], frozenset[str]]:
    """Return the height and width of each image, and their modes, without decoding one; files that are no
    image are left out, and told by `load_images`.
    """
    from PIL import Image

    sizes, modes = [], set[str]()
    for file in (file for files in by_class for file in files):
        with (
            suppress(OSError, ValueError, SyntaxError, Image.DecompressionBombError),
            Image.open(file) as image,
        ):
            sizes.append((image.height, image.width))
            modes.add(image.mode)
    if not sizes:
        raise DataError(f"{printable(folder.name)}: holds no image that Pillow can read")
    return sizes, frozenset(modes)


def _images_of(folder: Path, place: str) -> list[Path]:
    """Return a class's images, by name. Raises DataError for what is left in the folder, and for none."""
    files = sorted(entry for entry in folder.iterdir() if entry.name[0] != ".")
    others = [entry for entry in files if entry.suffix.lower() not in SUFFIXES or not entry.is_file()]
    if others:
        shown = ", ".join(printable(entry.name) for entry in others[:_SHOWN])
        more = f" and {len(others) - _SHOWN} more" if len(others) > _SHOWN else ""
        raise DataError(
            f"{place}: {shown}{more}: no image by its name ({', '.join(SUFFIXES)}); "
            "take it out, or begin its name with a dot"
        )
    if not files:
        raise DataError(f"{place}: holds no image; take the folder out, or fill it")
    return files


def _decode_all(
    files: Sequence[Path], x: NDArray[np.uint8], data: ImagesData, folder: Path, tell: Callable[[str], None]
) -> int:
    """Fill x with the images, in as many threads as there are cores: Pillow decodes outside Python's lock.

    Return of how many the mode leaves out that they can be seen through.
    """
    wrong: list[str] = []
    see_through: list[int] = []

    def decode(number: int) -> None:
        try:
            x[number], loses = _decoded(files[number], data)
            if loses:
                see_through.append(number)
        except (OSError, ValueError, SyntaxError, EOFError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            wrong.append(f"{printable(str(files[number].relative_to(folder)))}: {printable(reason)}")

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for begin in range(0, len(files), _AT_ONCE):
            list(pool.map(decode, range(begin, min(begin + _AT_ONCE, len(files)))))
            if wrong:
                shown = sorted(wrong)[:_SHOWN]
                raise DataError(f"{printable(folder.name)}: images that cannot be read: {'; '.join(shown)}")
            give_back_pages(x)
            tell(f"decoded {min(begin + _AT_ONCE, len(files)):,} of {count(len(files), 'image')}")
    return len(see_through)


def _decoded(file: Path, data: ImagesData) -> tuple[NDArray[np.uint8], bool]:
    """Return one image, (height, width, channels), and whether its mode leaves out that one sees through it.

    Raises OSError, ValueError.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        opened = Image.open(file)
    except Image.DecompressionBombError as error:  # Pillow's own bound, which is no OSError
        raise ValueError(f"has more pixels than {MOST_PIXELS:,}") from error
    except UnidentifiedImageError as error:  # whose own words have the whole path
        raise ValueError("is no image that Pillow can read, whatever its name says") from error
    with opened as stored:
        # a camera's JPEG may hold its preview besides, which Pillow calls MPO
        frames = 1 if stored.format == "MPO" else getattr(stored, "n_frames", 1)
        if frames > 1:
            raise ValueError(f"holds {frames} pictures one after another; save the one that is meant")
        if stored.width * stored.height > MOST_PIXELS:
            raise ValueError(f"has {stored.width} × {stored.height} pixels, and at most {MOST_PIXELS:,}")
        if stored.mode.startswith(("I", "F")):
            raise ValueError(f"holds numbers of more than 8 bits ({stored.mode}); save it with 8")
        image: Any = ImageOps.exif_transpose(stored) if data.exif else stored
        loses = data.mode != "RGBA" and _can_be_seen_through(image)
        image = image.convert(data.mode)
    height, width = data.size
    rule = Image.Resampling[data.resize.upper()]
    if data.fit == "crop":
        image = _cut(image, height / width)
    if image.size != (width, height):
        image = image.resize((width, height), rule)
    turned = data.channel_order == "bgr" and data.mode != "L"
    pixels = np.asarray(image, np.uint8).reshape(height, width, len(data.mode))
    return (pixels[..., [2, 1, 0, 3][: len(data.mode)]] if turned else pixels), loses


def _can_be_seen_through(image: Any) -> bool:
    """Return whether some pixel of an image is not wholly opaque."""
    if not image.has_transparency_data:
        return False
    least, _ = image.convert("RGBA").getextrema()[3]
    return bool(least < 255)


def _cut(image: Any, ratio: float) -> Any:
    """Return the largest part in the middle whose height by width is the ratio."""
    width = min(image.width, round(image.height / ratio))
    height = min(image.height, round(image.width * ratio))
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))
