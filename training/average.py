"""A moving average of a model's weights, the same for every framework; where asked for, it is evaluated and kept.

Weights averaged over the last few epochs do better than the newest ones while the learning rate is high (Polyak and
Juditsky 1992).
"""

from pathlib import Path

import numpy as np

from training.weights import Weights, load_state, save_arrays

# Weights hardly change from one step to the next, and copying them off a GPU makes it wait.
STEPS_BETWEEN = 20


class WeightAverage:
    """An exponential moving average with `decay` a step, of weights seen every `STEPS_BETWEEN` steps.

    BatchNorm's statistics are averaged like the weights. The first samples count for more, as in TensorFlow's
    `ExponentialMovingAverage` with `num_updates`, so that the initial weights are soon forgotten.
    """

    def __init__(self, decay: float) -> None:
        self.kept = decay**STEPS_BETWEEN
        self.samples = 0
        self.weights: Weights = {}

    def add(self, weights: Weights) -> None:
        """Take up the weights at hand."""
        kept = np.float32(min(self.kept, self.samples / (self.samples + 9)))
        self.samples += 1
        if not self.weights:
            self.weights = weights
            return
        for name, newest in weights.items():
            self.weights[name] = kept * self.weights[name] + (1 - kept) * newest

    def save(self, path: Path) -> None:
        """Write the average and how many samples are in it, whole or not at all."""
        save_arrays(path, self.weights | {"samples": np.array(self.samples)})

    def load(self, path: Path) -> None:
        """Read what `save` wrote."""
        arrays = load_state(path)
        self.samples = int(arrays.pop("samples"))
        self.weights = arrays
