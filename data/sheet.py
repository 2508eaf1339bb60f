"""A contact sheet: the quickest way to see what a dataset holds, and that labels and pixels agree."""

import io
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from data.errors import printable
from data.faceset import LABELS, SIDE, FaceSet
from data.files import write_bytes

TILE = 2 * SIDE
GAP = 6
MARGIN = 28
HEADER = 62
LABEL_WIDTH = 132

PAPER, INK, FAINT, EMPTY = "#fbfaf8", "#1f2328", "#6e7681", "#efedea"


def sheet_size(per_class: int) -> tuple[int, int]:
    """The width and height in pixels of a sheet with `per_class` faces in a row."""
    width = 2 * MARGIN + LABEL_WIDTH + per_class * (TILE + GAP) - GAP
    height = 2 * MARGIN + HEADER + len(LABELS) * (TILE + GAP) - GAP
    return width, height


def contact_sheet(faces: FaceSet, path: Path, per_class: int = 10, seed: int = 0) -> None:
    """Write a PNG with a row for each class: its name, its count, and some of its faces at twice their size.

    Which faces are shown depends on the faces and `seed` alone. A class without a face has an empty row.
    The size of the picture is `sheet_size(per_class)`.
    """
    sheet = Image.new("RGB", sheet_size(per_class), PAPER)
    pen = ImageDraw.Draw(sheet)
    _write_title(pen, printable(faces.source), sheet.width - 2 * MARGIN)
    pen.text((MARGIN, MARGIN + 32), f"{len(faces):,} faces", FAINT, font=_font(15))
    rng = np.random.default_rng(seed)
    for label, name in enumerate(LABELS):
        members = np.flatnonzero(faces.labels == label)
        top = MARGIN + HEADER + label * (TILE + GAP)
        _write_label(pen, top, name, len(members))
        shown = rng.choice(members, min(per_class, len(members)), replace=False)
        _place_row(sheet, pen, top, faces.pixels[np.sort(shown)], per_class)
    content = io.BytesIO()
    sheet.save(content, "PNG")
    write_bytes(path, content.getvalue())


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _write_title(pen: ImageDraw.ImageDraw, title: str, width: int) -> None:
    font = _font(24)
    shown = title
    while len(shown) > 1 and pen.textlength(shown, font) > width:
        shown = shown[:-2] + "…"
    pen.text((MARGIN, MARGIN), shown, INK, font=font)


def _write_label(pen: ImageDraw.ImageDraw, top: int, name: str, count: int) -> None:
    middle = top + TILE // 2
    pen.text((MARGIN, middle - 2), name, INK, font=_font(21), anchor="ls")
    pen.text((MARGIN, middle + 20), f"{count:,}", FAINT, font=_font(16), anchor="ls")


def _place_row(
    sheet: Image.Image, pen: ImageDraw.ImageDraw, top: int, pixels: NDArray[np.uint8], per_class: int
) -> None:
    for column in range(per_class):
        left = MARGIN + LABEL_WIDTH + column * (TILE + GAP)
        if column < len(pixels):
            tile = Image.fromarray(pixels[column]).resize((TILE, TILE), Image.Resampling.BICUBIC)
            sheet.paste(tile, (left, top))
        else:
            pen.rectangle((left, top, left + TILE - 1, top + TILE - 1), fill=EMPTY)
