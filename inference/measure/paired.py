"""Whether two models really differ, told from their answers to the same faces.

Accuracies of models that met the same faces rise and fall together, so that their separate intervals say
little about the difference; the faces that only one of two models gets right say all.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from data.faceset import LABELS

REPLICATES = 2000
SEED = 0
LEVEL = 0.05


@dataclass(frozen=True)
class McNemar:
    """Two-sided p-values of "both models are equally often right"; the counts are of faces only one got right."""

    only_first: int
    only_second: int
    exact: float
    mid_p: float


@dataclass(frozen=True)
class Pair:
    """Two models by their places, `first` before `second`; shares of faces, 0 to 1.

    `difference` is the first's accuracy less the second's, `interval` its 95 % bootstrap interval, `holm` the mid-p
    corrected for all pairs of the table, `kappa` Cohen's of their answers, None where it is 0/0.
    """

    first: int
    second: int
    difference: float
    interval: tuple[float, float]
    mcnemar: McNemar
    holm: float
    agreement: float
    kappa: float | None

    @property
    def differs(self) -> bool:
        """Whether the two differ at the 5 % level after the correction."""
        return self.holm < LEVEL


def mcnemar(only_first: int, only_second: int) -> McNemar:
    """Test how often one model alone was right, against a fair coin.

    Source: Fagerland, Lydersen and Laake 2013, "The McNemar test for binary matched-pairs data: mid-p and asymptotic
    are better than exact conditional", https://doi.org/10.1186/1471-2288-13-91. Without a face to tell, both are 1.
    """
    from scipy.stats import binom, binomtest

    faces = only_first + only_second
    if not faces:
        return McNemar(0, 0, 1.0, 1.0)
    exact = float(binomtest(only_first, faces).pvalue)
    point = float(binom.pmf(only_first, faces, 0.5))
    return McNemar(only_first, only_second, exact, exact - (0.5 * point if only_first == only_second else point))


def bootstrap_accuracies(
    correct: NDArray[np.bool_], replicates: int = REPLICATES, seed: int = SEED
) -> NDArray[np.float64]:
    """Accuracies float64[replicates, M] of M models on faces drawn anew, with replacement, the same for every model.

    Args:
        correct: bool[M, N], whether a model was right about a face.
        replicates: how often N faces are drawn.
        seed: of the draws.
    """
    rng, faces = np.random.default_rng(seed), correct.shape[1]
    # Counts stay far below 2**24, where float32 would start to round.
    right = correct.T.astype(np.float32)
    drawn = np.empty((replicates, correct.shape[0]), np.float64)
    for replicate in range(replicates):
        times = np.bincount(rng.integers(0, faces, faces), minlength=faces).astype(np.float32)
        drawn[replicate] = times @ right
    drawn /= faces
    return drawn


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values so that the chance of even one false finding stays below the level.

    Source: Holm 1979, "A Simple Sequentially Rejective Multiple Test Procedure", https://www.jstor.org/stable/4615733.
    """
    order = np.argsort(p_values, kind="stable")
    steps = np.asarray(p_values, dtype=np.float64)[order] * np.arange(len(order), 0, -1)
    corrected = np.empty(len(order))
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1) if len(order) else steps
    return [float(value) for value in corrected]


def kappa(first: NDArray[np.int64], second: NDArray[np.int64]) -> float | None:
    """Cohen's kappa of two models' answers, int[N] each; None where both give one and the same answer to all."""
    from sklearn.metrics import cohen_kappa_score

    if len(np.unique(np.concatenate([first, second]))) == 1:
        return None
    return float(cohen_kappa_score(first, second, labels=range(len(LABELS))))


def pairs(labels: NDArray[np.int64], predictions: NDArray[np.int64]) -> list[Pair]:
    """Compare each two of M models by their predictions, int[M, N], of faces whose truth is int[N]."""
    correct = predictions == labels
    accuracies = bootstrap_accuracies(correct)
    places = list(combinations(range(len(predictions)), 2))
    tests = [mcnemar(int((correct[a] & ~correct[b]).sum()), int((correct[b] & ~correct[a]).sum())) for a, b in places]
    corrected = holm([test.mid_p for test in tests])
    compared = []
    for (a, b), test, p_value in zip(places, tests, corrected, strict=True):
        interval = _interval(accuracies[:, a] - accuracies[:, b])
        difference = (test.only_first - test.only_second) / len(labels)
        agreement = float((predictions[a] == predictions[b]).mean())
        agree_beyond_chance = kappa(predictions[a], predictions[b])
        compared.append(Pair(a, b, difference, interval, test, p_value, agreement, agree_beyond_chance))
    return compared


def difference_interval(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> tuple[float, float]:
    """The 95 % bootstrap interval of the first's accuracy less the second's, from whether they were right, bool[N]."""
    accuracies = bootstrap_accuracies(np.stack([first, second]))
    return _interval(accuracies[:, 0] - accuracies[:, 1])


def mean_interval(differences: NDArray[np.float64]) -> tuple[float, float]:
    """The 95 % bootstrap interval of the mean of paired differences, float64[N], one a face."""
    rng, faces = np.random.default_rng(SEED), len(differences)
    return _interval(np.array([differences[rng.integers(0, faces, faces)].mean() for _ in range(REPLICATES)]))


def _interval(differences: NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.quantile(differences, (0.025, 0.975))
    return float(low), float(high)
