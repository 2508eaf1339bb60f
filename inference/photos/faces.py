"""Faces in pictures: found, cut out and brought to the 48 x 48 grey pixels that every model takes.

A model sees what FER2013 looked like, so the crops here must be FER2013's: how much of the head they hold
decides the accuracy on photographs as much as the model does.
"""

import hashlib
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import cv2
import cv2.data
import numpy as np
from numpy.typing import NDArray

from data.errors import InputError
from data.faceset import SIDE
from inference.photos.fetch import COMMAND, fetched_file
from inference.photos.pictures import file_name
from inference.photos.yunet import SIDE_MULTIPLE, YuNet

Policy = Literal["auto", "whole"]
Pixels = NDArray[np.uint8]

YUNET_VARIABLE = "FEROX_YUNET"
DETECTION_SIDE = 640  # Pixels: larger pictures are searched in a copy of this size first.
SMALLEST_FACE = 24  # Pixels in that copy.
# Of which size faces are looked for in every picture. Where they are too small in that copy, a second, finer one is
# searched; what is found there is looked at once more by itself, since small windows fire on anything.
LOOKED_FOR = 48
LEAST_SIDE = 38  # Pixels of a face's box then: a finder's boxes are up to a fifth smaller than the faces.
# A crowd's faces are all looked at; beyond so many suspects, milliseconds each, it is the picture's texture.
MOST_CONFIRMED = 128
SURE, SUSPECTED = 0.7, 0.03  # YuNet's scores.
TILE_SIDE = 832  # Pixels: YuNet searches a larger copy faster in parts.
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

    def scaled(self, factor: float, left: float = 0, top: float = 0) -> "FaceBox":
        """Return the box in a picture with `factor` times as many pixels, in which this one begins at (left, top)."""
        x, y, width, height = (side * factor for side in (self.x, self.y, self.width, self.height))
        return FaceBox(round(left + x), round(top + y), max(1, round(width)), max(1, round(height)), self.score)


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


@dataclass(frozen=True)
class FineSearch:
    """How a finder looks for faces of `LOOKED_FOR` pixels in large pictures.

    Attributes:
        face: pixels that such a face has in the finer copy.
        surroundings: pixels that a candidate's surroundings, three times its size, are brought to for the second look.
        coarse: the same for the faces of the smaller copy; a face is what is seen in every one of these sizes.
    """

    face: int
    surroundings: int
    coarse: tuple[int, ...] = ()


