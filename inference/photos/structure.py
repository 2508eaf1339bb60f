"""What a picture file says of itself, read without decoding anything.

Pillow reads the metadata of whatever it opens, and can be made to pay for it out of all proportion: 60 KB
of EXIF whose tags all point at the same bytes took 286 MB, 10 MB of GIF comments took four minutes, and
every 64 bytes of empty JPEG scan cost 13 ms at 25 megapixels. So the orientation is read here, and files
built like that are turned away before Pillow sees them.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

MAX_SCANS = 100  # An ordinary progressive JPEG has about ten, in the picture and again in its thumbnail.
MAX_VALUES = 65_536  # Of one TIFF tag. The longest lists are of strips, and no picture needs more.
MAX_TILE = 25_000_000  # Pixels. libtiff sets a whole tile aside, however small the picture.
MAX_EXTENSIONS = 1 << 18  # Bytes of GIF comments and the like; the time they take grows with the square.

ORIENTATION = 274
TILE_WIDTH, TILE_LENGTH = 322, 323
DIRECTORIES = (34665, 34853, 40965)  # Exif, GPS and interoperability: Pillow follows these pointers.
VALUE_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8}
BYTE_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}


@dataclass(frozen=True)
class Tag:
    """One entry of a TIFF directory; `value` is the number held in place, or the offset of the values."""

    number: int
    type: int
    count: int
    value: int

    @property
    def size(self) -> int:
        """Bytes that the values take outside the entry; 0 where they fit into it."""
        size = self.count * VALUE_SIZES.get(self.type, 0)
        return size if size > 4 else 0


def tags(tiff: bytes, depth: int = 2) -> Iterator[Tag]:
    """Yield the entries of the first directory of a TIFF file or EXIF block, and of those it points to."""
    if (order := BYTE_ORDERS.get(tiff[:4])) is not None and len(tiff) >= 8:
        yield from _directory(tiff, order, struct.unpack_from(order + "I", tiff, 4)[0], depth)


def _directory(tiff: bytes, order: str, offset: int, depth: int) -> Iterator[Tag]:
    if offset + 2 > len(tiff):
        return
    (entries,) = struct.unpack_from(order + "H", tiff, offset)
    for entry in range(offset + 2, min(offset + 2 + 12 * entries, len(tiff) - 11), 12):
        number, kind, count = struct.unpack_from(order + "HHI", tiff, entry)
        # A SHORT stands at the start of the four bytes, in either byte order.
        (value,) = struct.unpack_from(order + ("H" if kind == 3 else "I"), tiff, entry + 8)
        yield Tag(number, kind, count, value)
        if depth and number in DIRECTORIES:
            yield from _directory(tiff, order, value, depth - 1)


def orientation(exif: bytes) -> int:
    """Return the EXIF orientation, 1 (upright) to 8; 1 where there is none or it makes no sense.

    Args:
        exif: the block as pictures carry it, with or without its leading `Exif\\0\\0`.
    """
    for tag in tags(exif.removeprefix(b"Exif\0\0"), depth=0):
        if tag.number == ORIENTATION and tag.type == 3 and 1 <= tag.value <= 8:
            return tag.value
    return 1


def complaint(kind: str, content: bytes) -> str | None:
    """Say what in a file's structure makes it unfit to be opened, as the rest of a sentence; None if nothing.

    Args:
        kind: "JPEG", "GIF", "TIFF" or any other format, which has nothing to be checked.
        content: the whole file.
    """
    match kind:
        case "JPEG":
            return _jpeg_complaint(content)
        case "GIF":
            return _gif_complaint(content)
        case "TIFF":
            return _tiff_complaint(content)
    return None


def _jpeg_complaint(content: bytes) -> str | None:
    # The coded data of a JPEG never holds this marker: there, 0xFF is always followed by 0 or a restart.
    scans = content.count(b"\xff\xda")
    return f"is a JPEG of {scans:,} scans, where {MAX_SCANS} is the limit" if scans > MAX_SCANS else None


def _tiff_complaint(content: bytes) -> str | None:
    outside, tile = 0, {TILE_WIDTH: 0, TILE_LENGTH: 0}
    for tag in tags(content):
        outside += tag.size
        if outside > len(content):
            return "is a TIFF whose tags claim more bytes than the file has"
        if tag.count > MAX_VALUES and VALUE_SIZES.get(tag.type, 1) > 1:
            return f"is a TIFF with a tag of {tag.count:,} values, where {MAX_VALUES:,} is the limit"
        if tag.number in tile:
            tile[tag.number] = tag.value
    if tile[TILE_WIDTH] * tile[TILE_LENGTH] > MAX_TILE:
        return f"is a TIFF in tiles of {tile[TILE_WIDTH]} x {tile[TILE_LENGTH]} pixels"
    return None


def _gif_complaint(content: bytes) -> str | None:
    try:
        list(gif_frames(content))
    except ValueError as error:
        return str(error)
    except IndexError:
        return "is a truncated GIF"
    return None


def gif_frames(content: bytes) -> Iterator[int]:
    """Yield where the first frame of a GIF starts, and the second one if there is one.

    Raises:
        ValueError: there is no frame, or something unknown or very large stands before it.
        IndexError: the file ends too early.
    """
    offset, extensions, frames = 13 + _palette_size(content[10]), 0, 0
    while frames < 2:
        kind = content[offset : offset + 1]
        if kind == b"!":
            end = _after_blocks(content, offset + 2)
            extensions += end - offset
            offset = end
        elif kind == b",":
            yield offset
            frames += 1
            offset = _after_blocks(content, offset + 11 + _palette_size(content[offset + 9]))
        elif frames:
            return
        else:
            raise ValueError("is a damaged GIF, or one without a picture")
        if extensions > MAX_EXTENSIONS:
            raise ValueError(f"is a GIF with over {MAX_EXTENSIONS:,} bytes of comments")


def _palette_size(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 128 else 0


def _after_blocks(content: bytes, offset: int) -> int:
    """Return the place after a chain of blocks, each led by its length and the last one empty."""
    while size := content[offset]:
        offset += size + 1
    return offset + 1
