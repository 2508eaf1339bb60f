"""Cameras of this machine, through OpenCV: frames as they come, by the clock."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import cv2
import numpy as np

from data.errors import InputError
from inference.photos.pictures import check_size
from inference.video.clock import is_due
from inference.video.frames import NOTHING_SAID, FilmFacts, Frame, Position


class Capture(Protocol):
    """What is needed of `cv2.VideoCapture`."""

    def isOpened(self) -> bool:  # noqa: N802
        """Whether there is such a camera."""

    def grab(self) -> bool:
        """Take the next frame; False where none comes."""

    def retrieve(self) -> tuple[bool, "cv2.typing.MatLike"]:
        """Return whether the frame that was taken is one, and its pixels, uint8[H, W, 3] in BGR."""

    def release(self) -> None:
        """Give the camera back."""


def open_camera(index: int) -> Capture:
    """Open a camera by its number, without OpenCV's own words where there is none."""
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        return cv2.VideoCapture(index)
    finally:
        cv2.utils.logging.setLogLevel(level)


@dataclass
class Camera:
    """A camera, by its number from 0; it goes on until nobody asks for another frame.

    Attributes:
        index: its number.
        reached: seconds of the last frame.
        facts: how large its frames are, once there are some.
        opening: opens it.
        clock: seconds, from any beginning.
    """

    index: int
    reached: float = 0.0
    facts: FilmFacts = NOTHING_SAID
    opening: Callable[[int], Capture] = open_camera
    clock: Callable[[], float] = time.monotonic

    can_resume = False

    @property
    def name(self) -> str:
        """What messages and documents call it."""
        return f"camera {self.index}"

    def frames(self, every: float, after: Position | None = None) -> Iterator[Frame]:
        """Yield a frame in `every` seconds; a camera has no earlier ones to go on after.

        Raises:
            InputError: there is no such camera, or it gives no frame at all.
        """
        capture = self.opening(self.index)
        if not capture.isOpened():
            raise InputError(
                f"there is no {self.name}, or it cannot be used: expected one that no other program has; connect it, "
                "or give another number (ls /dev/video*)"
            )
        try:
            yield from self._due(capture, every)
        finally:
            capture.release()

    def trouble(self) -> str | None:
        """Return why there are no more frames."""
        return f"{self.name} gives no more frames after {self.reached:.1f} s: expected it to go on; what came is kept"

    def _due(self, capture: Capture, every: float) -> Iterator[Frame]:
        began, number, taken = self.clock(), 0, None
        while capture.grab():
            seconds = self.reached = self.clock() - began
            if is_due(seconds, taken, every):
                whole, pixels = capture.retrieve()
                if not whole:
                    break
                taken = seconds
                height, width = pixels.shape[:2]
                self.facts = replace(NOTHING_SAID, width=width, height=height)
                yield _frame(number, seconds, pixels, self.name)
            number += 1
        if taken is None:
            raise InputError(f"{self.name} gives no frame: expected one at least; close what else uses it")


def _frame(number: int, seconds: float, pixels: "cv2.typing.MatLike", name: str) -> Frame:
    check_size(pixels.shape[1], pixels.shape[0], name)
    position = Position(number=number, time=None, seconds=seconds, origin=0.0, shift=0.0, damaged=0)
    return Frame(position, np.ascontiguousarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8))
