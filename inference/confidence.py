"""When a model answers, and when it is unsure: one rule for pictures, frames, servers, pages and reports.

A face is answered where the most probable label has at least the confidence that was asked for. Probabilities are
float32, what is asked for is a Python float; the two are compared as float64 everywhere, so that a report's coverage is
the share of faces that a program is answered.
"""

import math
from typing import overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from data.errors import InputError

ALWAYS = 0.0
NEVER = math.inf  # Above every confidence.
UNSURE = "unsure"


def check_min_confidence(least: float, name: str = "--min-confidence") -> float:
    """Return `least`; an `InputError`, which calls it `name`, unless it is from 0 (always answer) to 1."""
    if not 0 <= least <= 1:
        raise InputError(f"{name} is {least:g}, expected 0 (always answer) to 1; give a probability, such as 0.6")
    return least


@overload
def is_sure(confidence: float, least: float) -> bool: ...


@overload
def is_sure(confidence: NDArray[np.floating], least: float) -> NDArray[np.bool_]: ...


def is_sure(confidence: ArrayLike, least: float) -> bool | NDArray[np.bool_]:
    """Return whether an answer of this confidence is given where at least `least` is asked for; of an array, each.

    Args:
        confidence: the probability of the most probable label, 0 to 1.
        least: from 0, always, to 1.
    """
    sure = np.asarray(confidence, np.float64) >= least
    return bool(sure) if sure.ndim == 0 else sure
