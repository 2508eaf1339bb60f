"""How much of a model's accuracy is left on spoiled faces, so that a choice is not made on clean ones alone."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from data.draw import apportion
from data.faceset import LABELS
from inference.measure.corruptions import KINDS, STRENGTHS, Kind, corrupt
from inference.testtime import Predictor

FACES = 1000
SEED = 0
Level = Literal[1, 2, 3]
LEVELS: tuple[Level, ...] = (1, 2, 3)
CONDITIONS: tuple[tuple[Kind, Level], ...] = tuple((kind, level) for kind in KINDS for level in LEVELS)


@dataclass(frozen=True)
class Spoiled:
    """The same faces clean and under each of `CONDITIONS`: uint8[22, N, 48, 48], the clean ones first; truth int[N]."""

    versions: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def accuracies(self, probabilities: NDArray[np.float32]) -> list[float]:
        """Accuracy on each version, 0 to 1, from the probabilities float32[22, N, 7]."""
        return [float(right) for right in (probabilities.argmax(axis=2) == self.labels).mean(axis=1)]


def stratified(labels: NDArray[np.uint8], count: int = FACES, seed: int = SEED) -> NDArray[np.int64]:
    """Pick at most `count` of N faces, uint8[N], in the proportions of their classes: int64 places, ascending."""
    sizes = np.bincount(labels, minlength=len(LABELS))
    wanted = apportion(min(count, len(labels)), tuple(sizes.tolist()), 0)
    rng = np.random.default_rng(seed)
    chosen = [rng.permutation(np.flatnonzero(labels == label))[:size] for label, size in enumerate(wanted.tolist())]
    return np.sort(np.concatenate(chosen)).astype(np.int64)


def spoil(pixels: NDArray[np.uint8], labels: NDArray[np.uint8]) -> Spoiled:
    """Corrupt faces uint8[N, 48, 48] in every way; the same faces are always spoiled alike."""
    spoiled = (corrupt(pixels, kind, STRENGTHS[kind][level - 1], SEED) for kind, level in CONDITIONS)
    return Spoiled(np.stack([pixels, *spoiled]), labels.astype(np.int64))


def by_kind(accuracies: list[float]) -> dict[Kind, float]:
    """Return each kind's mean over its strengths, of accuracies under `CONDITIONS`."""
    by_condition = np.reshape(accuracies, (len(KINDS), len(LEVELS)))
    return dict(zip(KINDS, by_condition.mean(axis=1).tolist(), strict=True))


def answers(
    predictor: Predictor, spoiled: Spoiled, advance: Callable[[int], None] = lambda faces: None
) -> NDArray[np.float32]:
    """Probabilities float32[22, N, 7]; `advance` is told of every so many faces done."""

    def each() -> Iterator[NDArray[np.float32]]:
        for faces in spoiled.versions:
            yield predictor.predict(faces)
            advance(len(faces))

    return np.stack(list(each()))
