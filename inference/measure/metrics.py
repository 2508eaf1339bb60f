"""The figures of a classifier: one copy for training, evaluation, the reports and the web page.

They need numpy alone, so that training can count every epoch and each command begins at once; that they are those of
scikit-learn and scipy is tested. A figure that is 0/0 is None, never 0: a class never predicted has no precision, not a
bad one.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from data.documents import Count, Number, Share
from data.errors import InputError
from data.faceset import LABELS
from inference.measure.curves import (
    CalibrationBin,
    RocCurve,
    calibration_bins,
    expected_calibration_error,
    macro_roc,
    roc,
)

CLASSES = len(LABELS)
SUM_TOLERANCE = 1e-4
# Of a normal distribution, 95 % lies within so many standard deviations of its mean.
DEVIATIONS = NormalDist().inv_cdf(0.975)


@dataclass(frozen=True)
class ClassFigures:
    """One class against the rest; every figure is from 0 to 1, or None where it is 0/0."""

    label: str
    tp: Count
    fp: Count
    tn: Count
    fn: Count
    accuracy: Share | None
    precision: Share | None
    recall: Share | None
    specificity: Share | None
    f1: Share | None
    support: Count

    @classmethod
    def from_counts(cls, label: str, *, tp: int, fp: int, tn: int, fn: int) -> "ClassFigures":
        """Derive every figure; F1 is None where precision or recall is, and 0 where both are 0."""
        defined = tp + fp > 0 and tp + fn > 0
        return cls(
            *(label, tp, fp, tn, fn),
            accuracy=_ratio(tp + tn, tp + fp + tn + fn),
            precision=_ratio(tp, tp + fp),
            recall=_ratio(tp, tp + fn),
            specificity=_ratio(tn, tn + fp),
            f1=_ratio(2 * tp, 2 * tp + fp + fn) if defined else None,
            support=tp + fn,
        )


@dataclass(frozen=True)
class Mean:
    """A mean over the classes in which the figure is defined; `classes` says how many those are."""

    value: Share | None
    classes: Count


@dataclass(frozen=True)
class Averages:
    """Precision, recall and F1 averaged over classes."""

    precision: Mean
    recall: Mean
    f1: Mean


@dataclass(frozen=True)
class Summary:
    """All figures of one evaluation.

    `accuracy` is from 0 to 1 and `interval` its 95 % Wilson interval; `confusion` has the truth in rows and
    the prediction in columns; `roc` holds one curve a class, each against the rest; `micro_roc` is the curve
    of all 7 N yes-or-no decisions together; the area of `macro_roc` is the mean of the defined areas.
    """

    faces: Number
    correct: Count
    accuracy: Share
    interval: tuple[Share, Share]
    confusion: tuple[tuple[Count, ...], ...]
    classes: tuple[ClassFigures, ...]
    macro: Averages
    weighted: Averages
    log_loss: float
    calibration_error: Share
    calibration: tuple[CalibrationBin, ...]
    roc: tuple[RocCurve, ...]
    micro_roc: RocCurve
    macro_roc: RocCurve

    def to_dict(self) -> dict[str, Any]:
        """The summary as plain values that strict JSON can hold."""
        return asdict(self)


def confusion_matrix(labels: ArrayLike, predictions: ArrayLike) -> NDArray[np.int64]:
    """Count int64[7, 7]: truth in rows, prediction in columns, from two integer arrays of length N."""
    truth, guess = _class_numbers("labels", labels), _class_numbers("predictions", predictions)
    if len(truth) != len(guess):
        raise InputError(f"{len(truth)} labels with {len(guess)} predictions: give one prediction a label")
    counts = np.bincount(truth * CLASSES + guess, minlength=CLASSES * CLASSES)
    return counts.reshape(CLASSES, CLASSES).astype(np.int64)


def class_figures(confusion: ArrayLike) -> tuple[ClassFigures, ...]:
    """The figures of each class, in the order of `LABELS`, from a confusion matrix int[7, 7]."""
    counts = np.asarray(confusion)
    if counts.shape != (CLASSES, CLASSES):
        raise InputError(f"a confusion matrix of shape {counts.shape}: expected (7, 7), truth in rows")
    total, truth, predicted = int(counts.sum()), counts.sum(axis=1), counts.sum(axis=0)
    figures = []
    for index, label in enumerate(LABELS):
        tp = int(counts[index, index])
        fp, fn = int(predicted[index]) - tp, int(truth[index]) - tp
        figures.append(ClassFigures.from_counts(label, tp=tp, fp=fp, tn=total - tp - fp - fn, fn=fn))
    return tuple(figures)


def averages(classes: Sequence[ClassFigures], kind: Literal["macro", "weighted"]) -> Averages:
    """Average over classes: `macro` counts each class once, `weighted` as often as it has faces.

    A class in which a figure is undefined, or that no face belongs to, is left out of that figure's mean, and its
    weight with it; scikit-learn would count it as 0.
    """

    def mean(name: str) -> Mean:
        defined = [(getattr(c, name), c.support if kind == "weighted" else 1) for c in classes if c.support]
        defined = [(value, weight) for value, weight in defined if value is not None]
        weights = sum(weight for _, weight in defined)
        value = sum(value * weight for value, weight in defined) / weights if weights else None
        return Mean(value, len(defined))

    return Averages(mean("precision"), mean("recall"), mean("f1"))


def wilson_interval(correct: int, faces: int) -> tuple[float, float]:
    """The 95 % score interval of `correct` out of `faces`, at least 1.

    Source: Wilson 1927, "Probable Inference, the Law of Succession, and Statistical Inference",
    https://doi.org/10.2307/2276774.
    """
    share, squared = correct / faces, DEVIATIONS**2
    middle = (share + squared / (2 * faces)) / (1 + squared / faces)
    half = DEVIATIONS * math.sqrt(share * (1 - share) / faces + squared / (4 * faces**2)) / (1 + squared / faces)
    return middle - half if correct else 0.0, middle + half if correct < faces else 1.0


def summarise(labels: ArrayLike, probabilities: ArrayLike) -> Summary:
    """All figures from the true classes, int[N], and the probabilities, float[N, 7], each row summing to 1.

    The prediction is the most probable class. Log loss is in nats, a probability of 0 counting as float64's
    epsilon. Raises `InputError` for shapes, classes or probabilities that cannot be.
    """
    shares, truth = _probabilities(probabilities), _class_numbers("labels", labels)
    predictions = shares.argmax(axis=1)
    confusion = confusion_matrix(truth, predictions)
    classes = class_figures(confusion)
    correct, faces = int(np.trace(confusion)), len(truth)
    bins = calibration_bins(shares.max(axis=1), predictions == truth)
    shares = shares / shares.sum(axis=1, keepdims=True)
    curves = tuple(roc(label, truth == index, shares[:, index]) for index, label in enumerate(LABELS))
    return Summary(
        faces=faces,
        correct=correct,
        accuracy=correct / faces,
        interval=wilson_interval(correct, faces),
        confusion=tuple(tuple(row) for row in confusion.tolist()),
        classes=classes,
        macro=averages(classes, "macro"),
        weighted=averages(classes, "weighted"),
        log_loss=_log_loss(truth, shares),
        calibration_error=expected_calibration_error(bins),
        calibration=bins,
        roc=curves,
        micro_roc=roc("micro", np.eye(CLASSES, dtype=bool)[truth].ravel(), shares.ravel()),
        macro_roc=macro_roc(curves),
    )


def _log_loss(truth: NDArray[np.int64], shares: NDArray[np.float64]) -> float:
    least = np.finfo(np.float64).eps
    return float(-np.log(shares[np.arange(len(truth)), truth].clip(least, 1 - least)).mean())


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _class_numbers(name: str, values: ArrayLike) -> NDArray[np.int64]:
    numbers = np.asarray(values)
    if numbers.ndim != 1 or not np.issubdtype(numbers.dtype, np.integer):
        raise InputError(
            f"{name} of shape {numbers.shape} and type {numbers.dtype}: expected integers in one dimension"
        )
    wrong = np.flatnonzero((numbers < 0) | (numbers >= CLASSES))
    if len(wrong):
        raise InputError(f"{name} hold {numbers[wrong[0]]} at index {wrong[0]}: expected classes 0 to {CLASSES - 1}")
    return numbers.astype(np.int64)


def _probabilities(values: ArrayLike) -> NDArray[np.float64]:
    shares = np.asarray(values, dtype=np.float64)
    if shares.ndim != 2 or shares.shape[1] != CLASSES or not len(shares):
        raise InputError(f"probabilities of shape {shares.shape}: expected (N, {CLASSES}) with N at least 1")
    valid = np.isfinite(shares).all(axis=1) & (shares >= 0).all(axis=1)
    valid &= np.abs(np.where(valid, shares.sum(axis=1), 0) - 1) <= SUM_TOLERANCE
    if not valid.all():
        row = int(np.flatnonzero(~valid)[0])
        listed = ", ".join(f"{share:.6g}" for share in shares[row])
        raise InputError(
            f"the probabilities of face {row} are {listed}: expected values of at least 0 that sum to 1 "
            f"within {SUM_TOLERANCE:g}; a model that gives anything else is broken, export it anew"
        )
    return shares
