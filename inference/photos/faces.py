"""Faces in pictures: found, cut out and brought to the 48 x 48 grey pixels that every model takes.

A model sees what FER2013 looked like, so the crops here must be FER2013's: how much of the head they hold
decides the accuracy on photographs as much as the model does.
"""

import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import cv2
import cv2.data
import numpy as np
from numpy.typing import NDArray

from data.errors import InputError
from data.faceset import SIDE
from inference.photos.pictures import file_name

Policy = Literal["auto", "whole"]
Pixels = NDArray[np.uint8]

YUNET_VARIABLE = "FEROX_YUNET"
DETECTION_SIDE = 640  # Pixels: larger pictures are searched in a copy of this size.
SMALLEST_FACE = 24  # Pixels in that copy.
# How far a grey picture's channels may lie apart: lossy formats that save in colour move them by a level or two.
GREY_LEVELS = 8
READY_SIDES = range(16, 65)  # Pixels a side of a grey square that is a face already: FER2013's own have 48.
SAME_FACE = 0.5  # Two boxes are one face where they share more than this part of the smaller one.


@dataclass(frozen=True)
class FaceBox:
    """Where a face is, in pixels of the picture; it may reach beyond the borders. Haar gives no score."""

    x: int
    y: int
    width: int
    height: int
    score: float | None = None


@dataclass(frozen=True)
class FaceCrop:
    """A face and its pixels, uint8[48, 48], grey."""

    box: FaceBox
    pixels: Pixels


class Finder(Protocol):
    """Finds faces in an RGB picture of any size. `margin` fits its kind of box to FER2013's crops."""

    @property
    def margin(self) -> float:
        """The part of the box's longer side to add on each side."""
        ...

    def find(self, pixels: Pixels) -> list[FaceBox]:
        """Return the faces in `pixels`, uint8[H, W, 3], the largest first."""
        ...


class HaarFinder:
    """OpenCV's bundled `frontalface_alt2` cascade: the one that gave no false boxes; upright faces only."""

    # FER2013 was cut out with OpenCV's cascades: in 489 of 600 of its faces this one fires once, on a
    # box of 0.96 (quartiles 0.88 and 1.02) of the crop's side, in its middle to within 1 %.
    margin = 0.02

    def __init__(self) -> None:
        # One detector for each thread: a shared CascadeClassifier gives wrong boxes.
        self._own = threading.local()

    def find(self, pixels: Pixels) -> list[FaceBox]:
        """Return the faces in `pixels`, uint8[H, W, 3], the largest first."""
        small, factor = _for_detection(grey(pixels))
        detections = self._cascade().detectMultiScale(
            small, scaleFactor=1.1, minNeighbors=3, minSize=(SMALLEST_FACE, SMALLEST_FACE)
        )
        return distinct([_box(detection, factor) for detection in detections])

    def _cascade(self) -> cv2.CascadeClassifier:
        if not hasattr(self._own, "cascade"):
            path = Path(cv2.data.haarcascades) / "haarcascade_frontalface_alt2.xml"
            self._own.cascade = cv2.CascadeClassifier(str(path))
        cascade: cv2.CascadeClassifier = self._own.cascade
        return cascade


class YuNetFinder:
    """The YuNet network from a model file: finds more, turned and half-hidden faces too, and faster."""

    # Its boxes are taller than wide. On 570 of 600 FER2013 faces their height is 0.99 (quartiles 0.87 and
    # 1.14) of the crop's side, so that the square around the height is the crop.
    margin = 0.0

    def __init__(self, model: Path) -> None:
        """Load the model.

        Raises:
            InputError: the file is missing, or is not a face detector that OpenCV can run.
        """
        self._name = file_name(str(model))
        try:
            self._model = model.read_bytes()
        except (OSError, ValueError) as error:
            raise InputError(
                f"the YuNet model {self._name} cannot be read: expected an .onnx file; "
                f"check --yunet and {YUNET_VARIABLE}"
            ) from error
        self._own = threading.local()
        try:
            self.find(np.zeros((64, 64, 3), np.uint8))
        except (cv2.error, IndexError) as error:
            raise InputError(
                f"{self._name} is not a YuNet model that OpenCV {cv2.__version__} can run: expected a "
                "face_detection_yunet .onnx of OpenCV's model zoo; give that, or none to use the Haar cascade"
            ) from error

    def find(self, pixels: Pixels) -> list[FaceBox]:
        """Return the faces in `pixels`, uint8[H, W, 3], the largest first."""
        small, factor = _for_detection(pixels)
        detector = self._detector()
        detector.setInputSize((small.shape[1], small.shape[0]))
        _, detections = detector.detect(cv2.cvtColor(small, cv2.COLOR_RGB2BGR))
        boxes = [_box(row[:4], factor, float(row[14])) for row in ([] if detections is None else detections)]
        return distinct([box for box in boxes if _plausible(box, pixels)])

    def _detector(self) -> cv2.FaceDetectorYN:
        # One for each thread, since it keeps the input size between two calls.
        if not hasattr(self._own, "detector"):
            weights = np.frombuffer(self._model, np.uint8)
            self._own.detector = cv2.FaceDetectorYN.create(
                "onnx", weights, np.empty(0, np.uint8), (64, 64), score_threshold=0.7
            )
        detector: cv2.FaceDetectorYN = self._own.detector
        return detector


