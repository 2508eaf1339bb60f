"""Several models as one: the mean of their probabilities, and which of them to take.

The subset is picked on the validation part alone. Picking it by the test part would make the figures of the test part
those of a model that was fitted to it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.testtime import Predictor


@dataclass(frozen=True)
class Ensemble:
    """Models that answer together."""

    members: tuple[Predictor, ...]

    def predict(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the members' mean probabilities, float32[N, 7], of grey faces uint8[N, 48, 48]."""
        return mean_probabilities([member.predict(pixels) for member in self.members])


@dataclass(frozen=True)
class Choice:
    """The models picked, by their places in the order of picking, and their accuracy together after each."""

    places: tuple[int, ...]
    accuracies: tuple[float, ...]


def mean_probabilities(probabilities: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """The mean float32[N, 7] of some models' probabilities, float32[N, 7] each."""
    return np.asarray(np.mean(probabilities, axis=0, dtype=np.float64), np.float32)


def pick_greedily(labels: NDArray[np.int64], probabilities: Sequence[NDArray[np.float32]]) -> Choice:
    """Start with the best model and add the one that helps most, for as long as one helps.

    Better is a higher accuracy, and a lower log loss where accuracies are equal. No model is taken twice.
    Source: Caruana et al. 2004, "Ensemble Selection from Libraries of Models",
    https://doi.org/10.1145/1015330.1015432.

    Args:
        labels: int[N], the truth of the validation part.
        probabilities: float32[N, 7] of each model on the validation part.
    """
    truth = np.arange(len(labels)), labels
    picked: list[int] = []
    accuracies: list[float] = []
    total, best = np.zeros(np.shape(probabilities[0])), (-1.0, 0.0)
    while len(picked) < len(probabilities):
        left = [index for index in range(len(probabilities)) if index not in picked]
        scores = [_score(total + probabilities[index], truth, len(picked) + 1) for index in left]
        if max(scores) <= best:
            break
        best = max(scores)
        picked.append(left[scores.index(best)])
        accuracies.append(best[0])
        total += probabilities[picked[-1]]
    return Choice(tuple(picked), tuple(accuracies))


def _score(
    total: NDArray[np.float64], truth: tuple[NDArray[np.int64], NDArray[np.int64]], members: int
) -> tuple[float, float]:
    accuracy = float((total.argmax(axis=1) == truth[1]).mean())
    likelihood = float(np.log(np.maximum(total[truth] / members, np.finfo(np.float64).eps)).mean())
    return accuracy, likelihood
