"""What covering parts of a face does to a model's answers: a map of any model, which is asked and not looked into.

A face is divided into 7 x 7 cells, and the model is asked about it 64 times, each time with another half of the cells
covered by the face's own mean grey. A cell's value is the mean probability of an answer over the 32 times that it was
shown, less that over the 32 times that it was covered. Which cells are covered is a fractional factorial design made
from a Hadamard matrix (Plackett and Burman 1946, "The design of optimum multifactorial experiments",
https://doi.org/10.1093/biomet/33.4.305): any two cells are covered together, apart and not at all equally often, so
that what one does by itself is not counted for another. What two do only together is, as in every design of so few
runs, counted for some third one. It is RISE (Petsiuk et al. 2018, https://arxiv.org/abs/1806.07421) with masks that are
balanced in place of drawn; what that and the settings bring was measured, see docs/explain.md.
"""

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from data.faceset import SIDE
from inference.engine import Engine

GRID, MASKS, SEED = 7, 64, 0


@cache
def design() -> NDArray[np.bool_]:
    """Which cells are shown, bool[64, 7, 7]: each in half of the masks, any two alike in half of them."""
    from scipy.linalg import hadamard

    # The first column is the same for all masks, as no cell may be.
    columns = 1 + np.random.default_rng(SEED).permutation(MASKS - 1)[: GRID * GRID]
    shown: NDArray[np.bool_] = hadamard(MASKS)[:, columns].reshape(MASKS, GRID, GRID) > 0
    return shown


@cache
def masks() -> NDArray[np.float32]:
    """How much of each pixel is shown, 0 to 1, float32[64, 48, 48]: cells pass into each other without edges."""
    return np.stack([enlarged(shown.astype(np.float32)) for shown in design()])


def enlarged(cells: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a value a pixel, float32[48, 48], of one a cell, float32[R, C], bilinear between the cells' centres."""
    return np.asarray(cv2.resize(cells, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR), np.float32)


def covered(crop: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a face uint8[48, 48] under each mask, uint8[64, 48, 48]."""
    grey = np.float32(crop.mean())
    return np.asarray(np.rint(grey + masks() * (crop.astype(np.float32) - grey)), np.uint8)


def effects(engine: Engine, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return what each cell does to each answer's probability, -1 to 1, float32[N, 7, 7, 7]: face, answer, row, column.

    Args:
        engine: the model.
        crops: grey faces as they are, uint8[N, 48, 48].
    """
    signs = np.where(design(), 1.0, -1.0).reshape(MASKS, -1)
    answers = np.stack([engine.predict(covered(crop)).astype(np.float64) for crop in crops])
    cells = np.einsum("nma,mc->nac", answers, signs) / (MASKS / 2)
    return np.asarray(cells.reshape(len(crops), -1, GRID, GRID), np.float32)