def finder(yunet: Path | None = None) -> Finder:
    """Return YuNet with the model given, or with that of the variable FEROX_YUNET; without either, Haar.

    Raises:
        InputError: a YuNet model was asked for and cannot be used.
    """
    if yunet is None and (named := os.environ.get(YUNET_VARIABLE)):
        yunet = Path(named)
    return HaarFinder() if yunet is None else YuNetFinder(yunet)


def face_crops(pixels: Pixels, search: Finder, policy: Policy = "auto") -> tuple[FaceCrop, ...]:
    """Return the faces of a picture, the largest first.

    "auto" takes a grey square of 16 to 64 pixels a side as a face already cut out (48 x 48 remain as they
    are), and searches every other picture. "whole" takes the whole picture as one face: not distorted,
    but padded to a square by repeating its borders, as at the borders of a photograph.

    Args:
        pixels: uint8[H, W, 3], RGB.
        search: what finds the faces, where they have to be found.
        policy: "auto" or "whole".
    """
    plain = grey(pixels)
    if policy == "whole" or is_ready(pixels):
        return (FaceCrop(FaceBox(0, 0, pixels.shape[1], pixels.shape[0]), whole(plain)),)
    return tuple(FaceCrop(box, crop(plain, box, search.margin)) for box in search.find(pixels))


def grey(pixels: Pixels) -> Pixels:
    """Return uint8[H, W] of uint8[H, W, 3], RGB, by ITU-R BT.601; grey stays exactly what it is."""
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.uint8)


def is_ready(pixels: Pixels) -> bool:
    """Whether uint8[H, W, 3] is a small square that is grey to within `GREY_LEVELS`, as FER2013's own faces are."""
    height, width, _ = pixels.shape
    if height != width or height not in READY_SIDES:
        return False
    return int((pixels.max(axis=2) - pixels.min(axis=2)).max()) <= GREY_LEVELS


def crop(plain: Pixels, box: FaceBox, margin: float = 0.0) -> Pixels:
    """Cut out the square around a face, as uint8[48, 48].

    Its side is the box's longer one with `margin` of it added on each side. Beyond the picture's borders
    their pixels are repeated. It is shrunk by averaging, enlarged bilinearly, and 48 pixels stay as they are.

    Args:
        plain: uint8[H, W], grey.
        box: the face.
        margin: a part of the box's longer side.
    """
    side = max(1, round(max(box.width, box.height) * (1 + 2 * margin)))
    left = box.x + (box.width - side) // 2
    top = box.y + (box.height - side) // 2
    return _scaled(_window(plain, left, top, side), SIDE, SIDE)


def whole(plain: Pixels) -> Pixels:
    """Return all of uint8[H, W] as uint8[48, 48]: the longer side becomes 48, borders are repeated beyond."""
    height, width = plain.shape
    factor = SIDE / max(height, width)
    # Scaled before it is padded: the square around a 28,000 x 880 picture would take 800 MB.
    small = _scaled(plain, max(1, round(width * factor)), max(1, round(height * factor)))
    return _window(small, (small.shape[1] - SIDE) // 2, (small.shape[0] - SIDE) // 2, SIDE)


def _scaled(plain: Pixels, width: int, height: int) -> Pixels:
    if plain.shape == (height, width):
        return plain
    scaling = cv2.INTER_AREA if max(plain.shape) > max(height, width) else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(plain, (width, height), interpolation=scaling), np.uint8)


def _window(plain: Pixels, left: int, top: int, side: int) -> Pixels:
    rows = np.arange(top, top + side).clip(0, plain.shape[0] - 1)
    columns = np.arange(left, left + side).clip(0, plain.shape[1] - 1)
    return np.ascontiguousarray(plain[rows][:, columns])


def distinct(boxes: list[FaceBox]) -> list[FaceBox]:
    """Return the boxes by falling area, without those of which over half lies in a larger one."""
    kept: list[FaceBox] = []
    for box in sorted(boxes, key=lambda box: (-box.width * box.height, box.y, box.x)):
        if all(_shared(box, larger) <= SAME_FACE for larger in kept):
            kept.append(box)
    return kept


def _shared(smaller: FaceBox, larger: FaceBox) -> float:
    width = min(smaller.x + smaller.width, larger.x + larger.width) - max(smaller.x, larger.x)
    height = min(smaller.y + smaller.height, larger.y + larger.height) - max(smaller.y, larger.y)
    return max(width, 0) * max(height, 0) / (smaller.width * smaller.height)


def _for_detection(pixels: Pixels) -> tuple[Pixels, float]:
    """Return a copy that is at most 640 pixels a side, and the factor from its pixels to the picture's."""
    factor = max(pixels.shape[:2]) / DETECTION_SIDE
    if factor <= 1:
        return pixels, 1.0
    size = (max(1, round(pixels.shape[1] / factor)), max(1, round(pixels.shape[0] / factor)))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8), factor


def _plausible(box: FaceBox, pixels: Pixels) -> bool:
    """Whether a box, which a network may put anywhere in any size, could be a face of the picture."""
    height, width = pixels.shape[:2]
    middle_x, middle_y = box.x + box.width // 2, box.y + box.height // 2
    inside = 0 <= middle_x < width and 0 <= middle_y < height
    return inside and max(box.width, box.height) <= 2 * int(min(width, height))


def _box(rectangle: Sequence[float], factor: float, score: float | None = None) -> FaceBox:
    x, y, width, height = (float(value) * factor for value in rectangle)
    return FaceBox(round(x), round(y), max(1, round(width)), max(1, round(height)), score)
