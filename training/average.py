"""A moving average of a model's weights, the same for every framework; where asked for, it is evaluated and kept.

Weights averaged over the last few epochs do better than the newest ones while the learning rate is high (Polyak and
Juditsky 1992).
"""

from abc import ABC, abstractmethod
from pathlib import Path

import numpy as np

from training.weights import Weights, load_state, save_arrays

# Weights hardly change from one step to the next, and copying them off a GPU makes it wait.
STEPS_BETWEEN = 20


class AverageSchedule:
    """How much of the average stays at each of its samples, which are `STEPS_BETWEEN` steps apart.

    It is `decay` a step. The first samples count for more, as in TensorFlow's `ExponentialMovingAverage` with
    `num_updates`, so that the initial weights are soon forgotten. BatchNorm's statistics are averaged like the weights.
    """

    def __init__(self, decay: float, samples: int = 0) -> None:
        self.kept = decay**STEPS_BETWEEN
        self.samples = samples

    def next(self) -> float:
        """Return the share that stays when the next sample is taken up: 0 at the first."""
        kept = min(self.kept, self.samples / (self.samples + 9))
        self.samples += 1
        return kept


class AverageInNumPy(ABC):
    """A learner's average of its weights, kept as plain arrays."""

    _average: Weights

    @abstractmethod
    def weights(self) -> Weights:
        """Return the weights as plain arrays."""

    def average(self, kept: float) -> None:
        """See `training.loop.Learner`."""
        newest = self.weights()
        self._average = newest if kept == 0 else _moved(self._average, kept, newest)

    def averaged(self) -> Weights:
        """See `training.loop.Learner`."""
        return dict(self._average)

    def set_average(self, weights: Weights) -> None:
        """See `training.loop.Learner`."""
        self._average = weights


def save_average(path: Path, weights: Weights, samples: int) -> None:
    """Write an average and how many samples are in it, whole or not at all."""
    save_arrays(path, weights | {"samples": np.array(samples)})


def load_average(path: Path) -> tuple[Weights, int]:
    """Read what `save_average` wrote."""
    arrays = load_state(path)
    return arrays, int(arrays.pop("samples"))


def _moved(average: Weights, kept: float, newest: Weights) -> Weights:
    share = np.float32(kept)
    return {name: share * average[name] + (1 - share) * value for name, value in newest.items()}
