"""Fits the temperature that an artifact's probabilities are made with: on the validation part, never on a test part."""

import numpy as np
from numpy.typing import NDArray

from data.faceset import FaceSet
from data.splits import Split
from inference.engine import Engine
from inference.manifest import Temperature

# Beyond these, a validation part of few faces, all of them right, would make every answer certain.
LOWEST, HIGHEST = 0.25, 4.0


def fitted_temperature(engine: Engine, faces: FaceSet, division: Split) -> Temperature:
    """Return the temperature at which the artifact's own logits have the lowest log loss on the validation part.

    It is 1 where the protocol has no such part, for the best epoch was picked on the test part then.
    """
    if division.plan.selects_on != "validation":
        return Temperature()
    records = faces.records[division.validation]
    return fit(engine.run(np.ascontiguousarray(records["pixels"]))[0], records["label"])


def fit(logits: NDArray[np.float32], labels: NDArray[np.uint8]) -> Temperature:
    """Return the temperature from `LOWEST` to `HIGHEST` with the lowest log loss of logits [N, 7] for labels [N]."""
    from scipy.optimize import minimize_scalar

    def loss(log_temperature: float) -> float:
        return log_loss(logits, labels, float(np.exp(log_temperature)))

    optimum = minimize_scalar(loss, bounds=(np.log(LOWEST), np.log(HIGHEST)), method="bounded")
    # As the graph holds it.
    value = float(np.float32(np.exp(optimum.x)))
    return Temperature(value, len(labels), log_loss(logits, labels, 1.0), log_loss(logits, labels, value))


def log_loss(logits: NDArray[np.float32], labels: NDArray[np.uint8], temperature: float) -> float:
    """Return the mean log loss in nats of softmax(logits / temperature)."""
    from scipy.special import log_softmax

    return float(-log_softmax(logits.astype(np.float64) / temperature, axis=1)[np.arange(len(labels)), labels].mean())
