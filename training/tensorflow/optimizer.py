"""The five optimisers with PyTorch's meaning, which Keras' own have not.

Keras adds epsilon before the bias correction (Adam), into the root with a first sum of 0.1 (Adagrad), or to the maximum
(Adamax); it scales momentum by the rate of each step, and decouples every weight decay. TensorFlow's fused kernels can
be told to do what PyTorch does; Adamax has none that can.
"""

from collections.abc import Mapping

import numpy as np

from training.recipe import Settings
from training.tensorflow.quiet import tf

BETA_1 = 0.9
# As the kernel sees it, or the bias correction would be that of another average.
BETA_2 = float(np.float32(0.999))
EPSILON = {"adagrad": 1e-10}
SLOTS = {
    "adam": ("mean", "square"),
    "adamw": ("mean", "square"),
    "adamax": ("mean", "largest"),
    "adagrad": ("square",),
    "sgd": ("momentum",),
}


class Optimizer:
    """Updates variables in place; `slots` are its running averages by slot and variable, `steps` counts updates."""

    def __init__(self, settings: Settings, variables: Mapping[str, tf.Variable]) -> None:
        self.settings = settings
        self.variables = variables
        self.epsilon = EPSILON.get(settings.optimizer, 1e-8)
        self.steps = tf.Variable(0, dtype=tf.int64)
        self.slots = {
            f"{slot}/{name}": tf.Variable(tf.zeros_like(variable))
            for slot in SLOTS[settings.optimizer]
            for name, variable in variables.items()
        }

    def apply(self, gradients: Mapping[str, tf.Tensor], rate: tf.Tensor) -> None:
        """Take one step at learning rate `rate`, a float64 scalar."""
        steps = tf.cast(self.steps.assign_add(1), tf.float64)
        decay = self.settings.weight_decay
        for name, variable in self.variables.items():
            gradient = gradients[name]
            if decay and self.settings.optimizer == "adamw":
                variable.assign(variable * tf.cast(1 - rate * decay, tf.float32))
            elif decay:
                gradient += decay * variable
            slots = [self.slots[f"{slot}/{name}"] for slot in SLOTS[self.settings.optimizer]]
            self._update(variable, gradient, slots, rate, steps)

    def _update(
        self, variable: tf.Variable, gradient: tf.Tensor, slots: list[tf.Variable], rate: tf.Tensor, steps: tf.Tensor
    ) -> None:
        match self.settings.optimizer:
            case "adam" | "adamw":
                self._adam(variable, gradient, slots, rate, steps)
            case "adamax":
                mean, largest = slots
                mean.assign_add((gradient - mean) * (1 - BETA_1))
                largest.assign(tf.maximum(largest * BETA_2, tf.abs(gradient) + self.epsilon))
                variable.assign_sub(tf.cast(rate / (1 - BETA_1**steps), tf.float32) * mean / largest)
            case "adagrad":
                tf.raw_ops.ResourceApplyAdagradV2(
                    var=variable.handle,
                    accum=slots[0].handle,
                    lr=tf.cast(rate, tf.float32),
                    epsilon=self.epsilon,
                    grad=gradient,
                )
            case _:
                tf.raw_ops.ResourceApplyMomentum(
                    var=variable.handle,
                    accum=slots[0].handle,
                    lr=tf.cast(rate, tf.float32),
                    grad=gradient,
                    momentum=self.settings.momentum,
                    use_nesterov=self.settings.nesterov,
                )

    def _adam(
        self, variable: tf.Variable, gradient: tf.Tensor, slots: list[tf.Variable], rate: tf.Tensor, steps: tf.Tensor
    ) -> None:
        # The kernel's own correction is in float32 and leaves epsilon out of it, so both are made here.
        correction = tf.sqrt(1 - BETA_2**steps)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=slots[0].handle,
            v=slots[1].handle,
            beta1_power=0.0,
            beta2_power=0.0,
            lr=tf.cast(rate * correction / (1 - BETA_1**steps), tf.float32),
            beta1=BETA_1,
            beta2=BETA_2,
            epsilon=tf.cast(self.epsilon * correction, tf.float32),
            grad=gradient,
        )