class HaarFinder:
    """OpenCV's bundled `frontalface_alt2` cascade: the one that gave no false boxes; upright faces only."""

    # FER2013 was cut out with OpenCV's cascades: in 489 of 600 of its faces this one fires once, on a
    # box of 0.96 (quartiles 0.88 and 1.02) of the crop's side, in its middle to within 1 %.
    margin = 0.02
    # In the smaller copies of pictures of 4000 x 3000 with drawn backgrounds, 282 of 284 true boxes and 14 of 27 false
    # ones were seen in both sizes.
    fine = FineSearch(face=22, surroundings=160, coarse=(160, 180))

    def __init__(self) -> None:
        # One detector for each thread: a shared CascadeClassifier gives wrong boxes.
        self._own = threading.local()

    def find(self, pixels: Pixels) -> list[FaceBox]:
        """Return the faces in `pixels`, uint8[H, W, 3], the largest first."""
        return search(grey(pixels), self.fine, self._detected, self._detected)

    def _detected(self, copy: Pixels, smallest: int, largest: int) -> list[FaceBox]:
        detections = self._cascade().detectMultiScale(
            copy, scaleFactor=1.1, minNeighbors=3, minSize=(smallest, smallest), maxSize=(largest, largest)
        )
        return [_box(detection) for detection in detections]

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
    # Of 37 faces of 100 pixels in pictures of 4000 x 3000 it is sure of 10 in this finer copy, and suspects 35: what it
    # suspects is looked at again, in the size in which it knows best.
    fine = FineSearch(face=18, surroundings=320)

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
                f"check --yunet and {YUNET_VARIABLE}, or fetch it again: {COMMAND}"
            ) from error
        try:
            self._network = YuNet(self._model, self._name)
            self.find(np.zeros((64, 64, 3), np.uint8))
        except Exception as error:  # onnxruntime's errors share no narrower base class
            raise InputError(
                f"{self._name} is not a YuNet model that onnxruntime can run: expected a face_detection_yunet .onnx of "
                "OpenCV's model zoo; give that, or none to use the Haar cascade"
            ) from error

    @property
    def digest(self) -> str:
        """The model file's sha256."""
        return hashlib.sha256(self._model).hexdigest()

    def find(self, pixels: Pixels) -> list[FaceBox]:
        """Return the faces in `pixels`, uint8[H, W, 3], the largest first."""
        return [box for box in search(pixels, self.fine, self._detected, self._suspected) if _plausible(box, pixels)]

    def _detected(self, copy: Pixels, smallest: int, largest: int) -> list[FaceBox]:
        return self._scored(copy, largest, SURE)

    def _suspected(self, copy: Pixels, smallest: int, largest: int) -> list[FaceBox]:
        tops, height = tiles(copy.shape[0], largest)
        lefts, width = tiles(copy.shape[1], largest)
        corners = [(left, top) for top in tops for left in lefts]
        parts = (copy[top : top + height, left : left + width] for left, top in corners)
        found = [self._scored(part, largest, SUSPECTED) for part in parts]
        return [box.scaled(1, *corner) for corner, boxes in zip(corners, found, strict=True) for box in boxes]

    def _scored(self, copy: Pixels, largest: int, least: float) -> list[FaceBox]:
        below, right = -copy.shape[0] % SIDE_MULTIPLE, -copy.shape[1] % SIDE_MULTIPLE
        copy = np.asarray(cv2.copyMakeBorder(copy, 0, below, 0, right, cv2.BORDER_CONSTANT), np.uint8)
        boxes = [_box(row[:4], float(row[4])) for row in self._network.detect(copy, least)]
        return [box for box in boxes if max(box.width, box.height) <= largest]


def finder(yunet: Path | None = None) -> Finder:
    """Return YuNet with the model given, else that of the variable FEROX_YUNET, else the fetched one; else Haar.

    Raises:
        InputError: a YuNet model was asked for, or fetched, and cannot be used.
    """
    if yunet is None and (named := os.environ.get(YUNET_VARIABLE)):
        yunet = Path(named)
    if yunet is None and (fetched := fetched_file()) is not None and fetched.exists():
        yunet = fetched
    return HaarFinder() if yunet is None else YuNetFinder(yunet)


def finder_words(search: Finder) -> str:
    """Say which finder looks for faces, and how to get the better one where it is not that."""
    if isinstance(search, HaarFinder):
        return (
            "faces are looked for with OpenCV's Haar cascade, which knows upright ones alone; YuNet finds more: "
            f"{COMMAND}"
        )
    return "faces are looked for with YuNet"


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
    return _resized(plain, (width, height), scaling)


def _window(plain: Pixels, left: int, top: int, side: int) -> Pixels:
    rows = np.arange(top, top + side).clip(0, plain.shape[0] - 1)
    columns = np.arange(left, left + side).clip(0, plain.shape[1] - 1)
    return np.ascontiguousarray(plain[rows][:, columns])


Detect = Callable[[Pixels, int, int], list[FaceBox]]


