"""The rules of resizing as numbers: what `cv2.resize` does to 48 rows or columns, laid down once for each size.

Written from OpenCV's source, modules/imgproc/src/resize.cpp, where the same is computed picture by picture; the gate
compares what comes of it with OpenCV itself.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.faceset import SIDE

# `INTER_RESIZE_COEF_SCALE`: the weights of uint8 pictures are whole numbers of this part.
UNIT = 2048
CUBIC_A = -0.75
Whole = NDArray[np.int32]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Taps:
    """For each of the new pixels, int32[size]: between which two it lies, and how much of `UNIT` each of them gives."""

    low: Whole
    high: Whole
    of_low: Whole
    of_high: Whole


def column_taps(size: int) -> Taps:
    """Return what `cv2.resize` takes of a uint8 picture's columns; beyond the outermost, these alone."""
    places, parts = _places(size)
    parts = np.where((places < 0) | (places >= SIDE - 1), np.float32(0), parts)
    return _taps(places, parts)


def row_taps(size: int) -> Taps:
    """Return what it takes of the rows; beyond the outermost, twice these, whose parts are rounded one by one."""
    return _taps(*_places(size))


def linear_matrix(size: int) -> Floats:
    """Return the weights of INTER_LINEAR for float32 pictures, float32[size, 48]."""
    places, parts = _exact_places(size)
    return _matrix(places, np.stack([1 - parts, parts], axis=1), first=0)


def cubic_matrix(size: int) -> Floats:
    """Return the weights of INTER_CUBIC for float32 pictures, float32[size, 48]."""
    places, parts = _exact_places(size)
    x, a = parts, CUBIC_A
    outer = ((a * (x + 1) - 5 * a) * (x + 1) + 8 * a) * (x + 1) - 4 * a
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((a + 2) * (1 - x) - (a + 3)) * (1 - x) * (1 - x) + 1
    return _matrix(places, np.stack([outer, near, far, 1 - outer - near - far], axis=1), first=-1)


def _exact_places(size: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the old pixel before each new one's centre, int64[size], and how far behind it that is, float64[size]."""
    centres = (np.arange(size) + 0.5) * (SIDE / size) - 0.5
    places = np.floor(centres)
    return places.astype(np.int64), centres - places


def _places(size: int) -> tuple[NDArray[np.int64], Floats]:
    """Return the same as OpenCV has it for uint8 pictures, rounded to float32 before it is divided."""
    centres = ((np.arange(size) + 0.5) * (SIDE / size) - 0.5).astype(np.float32)
    places = np.floor(centres)
    return places.astype(np.int64), (centres - places).astype(np.float32)


def _taps(places: NDArray[np.int64], parts: Floats) -> Taps:
    low, high = (np.clip(places + step, 0, SIDE - 1).astype(np.int32) for step in (0, 1))
    of_low, of_high = (np.rint(part * np.float32(UNIT)).astype(np.int32) for part in (np.float32(1) - parts, parts))
    return Taps(low, high, of_low, of_high)


def _matrix(places: NDArray[np.int64], weights: NDArray[np.floating], first: int) -> Floats:
    """Put weights, [size, taps], where their pixels are; the first tap is `first` pixels behind a place."""
    matrix = np.zeros((len(places), SIDE))
    rows = np.arange(len(places))
    for tap in range(weights.shape[1]):
        # Edges are repeated: several taps can fall on one pixel.
        np.add.at(matrix, (rows, np.clip(places + first + tap, 0, SIDE - 1)), weights[:, tap])
    return matrix.astype(np.float32)
