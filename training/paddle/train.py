"""PaddlePaddle's `Learner`: an epoch's faces are on the device, and a step is one batch of them."""

from pathlib import Path

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import Tensor
from paddle.nn import functional

from data.errors import InputError
from data.faceset import LABELS
from data.memory import keep_freed_memory
from inference.machine import processor_name
from training.average import AverageInNumPy
from training.paddle.model import build, get_weights, normalise, set_weights
from training.recipe import Settings
from training.specs import model_spec
from training.views import EpochData
from training.weights import Weights, load_state, save_arrays

EVALUATION_BATCH = 256


class PaddleLearner(AverageInNumPy):
    """See `training.loop.Learner`. Dropout is seeded anew in every step, so that a state needs no random generators."""

    state_suffix = ".npz"

    def __init__(
        self,
        settings: Settings,
        weights: Weights,
        balance: NDArray[np.float32],
    ) -> None:
        """Take the initial weights, and the classes' weights in the loss, float32[7]."""
        paddle.set_device(choose_device(settings))
        # A step makes many large tensors, and their pages are zeroed anew wherever they were given back.
        keep_freed_memory()
        paddle.base.core.set_num_threads(settings.thread_count)
        self.settings = settings
        self.spec = model_spec(settings.model)
        self.model = build(self.spec)
        set_weights(self.model, weights)
        self.optimizer = optimizer(settings, self.model.parameters())
        self.balance = paddle.to_tensor(balance)
        self.data: tuple[Tensor, ...] = ()
        self.seed = 0
        self._reset_totals()

    def begin_epoch(self, data: EpochData, *, resumed: bool = False) -> None:
        """See `training.loop.Learner`."""
        arrays = data.pixels, data.labels.astype(np.int64), data.shares
        self.data = tuple(paddle.to_tensor(array) for array in arrays)
        self.seed = data.seed
        self._reset_totals()
        self.model.train()

    def step(self, start: int, stop: int, rate: float) -> None:
        """See `training.loop.Learner`."""
        self.optimizer.set_lr(rate)
        paddle.seed((self.seed + start) % 2**31)
        pixels, labels, shares = (values[start:stop] for values in self.data)
        with paddle.amp.auto_cast(self.settings.precision == "bf16", dtype="bfloat16"):
            logits = self.model(normalise(pixels))
        logits = logits.astype("float32")
        loss = cross_entropy(logits, shares, self.balance, self.settings.label_smoothing)
        loss.backward()
        self.optimizer.step()
        self.optimizer.clear_grad()
        self.loss_sum += loss.detach().astype("float64") * (stop - start)
        self.correct += (logits.detach().argmax(axis=1) == labels).sum()

    def totals(self) -> tuple[float, int]:
        """See `training.loop.Learner`."""
        return float(self.loss_sum), int(self.correct)

    @paddle.no_grad()
    def logits(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `training.loop.Learner`."""
        self.model.eval()
        answers = [
            self.model(normalise(paddle.to_tensor(pixels[start : start + EVALUATION_BATCH]))).numpy()
            for start in range(0, len(pixels), EVALUATION_BATCH)
        ]
        self.model.train()
        return np.concatenate(answers)

    def weights(self) -> Weights:
        """See `training.loop.Learner`."""
        return get_weights(self.model, self.spec)

    def set_weights(self, weights: Weights) -> None:
        """See `training.loop.Learner`."""
        set_weights(self.model, weights)

    def save_state(self, path: Path) -> None:
        """See `training.loop.Learner`."""
        model = {f"model/{name}": array for name, array in self.weights().items()}
        slots = {
            f"optimizer/{name}": value.numpy()
            for name, value in self.optimizer.state_dict().items()
            if isinstance(value, Tensor)
        }
        save_arrays(path, model | slots)

    def load_state(self, path: Path) -> None:
        """See `training.loop.Learner`."""
        parts: dict[str, Weights] = {"model": {}, "optimizer": {}}
        for name, array in load_state(path).items():
            part, key = name.split("/", 1)
            parts[part][key] = array
        self.set_weights(parts["model"])
        self.optimizer.set_state_dict({name: paddle.to_tensor(array) for name, array in parts["optimizer"].items()})

    def _reset_totals(self) -> None:
        self.loss_sum = paddle.zeros([], "float64")
        self.correct = paddle.zeros([], "int64")


def cross_entropy(logits: Tensor, shares: Tensor, balance: Tensor, smoothing: float) -> Tensor:
    """Return the mean loss of logits [N, 7] where the classes have `shares` float32[N, 7] in each face and weights
    `balance` float32[7].

    With weights, Paddle's own takes the smoothed part's weight from the target class alone; PyTorch's weighs every
    class's share by that class.
    """
    log = functional.log_softmax(logits, axis=1)
    target = (1 - smoothing) * shares + smoothing / len(LABELS)
    return -(log * target * balance).sum() / (shares * balance).sum()


def choose_device(settings: Settings) -> str:
    """Return Paddle's name of the device asked for; an `InputError` where it is not there, or lacks the precision."""
    cuda = paddle.is_compiled_with_cuda() and paddle.device.cuda.device_count() > 0
    if settings.device == "cuda" and not cuda:
        raise InputError("--device is cuda, but PaddlePaddle finds no GPU here; use --device cpu")
    device = "gpu:0" if cuda and settings.device != "cpu" else "cpu"
    if settings.precision == "bf16" and device == "cpu":
        raise InputError("--precision is bf16, which PaddlePaddle does not train in on a processor; use fp32")
    return device


def optimizer(settings: Settings, parameters: list[Tensor]) -> paddle.optimizer.Optimizer:
    """Return the optimiser that the settings name, with PyTorch's meaning.

    The updates are PyTorch's own, but for Adamax: Paddle adds epsilon to the decayed norm, max(b2 u + e, |g|),
    PyTorch to the gradient, max(b2 u, |g| + e).
    """
    rate, decay = settings.learning_rate, settings.weight_decay or None
    match settings.optimizer:
        case "adam":
            return paddle.optimizer.Adam(rate, epsilon=1e-8, parameters=parameters, weight_decay=decay)
        case "adamw":
            return paddle.optimizer.AdamW(rate, epsilon=1e-8, parameters=parameters, weight_decay=settings.weight_decay)
        case "adagrad":
            return paddle.optimizer.Adagrad(rate, 1e-10, parameters, decay)
        case "adamax":
            return paddle.optimizer.Adamax(rate, epsilon=1e-8, parameters=parameters, weight_decay=decay)
        case _:
            return paddle.optimizer.Momentum(
                rate, settings.momentum, parameters, use_nesterov=settings.nesterov, weight_decay=decay
            )


def versions() -> dict[str, str]:
    """Return the versions that a run record names."""
    return {"paddle": paddle.__version__}


def device_name(settings: Settings) -> str:
    """Return what the run's device is called."""
    if choose_device(settings) == "cpu":
        return processor_name()
    return str(paddle.device.cuda.get_device_name())


learner = PaddleLearner
