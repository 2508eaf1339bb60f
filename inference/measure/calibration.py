"""Whether a model is as often right as it says: its calibration before and after the temperature in its file.

The calibration error is that of Guo et al. 2017, "On Calibration of Modern Neural Networks", equation 3,
https://arxiv.org/abs/1706.04599: the mean |accuracy - confidence| of 15 bins of equal width, weighted by their faces.
Of few faces it is too high by construction, for chance alone keeps accuracy and confidence of a bin apart.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.documents import Number, Share
from inference.measure.curves import (
    CALIBRATION_BINS,
    CalibrationBin,
    calibration_bins,
    calibration_places,
    expected_calibration_error,
)
from inference.measure.paired import SEED

REPLICATES = 1000
# What a probability of 0, which float32 rounds to, counts as in a log loss.
LEAST = np.finfo(np.float64).eps


@dataclass(frozen=True, kw_only=True)
class Uncalibrated:
    """The same answers at temperature 1: calibration error with its interval, its bins, and the log loss in nats."""

    calibration_error: Share
    interval: tuple[Share, Share]
    calibration: tuple[CalibrationBin, ...]
    log_loss: float


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """What a temperature does for a model on some faces.

    Attributes:
        temperature: what the file divides logits by; 1 where none was fitted, and in files of contract 1.
        faces: how many were measured.
        interval: of the calibration error with the file's own probabilities, which a report's figures have. This and
            the other intervals are 95 % percentiles of 1,000 bootstrap draws of the faces, the same before and after.
        before: at temperature 1; None where that is the file's own, or where answers are means over several views,
            which no temperature alone leads back from.
        change: the interval of the error after less that before; None where `before` is.
    """

    temperature: float
    faces: Number
    interval: tuple[Share, Share]
    before: Uncalibrated | None
    change: tuple[float, float] | None


def calibration_of(
    labels: NDArray[np.integer], probabilities: NDArray[np.float32], temperature: float, *, single_view: bool = True
) -> Calibration:
    """Measure the calibration of answers float32[N, 7] to faces whose labels are int[N].

    Args:
        labels: the true classes.
        probabilities: softmax(logits / temperature).
        temperature: the file's.
        single_view: whether they are that, and no means over views.
    """
    draws = _error_draws(labels, probabilities)
    if temperature == 1 or not single_view:
        interval = _interval(draws)
        return Calibration(temperature=temperature, faces=len(labels), interval=interval, before=None, change=None)
    raw = at_temperature_one(probabilities, temperature)
    raw_draws, right = _error_draws(labels, raw), raw.argmax(axis=1) == labels
    bins = calibration_bins(raw.max(axis=1), right)
    before = Uncalibrated(
        calibration_error=expected_calibration_error(bins),
        interval=_interval(raw_draws),
        calibration=bins,
        log_loss=float(-np.log(np.maximum(raw[np.arange(len(labels)), labels], LEAST)).mean()),
    )
    low, high = np.quantile(draws - raw_draws, (0.025, 0.975))
    return Calibration(
        temperature=temperature,
        faces=len(labels),
        interval=_interval(draws),
        before=before,
        change=(float(low), float(high)),
    )


def at_temperature_one(probabilities: NDArray[np.float32], temperature: float) -> NDArray[np.float64]:
    """Return softmax(logits) float64[N, 7] from softmax(logits / temperature) float32[N, 7].

    That is the probabilities to the power of the temperature, divided by their sum: log probabilities times the
    temperature are the logits less a constant of each face.
    """
    # Of equal scale before the power: what rounds to 0 then is no larger than what float32 had rounded to 0 already.
    shares = probabilities.astype(np.float64)
    powers = (shares / shares.max(axis=1, keepdims=True)) ** temperature
    raised: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return raised


def _error_draws(labels: NDArray[np.integer], probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    """Calibration errors float64[1000] of faces drawn anew, with replacement; the same draws for as many faces."""
    confidences = probabilities.max(axis=1).astype(np.float64)
    # A bin's gap times its faces is the sum of its faces' own, and bins' sums are all that a draw needs.
    gaps = (probabilities.argmax(axis=1) == labels) - confidences
    places, count = calibration_places(confidences), len(labels)
    rng, errors = np.random.default_rng(SEED), np.empty(REPLICATES)
    for replicate in range(REPLICATES):
        drawn = rng.integers(0, count, count)
        sums = np.bincount(places[drawn], gaps[drawn], minlength=CALIBRATION_BINS)
        errors[replicate] = np.abs(sums).sum() / count
    return errors


def _interval(draws: NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.quantile(draws, (0.025, 0.975))
    return float(low), float(high)
