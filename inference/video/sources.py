"""What can be watched, as people name it: a film's file, a camera's number, a stream's address."""

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, Protocol

from data.errors import InputError
from inference.video import EVERY_FRAME
from inference.video.camera import Camera
from inference.video.frames import FilmFacts, Frame, Position
from inference.video.opening import ADDRESS, open_film, open_stream

CAMERA = re.compile(r"(?:/dev/video)?(\d{1,3})")
LEAST_EVERY = 0.001


class Source(Protocol):
    """What frames come from."""

    @property
    def name(self) -> str:
        """What messages and documents call it."""

    @property
    def facts(self) -> FilmFacts:
        """What it says of itself; of a stream or a camera, once there are frames."""

    @property
    def can_resume(self) -> bool:
        """Whether it can be read from a position on."""

    def frames(self, every: float, after: Position | None = None) -> Iterator[Frame]:
        """Yield the frames that are looked at, one in `every` seconds; only those after a position, if it is given."""

    def trouble(self) -> str | None:
        """Return what could not be read, as a sentence, once there are no more frames; None where all was read."""


def open_source(named: str | int | Path) -> Source:
    """Open what is to be watched.

    Raises:
        InputError: it is no film that can be read, or PyAV is missing.
    """
    if isinstance(named, int):
        return Camera(named)
    if isinstance(named, str) and (camera := CAMERA.fullmatch(named)) and not Path(named).is_file():
        return Camera(int(camera[1]))
    if isinstance(named, str) and ADDRESS.match(named):
        return open_stream(named)
    return open_film(Path(named))


def checked_every(value: float | str) -> float:
    """Return the seconds between two moments, 0 for "frame".

    Raises:
        InputError: it is neither "frame" nor a number of seconds that makes sense.
    """
    if value == "frame":
        return EVERY_FRAME
    try:
        seconds = float(value)
    except ValueError:
        seconds = 0.0
    if not LEAST_EVERY <= seconds <= 86_400:
        raise InputError(f"--every is {value!r:.40}, expected seconds, such as 0.2, or the word frame; correct it")
    return seconds


def check_limit(limit: float | None) -> None:
    """Raise an `InputError` where seconds after which to stop are none."""
    if limit is not None and not 0 < limit < math.inf:
        raise InputError(f"--limit is {limit:g}, expected more than 0 seconds; correct it, or leave it out")


Kind = Literal["film", "stream", "camera"]
