"""What a least confidence buys: the share of faces that is answered, and how often the answers are right.

It is measured on the validation part, where a value may be chosen; on a test part nothing is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from data.documents import Count, Number, Share
from inference.confidence import is_sure
from inference.measure.metrics import wilson_interval

STEPS = (0.0, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)


@dataclass(frozen=True, kw_only=True)
class AbstentionStep:
    """A least confidence: how many faces are answered, their share of all, and how often they are right.

    `interval` is the 95 % Wilson interval of that accuracy; both are None where no face is answered.
    """

    min_confidence: Share
    answered: Count
    coverage: Share
    accuracy: Share | None
    interval: tuple[Share, Share] | None


@dataclass(frozen=True, kw_only=True)
class Abstention:
    """What least confidences buy on `faces` faces of the validation part."""

    part: Literal["validation"]
    faces: Number
    steps: tuple[AbstentionStep, ...]


def abstention(
    labels: NDArray[np.integer], probabilities: NDArray[np.float32], steps: Sequence[float] = STEPS
) -> Abstention:
    """Measure least confidences by answers float32[N, 7] to validation faces whose labels are int[N]."""
    confidences, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    return Abstention(
        part="validation", faces=len(labels), steps=tuple(_step(confidences, right, least) for least in steps)
    )


def _step(confidences: NDArray[np.float32], right: NDArray[np.bool_], least: float) -> AbstentionStep:
    sure = is_sure(confidences, least)
    answered, correct = int(sure.sum()), int(right[sure].sum())
    return AbstentionStep(
        min_confidence=least,
        answered=answered,
        coverage=answered / len(right),
        accuracy=correct / answered if answered else None,
        interval=wilson_interval(correct, answered) if answered else None,
    )