def search(pixels: Pixels, fine: FineSearch, detect: Detect, suspect: Detect) -> list[FaceBox]:
    """Return the faces of a picture of any size, the largest first, those of `LOOKED_FOR` pixels included.

    Args:
        pixels: uint8[H, W] or uint8[H, W, 3], as `detect` takes them.
        fine: how small faces are looked for.
        detect: finds faces whose sides are between two limits, in pixels of the copy that it is given.
        suspect: the same, but for what may be a face and is looked at again by `detect`.
    """
    factor = max(1.0, max(pixels.shape[:2]) / DETECTION_SIDE)
    is_large, finer = SMALLEST_FACE * factor > LOOKED_FOR, LOOKED_FOR / fine.face
    if is_large:
        # The smaller copy is made of the finer one, which of pictures a bit large has fewer pixels than it would have.
        factor = max(factor, finer)
    # Of a large picture both copies are made by averaging it once: that takes longer than searching the smaller one.
    copy = _reduced(pixels, finer) if is_large else pixels
    coarse = _reduced(copy, factor / finer if is_large else factor)
    boxes = [box.scaled(factor) for box in detect(coarse, SMALLEST_FACE, max(coarse.shape[:2]))]
    if is_large:
        boxes = [box for box in distinct(boxes) if all(_confirmed(pixels, box, side, detect) for side in fine.coarse)]
        # Somewhat larger ones, too, which the coarse copy shows at the limit of what is found.
        candidates = suspect(copy, fine.face, round(1.25 * SMALLEST_FACE * factor / finer))
        suspected = distinct([box.scaled(finer) for box in candidates])
        fresh = [box for box in suspected if not _overlaps(box, boxes)]
        # The likeliest first, where a finder says how likely they are.
        fresh = sorted(fresh, key=lambda box: -(box.score or 0))[:MOST_CONFIRMED]
        looked_at = (_confirmed(pixels, box, fine.surroundings, detect) for box in fresh)
        boxes += [box for box in looked_at if box is not None and max(box.width, box.height) >= LEAST_SIDE]
    return distinct(boxes)


def _confirmed(pixels: Pixels, box: FaceBox, surroundings: int, detect: Detect) -> FaceBox | None:
    """Look for a face once more in its surroundings, which become `surroundings` pixels wide; None where it is none."""
    side = max(box.width, box.height)
    left, top = max(0, box.x - side), max(0, box.y - side)
    part = pixels[top : box.y + 2 * side, left : box.x + 2 * side]
    factor = max(part.shape[:2]) / surroundings
    size = (max(1, round(part.shape[1] / factor)), max(1, round(part.shape[0] / factor)))
    around = _resized(part, size, cv2.INTER_AREA if factor > 1 else cv2.INTER_LINEAR)
    seen = [closer.scaled(factor, left, top) for closer in detect(around, SMALLEST_FACE, surroundings)]
    return next((closer for closer in distinct(seen) if _overlaps(closer, [box])), None)


def _overlaps(box: FaceBox, others: Sequence[FaceBox]) -> bool:
    return any(_shared(box, other) > SAME_FACE or _shared(other, box) > SAME_FACE for other in others)


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


def _reduced(pixels: Pixels, factor: float) -> Pixels:
    """Return a copy that is `factor` times smaller, averaged; the picture itself where that is not above 1."""
    if factor <= 1:
        return pixels
    size = (max(1, round(pixels.shape[1] / factor)), max(1, round(pixels.shape[0] / factor)))
    if factor <= 2:
        return _resized(pixels, size, cv2.INTER_AREA)
    # Averages of exactly 2 x 2 first, and the rest between those: of 12 megapixels, in a quarter of the time.
    while min(pixels.shape[1] / size[0], pixels.shape[0] / size[1]) >= 2:
        pixels = _resized(pixels, (pixels.shape[1] // 2, pixels.shape[0] // 2), cv2.INTER_AREA)
    return _resized(pixels, size, cv2.INTER_LINEAR)


def _resized(pixels: Pixels, size: tuple[int, int], interpolation: int) -> Pixels:
    return np.asarray(cv2.resize(pixels, size, interpolation=interpolation), np.uint8)


def tiles(side: int, overlap: int) -> tuple[list[int], int]:
    """Return where equal parts of a side begin, of at most `TILE_SIDE` pixels, and how long they are."""
    count = max(1, -(-(side - overlap) // (TILE_SIDE - overlap)))
    length = min(side, 32 * -(-(side + (count - 1) * overlap) // (32 * count)))
    return [round(part * (side - length) / max(1, count - 1)) for part in range(count)], length


def _plausible(box: FaceBox, pixels: Pixels) -> bool:
    """Whether a box, which a network may put anywhere in any size, could be a face of the picture."""
    height, width = pixels.shape[:2]
    middle_x, middle_y = box.x + box.width // 2, box.y + box.height // 2
    inside = 0 <= middle_x < width and 0 <= middle_y < height
    return inside and max(box.width, box.height) <= 2 * int(min(width, height))


def _box(rectangle: Sequence[float], score: float | None = None) -> FaceBox:
    x, y, width, height = (float(value) for value in rectangle)
    return FaceBox(round(x), round(y), max(1, round(width)), max(1, round(height)), score)
