"""Whether maps mean something: deletion and insertion curves (Petsiuk et al. 2018, https://arxiv.org/abs/1806.07421).

Deletion covers a face's pixels, those first to which a map gives most, and watches the answer's probability fall;
insertion shows them over a blurred copy, and watches it rise. A good map has a small area under the first curve and a
large one under the second.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from data.faceset import SIDE

STEPS = 24
# Of what insertion begins with, in pixels: features are gone, and no edge shows where pixels are put in.
BLUR = 5.0
Pixels = NDArray[np.uint8]
Predict = Callable[[Pixels], NDArray[np.float32]]


@dataclass(frozen=True)
class Areas:
    """Areas under the curves of N faces, 0 to 1, float64[N] each."""

    deletion: NDArray[np.float64]
    insertion: NDArray[np.float64]


def areas(predict: Predict, crops: NDArray[np.uint8], answers: NDArray[np.int64], maps: NDArray[np.float32]) -> Areas:
    """Return the areas under both curves.

    Args:
        predict: gives probabilities float32[N, 7] of faces uint8[N, 48, 48].
        crops: the faces.
        answers: int64[N], the answer to each face whose probability is watched.
        maps: float32[N, 48, 48], in whose order pixels are covered and shown; of equal ones the first goes first.
    """
    order = ranks(maps)
    deletion, insertion = (
        _curves(predict, order, answers, top, rest) for top, rest in ((_grey(crops), crops), (crops, _blurred(crops)))
    )
    return Areas(area(deletion), area(insertion))


def _curves(
    predict: Predict, order: NDArray[np.int64], answers: NDArray[np.int64], top: Pixels, rest: Pixels
) -> NDArray[np.float64]:
    """Return the answers' probabilities, float64[N, STEPS + 1], while more and more of the first pixels are `top`'s."""
    curves = np.empty((len(order), STEPS + 1))
    # One step at a time: all of them at once would be 25 times the faces' memory.
    for step in range(STEPS + 1):
        faces = np.where(order < step * SIDE * SIDE / STEPS, top, rest)
        curves[:, step] = predict(faces)[np.arange(len(faces)), answers]
    return curves


def _grey(crops: Pixels) -> Pixels:
    return np.asarray(np.rint(crops.mean(axis=(1, 2), keepdims=True)), np.uint8)


def _blurred(crops: Pixels) -> Pixels:
    return np.stack([np.asarray(cv2.GaussianBlur(crop, (0, 0), BLUR), np.uint8) for crop in crops])


def ranks(maps: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return each pixel's place, from 0, in the order of a map's values, the largest first, int64[N, 48, 48]."""
    flat = maps.reshape(len(maps), -1)
    order = np.argsort(-flat, axis=1, kind="stable")
    places = np.empty_like(order)
    np.put_along_axis(places, order, np.arange(flat.shape[1])[None], axis=1)
    return places.reshape(maps.shape)


def area(curves: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the areas under curves float64[N, P] over 0 to 1, at P even steps, by trapezoids."""
    return np.asarray(np.trapezoid(curves, dx=1 / (curves.shape[1] - 1), axis=1), np.float64)


def random_maps(count: int, grid: int, seed: int) -> NDArray[np.float32]:
    """Return maps that know nothing, float32[N, 48, 48]: drawn values of grid x grid cells, as smooth as real ones.

    Values drawn for each pixel would cover a face with noise, which models have never seen and which makes them fail
    wherever it is.
    """
    drawn = np.random.default_rng(seed).random((count, grid, grid)).astype(np.float32)
    return np.stack([cv2.resize(cells, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR) for cells in drawn])
