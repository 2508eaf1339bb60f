"""Pictures from anywhere, as upright RGB pixels: what comes from outside is limited and refused here.

A picture's file may be anything: cut off, built to fill the memory, named after another format. So its format
is decided by its content, its size by its header, and nothing is decoded before both are known to be fit.
"""

import io
import re
import threading
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from data.errors import InputError, printable
from data.leftout import JPEG_SUFFIXES
from data.modes import to_rgb
from inference.photos import structure

MAX_BYTES = 10_000_000
MAX_PIXELS = 25_000_000
MIN_SIDE = 16
MAX_ASPECT = 32
SUFFIXES = (".bmp", ".gif", *JPEG_SUFFIXES, ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp")
KNOWN = "JPEG, PNG, WebP, GIF, BMP, TIFF, PGM or PPM"
MAX_NAME = 100

UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# What a PNG's compressed texts may unpack to, all together; Pillow's own limit is 64 MB.
PngImagePlugin.MAX_TEXT_MEMORY = 8 << 20

# One at a time: it bounds the memory of a server, and `warnings.catch_warnings` is not thread-safe.
_DECODING = threading.Lock()


@dataclass(frozen=True)
class Picture:
    """An upright picture: `pixels` is uint8[H, W, 3], RGB; `notes` say what of the file was not taken.

    `reduction` is how many times smaller than the file's its sides are: 1, or what `decode_side` made of it.
    """

    pixels: NDArray[np.uint8]
    name: str
    notes: tuple[str, ...] = ()
    reduction: int = 1


class _Jpeg(JpegImagePlugin.JpegImageFile):
    def getexif(self) -> Image.Exif:
        # Pillow reads all EXIF on opening, for the resolution, at any cost in memory (see structure.py).
        return Image.Exif()


FORMATS: tuple[tuple[str, re.Pattern[bytes], type[ImageFile.ImageFile]], ...] = (
    ("JPEG", re.compile(rb"\xff\xd8\xff"), _Jpeg),
    ("PNG", re.compile(rb"\x89PNG\r\n\x1a\n"), PngImagePlugin.PngImageFile),
    ("WebP", re.compile(rb"RIFF....WEBP", re.DOTALL), WebPImagePlugin.WebPImageFile),
    ("GIF", re.compile(rb"GIF8[79]a"), GifImagePlugin.GifImageFile),
    ("BMP", re.compile(rb"BM"), BmpImagePlugin.BmpImageFile),
    ("TIFF", re.compile(rb"II\*\0|MM\0\*"), TiffImagePlugin.TiffImageFile),
    ("PGM or PPM", re.compile(rb"P[1-6f]\s"), PpmImagePlugin.PpmImageFile),
)


def read_picture(source: Path | bytes, name: str | None = None, decode_side: int | None = None) -> Picture:
    """Read a picture from a file or from a file's content.

    The first frame of an animation and the first page of a document are taken, with a note; EXIF
    orientation is applied; what is transparent is laid over white; 16-bit grey is divided by 257.

    Args:
        source: a path, or the whole content of a file.
        name: what messages call the picture; the file's own name, without its folders, by default.
        decode_side: decode a JPEG 2, 4 or 8 times smaller, as long as its longer side keeps so many pixels.

    Raises:
        InputError: it is missing, over 10 MB, in none of the known formats (by its content), truncated or
            damaged, over 25 megapixels by its header, under 16 pixels a side, or more than 32 times as long
            as wide, or it holds numbers that are not 8- or 16-bit brightness.
    """
    if isinstance(source, Path):
        name = file_name(name or source.name)
        content = _content(source, name)
    else:
        name, content = file_name(name or "the picture"), source
    if not content:
        raise InputError(f"{name} is empty: expected a {KNOWN} picture; give another file")
    if len(content) > MAX_BYTES:
        raise _too_large(name, len(content))
    with _DECODING, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _decode(content, name, decode_side)


def file_name(path: str) -> str:
    """Return the last part of a path, of whatever system, fit for a message: printable and not too long."""
    last = re.split(r"[/\\]", path.rstrip("/\\"))[-1]
    return printable(last)[:MAX_NAME] or "the picture"


def _content(path: Path, name: str) -> bytes:
    try:
        if not path.exists():
            raise InputError(f"{name} does not exist: expected a picture there; check the path")
        if not path.is_file():
            raise InputError(f"{name} is not a file: expected a {KNOWN} picture; give a file")
        if (size := path.stat().st_size) > MAX_BYTES:
            raise _too_large(name, size)
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "the path is not valid"
        raise InputError(f"{name} cannot be read ({reason}): expected a readable file; check it") from error


def _too_large(name: str, size: int) -> InputError:
    return InputError(f"{name} has {size / 1e6:.1f} MB: at most {MAX_BYTES // 1_000_000} MB are taken; save it smaller")


def _decode(content: bytes, name: str, decode_side: int | None) -> Picture:
    kind, reader = _format(content, name)
    if (complaint := structure.complaint(kind, content)) is not None:
        raise InputError(f"{name} {complaint}: it is not opened; save it anew with another program")
    try:
        image = reader(io.BytesIO(content))
        check_size(*image.size, name)
        notes = _notes(kind, image, content)
        reduction = 1 if decode_side is None else _reduce(image, decode_side)
        image.load()
        _check_whole(kind, content)
        rgb = to_rgb(image, name)
        # Pillow itself turns a TIFF upright, and nothing else.
        exif = b"" if kind == "TIFF" else image.info.get("exif", b"")
    except InputError:
        raise
    # Pillow's decoders answer damaged files with a dozen kinds of exception, MemoryError among them.
    except Exception as error:
        raise InputError(
            f"{name} is a damaged or truncated {kind} file: expected a whole picture; save or copy it anew"
        ) from error
    turn = UPRIGHT.get(structure.orientation(exif))
    if reduction > 1:
        notes += (f"decoded at 1/{reduction} of its sides",)
    return Picture(np.asarray(rgb if turn is None else rgb.transpose(turn)), name, notes, reduction)


def _reduce(image: ImageFile.ImageFile, longer: int) -> int:
    """Have a JPEG decoded so that its sides are 2, 4 or 8 times smaller; return how many times, 1 for all others."""
    width, height = image.size
    size = (longer, MIN_SIDE) if width >= height else (MIN_SIDE, longer)
    image.draft(image.mode, size)
    return round(max(width, height) / max(image.size))


def _format(content: bytes, name: str) -> tuple[str, type[ImageFile.ImageFile]]:
    for kind, signature, reader in FORMATS:
        if signature.match(content):
            return kind, reader
    raise InputError(f"{name} is not a picture that can be read: expected the content of a {KNOWN} file; give one")


def check_size(width: int, height: int, name: str) -> None:
    """Raise an `InputError` where a picture of these sides, in pixels, is too large, too small or too long."""
    size = f"{name} is {width} x {height} pixels"
    if width * height > MAX_PIXELS:
        raise InputError(f"{size}: at most {MAX_PIXELS // 1_000_000} megapixels are taken; save it smaller")
    if min(width, height) < MIN_SIDE:
        raise InputError(f"{size}: at least {MIN_SIDE} a side are needed; give a larger picture")
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise InputError(f"{size}: at most {MAX_ASPECT} times as long as wide is taken; cut it to the faces")


def _notes(kind: str, image: Image.Image, content: bytes) -> tuple[str, ...]:
    if kind == "GIF":
        several = len(list(structure.gif_frames(content))) > 1
    else:
        several = getattr(image, "is_animated", False)
    if not several:
        return ()
    return ("several pages: the first one was taken" if kind == "TIFF" else "an animation: its first frame was taken",)


def _check_whole(kind: str, content: bytes) -> None:
    # Pillow takes a PNG without its last chunk for whole, and anything if LOAD_TRUNCATED_IMAGES was ever set.
    end = {"PNG": b"IEND\xaeB`\x82", "JPEG": b"\xff\xd9"}.get(kind, b"")
    if end not in content:
        raise ValueError("the end is missing")
