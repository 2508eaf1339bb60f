"""What a model's probabilities are worth beyond its first guess: ROC curves and calibration."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.documents import Count, Share
from inference.confidence import is_sure
from inference.manifest import stated

CALIBRATION_BINS = 15
ROC_POINTS = 200
THRESHOLDS = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)


@dataclass(frozen=True)
class RocCurve:
    """About `ROC_POINTS` points, (false positive rate, true positive rate), and the area under all.

    Where there is nothing to tell apart, there are no points and the area is None.
    """

    name: str
    points: tuple[tuple[Share, Share], ...] = ()
    auc: Share | None = None


@dataclass(frozen=True)
class CalibrationBin:
    """Faces whose confidence lies in (lower, upper]: how sure the model was and how often it was right."""

    lower: Share
    upper: Share
    faces: Count
    confidence: Share | None
    accuracy: Share | None


@dataclass(frozen=True)
class Coverage:
    """The faces answered at a threshold, those at least so confident: their share, and how often they are right."""

    threshold: Share
    coverage: Share
    accuracy: Share | None


def roc(name: str, positive: NDArray[np.bool_], scores: NDArray[np.float64]) -> RocCurve:
    """The curve of a yes-or-no decision, bool[N], by scores, float[N]; undefined without a yes or a no."""
    if positive.all() or not positive.any():
        return RocCurve(name)
    false_rate, true_rate = roc_corners(positive, scores)
    steps = false_rate + true_rate
    kept = np.unique(np.searchsorted(steps, np.linspace(0, 2, ROC_POINTS)).clip(max=len(steps) - 1))
    area = float(np.trapezoid(true_rate, false_rate))
    return RocCurve(name, _points(false_rate[kept], true_rate[kept]), area)


def roc_corners(
    positive: NDArray[np.bool_], scores: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return false and true positive rates, float64[K] each from 0 to 1, where the curve of bool[N] by float[N] bends.

    They are those of scikit-learn's `roc_curve`, which takes more than a second to import. Equal scores are one step.
    """
    order = np.argsort(-scores, kind="stable")
    places = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    true = np.cumsum(positive[order])[places]
    false = places + 1 - true
    bends = np.ones(len(places), bool)
    bends[1:-1] = (np.diff(false, 2) != 0) | (np.diff(true, 2) != 0)
    true, false = (np.concatenate([[0], counts[bends]]) for counts in (true, false))
    return false / false[-1], true / true[-1]


def macro_roc(curves: Sequence[RocCurve]) -> RocCurve:
    """The mean of the defined curves at equal false positive rates, and the plain mean of their areas."""
    defined = [curve for curve in curves if curve.auc is not None]
    if not defined:
        return RocCurve("macro")
    grid = np.linspace(0, 1, ROC_POINTS)
    true_rates = [np.interp(grid, *np.transpose(curve.points)) for curve in defined]
    area = float(np.mean([curve.auc for curve in defined]))
    return RocCurve("macro", _points(grid, np.mean(true_rates, axis=0)), area)


def calibration_bins(confidences: NDArray[np.float64], right: NDArray[np.bool_]) -> tuple[CalibrationBin, ...]:
    """Sort faces into 15 bins of equal width by confidence (float[N], 0 to 1); `right` is bool[N]."""
    places = calibration_places(confidences)
    bins = []
    for index, (lower, upper) in enumerate(pairwise(_edges())):
        inside = places == index
        faces = int(inside.sum())
        confidence = float(confidences[inside].mean()) if faces else None
        accuracy = float(right[inside].mean()) if faces else None
        bins.append(CalibrationBin(float(lower), float(upper), faces, confidence, accuracy))
    return tuple(bins)


def calibration_places(confidences: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the number of each confidence's bin, int64[N] from 0."""
    return np.clip(np.searchsorted(_edges(), confidences, side="left") - 1, 0, CALIBRATION_BINS - 1)


def _edges() -> NDArray[np.float64]:
    return np.linspace(0, 1, CALIBRATION_BINS + 1)


def expected_calibration_error(bins: Sequence[CalibrationBin]) -> float:
    """Mean |accuracy - confidence| of the bins, weighted by their faces.

    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", equation 3,
    https://arxiv.org/abs/1706.04599.
    """
    gaps = [
        (b.faces, abs(b.accuracy - b.confidence)) for b in bins if b.accuracy is not None and b.confidence is not None
    ]
    return sum(faces * gap for faces, gap in gaps) / sum(faces for faces, _ in gaps)


def coverage(
    confidences: NDArray[np.float64], right: NDArray[np.bool_], thresholds: Sequence[float] = THRESHOLDS
) -> tuple[Coverage, ...]:
    """What is left and how good it is where a model answers only from a confidence up; float[N], bool[N]."""
    steps = []
    for threshold in thresholds:
        answered = is_sure(confidences, threshold)
        accuracy = float(right[answered].mean()) if answered.any() else None
        steps.append(Coverage(float(threshold), float(answered.mean()), accuracy))
    return tuple(steps)


def risk_coverage(confidences: NDArray[np.float64], right: NDArray[np.bool_]) -> tuple[tuple[float, float], ...]:
    """About 100 points (coverage, accuracy) of answering the most confident faces first; float[N], bool[N].

    Faces of one and the same confidence are answered together.
    """
    order = np.argsort(-confidences, kind="stable")
    last = np.append(np.diff(confidences[order]) != 0, True)
    share = np.arange(1, len(order) + 1) / len(order)
    accuracy = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    places = np.flatnonzero(last)
    kept = places[np.unique(np.searchsorted(share[places], np.linspace(0.01, 1, 100)).clip(max=len(places) - 1))]
    return _points(share[kept], accuracy[kept])


def without_points(fields: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Leave out the points of curves, which are most of a document: a `dict_factory` of `dataclasses.asdict`."""
    return {name: value for name, value in stated(fields).items() if name != "points"}


def _points(false_rate: NDArray[np.float64], true_rate: NDArray[np.float64]) -> tuple[tuple[float, float], ...]:
    return tuple(zip(false_rate.round(6).tolist(), true_rate.round(6).tolist(), strict=True))
