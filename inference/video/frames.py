"""A frame that is looked at, and where in its film it is, so that a reading that was interrupted can go on there."""

import hashlib
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from data.documents import Count


@dataclass(frozen=True)
class FilmFacts:
    """What a film says of itself; None where it does not.

    Attributes:
        width: of a frame as it is shown, in pixels.
        height: the same.
        seconds: how long the film is.
        rate: frames a second, on average.
        codec: FFmpeg's name of how its pictures are coded.
        has_sound: whether it has a sound track.
    """

    width: int
    height: int
    seconds: float | None
    rate: float | None
    codec: str
    has_sound: bool


NOTHING_SAID = FilmFacts(0, 0, None, None, "", False)


@dataclass(frozen=True, kw_only=True)
class Position:
    """Where a frame is in its film, as a document keeps it.

    Attributes:
        number: of the frame in the order of presentation, from 0.
        time: its presentation time in units of the stream, None where it has none.
        seconds: from the film's beginning.
        origin: the film's first presentation time, in seconds.
        shift: seconds that were added because times had jumped back.
        damaged: packets and frames before it that could not be decoded whole.
        digest: the sha256 of its pixels, empty where it was not asked for.
    """

    number: Count
    time: int | None
    seconds: float
    origin: float
    shift: float
    damaged: Count
    digest: str = ""

    def known_by(self, digest: str) -> "Position":
        """Return the position with the digest of its pixels."""
        return replace(self, digest=digest)


@dataclass(frozen=True)
class Frame:
    """A frame that is looked at: upright, with square pixels, uint8[H, W, 3] in RGB."""

    position: Position
    pixels: NDArray[np.uint8]


def pixel_digest(pixels: NDArray[np.uint8]) -> str:
    """Return the sha256 of a frame's pixels, by which it is known again."""
    return hashlib.sha256(np.ascontiguousarray(pixels).data).hexdigest()
