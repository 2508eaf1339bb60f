"""TensorFlow's `Learner`: an epoch's faces are on the device, and a step is one compiled function over a batch."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data.errors import InputError
from data.faceset import LABELS
from inference.machine import processor_name, require_bf16
from training.average import AverageInNumPy
from training.recipe import Settings
from training.specs import model_spec
from training.tensorflow.model import Mode, build, get_weights, normalise, set_weights
from training.tensorflow.optimizer import Optimizer
from training.tensorflow.quiet import tf
from training.views import EpochData
from training.weights import Weights, load_state, save_arrays

EVALUATION_BATCH = 256
# Room for the numbers of a network's layers between the dropout seeds of two places of an epoch's order.
SEEDS_PER_PLACE = 64


class TensorFlowLearner(AverageInNumPy):
    """See `training.loop.Learner`. Dropout draws from the epoch's seed and the step's first place: there is no random
    state to keep."""

    state_suffix = ".npz"

    def __init__(
        self,
        settings: Settings,
        weights: Weights,
        balance: NDArray[np.float32],
    ) -> None:
        """Take the initial weights, and the classes' weights in the loss, float32[7]."""
        prepare_device(settings)
        self.settings = settings
        self.spec = model_spec(settings.model)
        self.model = build(self.spec)
        set_weights(self.model, weights)
        self.optimizer = Optimizer(settings, self.model.trainable)
        self.balance = tf.constant(balance)
        self.loss_sum = tf.Variable(0.0, dtype=tf.float64)
        self.correct = tf.Variable(0, dtype=tf.int64)
        self.data: tuple[tf.Tensor, ...] = ()
        self.seed = 0
        self._learn = tf.function(self._learn_batch, autograph=False)
        self._answer = tf.function(lambda batch: self.model(normalise(batch)), autograph=False)

    def begin_epoch(self, data: EpochData, *, resumed: bool = False) -> None:
        """See `training.loop.Learner`."""
        self.data = tf.constant(data.pixels), tf.constant(data.labels, tf.int64), tf.constant(data.shares)
        self.seed = data.seed
        self.loss_sum.assign(0)
        self.correct.assign(0)

    def step(self, start: int, stop: int, rate: float) -> None:
        """See `training.loop.Learner`."""
        self._learn(
            *(values[start:stop] for values in self.data),
            tf.constant([self.seed, start * SEEDS_PER_PLACE], tf.int64),
            tf.constant(rate, tf.float64),
        )

    def totals(self) -> tuple[float, int]:
        """See `training.loop.Learner`."""
        return float(self.loss_sum), int(self.correct)

    def logits(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `training.loop.Learner`."""
        starts = range(0, len(pixels), EVALUATION_BATCH)
        return np.concatenate([self._answer(pixels[start : start + EVALUATION_BATCH]).numpy() for start in starts])

    def weights(self) -> Weights:
        """See `training.loop.Learner`."""
        return get_weights(self.model, self.spec)

    def set_weights(self, weights: Weights) -> None:
        """See `training.loop.Learner`."""
        set_weights(self.model, weights)

    def save_state(self, path: Path) -> None:
        """See `training.loop.Learner`."""
        save_arrays(path, {name: variable.numpy() for name, variable in self._state().items()})

    def load_state(self, path: Path) -> None:
        """See `training.loop.Learner`."""
        state, arrays = self._state(), load_state(path)
        expected = {name: (tuple(variable.shape), variable.dtype.name) for name, variable in state.items()}
        if {name: (array.shape, array.dtype.name) for name, array in arrays.items()} != expected:
            raise InputError(f"{path.name} is the state of another model or optimiser; train again")
        for name, array in arrays.items():
            state[name].assign(array)

    def _state(self) -> dict[str, tf.Variable]:
        weights = {f"weights/{name}": variable for name, variable in self.model.variables.items()}
        return weights | self.optimizer.slots | {"steps": self.optimizer.steps}

    def _learn_batch(
        self, pixels: tf.Tensor, labels: tf.Tensor, shares: tf.Tensor, seed: tf.Tensor, rate: tf.Tensor
    ) -> None:
        inputs = normalise(pixels)
        precision = tf.bfloat16 if self.settings.precision == "bf16" else tf.float32
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(list(self.model.trainable.values()))
            logits = self.model(inputs, Mode(seed, precision))
            loss = cross_entropy(logits, shares, self.balance, self.settings.label_smoothing)
        self.optimizer.apply(tape.gradient(loss, self.model.trainable), rate)
        self.loss_sum.assign_add(tf.cast(loss, tf.float64) * tf.cast(tf.size(labels), tf.float64))
        self.correct.assign_add(tf.math.count_nonzero(tf.argmax(logits, 1) == labels))


def cross_entropy(logits: tf.Tensor, shares: tf.Tensor, balance: tf.Tensor, smoothing: float) -> tf.Tensor:
    """Return the mean loss of logits [N, 7] where the classes have `shares` float32[N, 7] in each face and weights
    `balance` float32[7]; smoothing shares out each class's own weight, as in PyTorch's `CrossEntropyLoss`."""
    target = (1 - smoothing) * shares + smoothing / len(LABELS)
    return -tf.reduce_sum(tf.nn.log_softmax(logits) * target * balance) / tf.reduce_sum(shares * balance)


def prepare_device(settings: Settings) -> None:
    """Make the device and the threads that are asked for the ones used; an `InputError` where they cannot be.

    TensorFlow takes both once a process, before its first operation.
    """
    threads = settings.thread_count
    device = choose_device(settings)
    configuration = tf.config.threading
    # What is called float32 is that: a GPU would round products to 10 bits (TF32).
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        if configuration.get_intra_op_parallelism_threads() != threads:
            configuration.set_intra_op_parallelism_threads(threads)
            configuration.set_inter_op_parallelism_threads(1)
        if tf.config.get_visible_devices("GPU") and device == "CPU":
            tf.config.set_visible_devices([], "GPU")
    except RuntimeError as error:
        raise InputError(f"TensorFlow runs already ({error}); start another process for other settings") from error


def choose_device(settings: Settings) -> str:
    """Return `GPU` or `CPU`, whichever `--device` means here; an `InputError` where it is not there, or lacks the
    precision."""
    gpus = tf.config.list_physical_devices("GPU")
    if settings.device == "cuda" and not gpus:
        raise InputError("--device is cuda, but TensorFlow finds no GPU here; use --device cpu")
    if gpus and settings.device != "cpu":
        return "GPU"
    if settings.precision == "bf16":
        require_bf16()
    return "CPU"


def versions() -> dict[str, str]:
    """Return the versions that a run record names."""
    return {"tensorflow": tf.__version__}


def device_name(settings: Settings) -> str:
    """Return what the run's device is called."""
    if choose_device(settings) == "CPU":
        return processor_name()
    details = tf.config.experimental.get_device_details(tf.config.list_physical_devices("GPU")[0])
    return str(details.get("device_name", "GPU"))


learner = TensorFlowLearner
