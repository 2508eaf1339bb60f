"""PyTorch's `Learner`: an epoch's faces are on the device, and a step is one batch of them."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from data.errors import InputError
from data.faceset import LABELS
from data.files import whole_file
from data.memory import keep_freed_memory
from inference.machine import processor_name, require_bf16
from training.finetune import answering_weights
from training.recipe import Settings
from training.specs import model_spec
from training.torch.graph import RECORDING, GraphedStep
from training.torch.model import build, get_weights, normalise, plain, set_weights
from training.views import EpochData
from training.weights import Weights, shapes

if TYPE_CHECKING:
    from inference.engine import Engine

EVALUATION_BATCH, TEACHER_BATCH = 256, 2048
# Whose steps a CUDA graph can hold; Adagrad's count on the processor.
CAPTURABLE = ("sgd", "adam", "adamw", "adamax")
# What a run that goes on elsewhere does not take with it: a rate on the GPU, and that steps are recorded.
OWN = ("lr", "capturable")


class TorchLearner:
    """See `training.loop.Learner`."""

    state_suffix = ".pt"

    def __init__(
        self,
        settings: Settings,
        weights: Weights,
        balance: NDArray[np.float32],
    ) -> None:
        """Take the initial weights, and the classes' weights in the loss, float32[7]."""
        torch.set_num_threads(settings.thread_count)
        self.settings = settings
        self.device = choose_device(settings)
        if self.device.type == "cpu":
            keep_freed_memory()
        # What is called float32 is that: by default cuDNN's convolutions round to 10 bits (TF32).
        torch.backends.cudnn.allow_tf32 = False
        # Trying out a GPU's kernels pays: all batches but an epoch's last have one size.
        torch.backends.cudnn.benchmark = True
        self.spec = model_spec(settings.model)
        model = build(self.spec)
        set_weights(model, weights)
        self.model = model.to(self.device).to(memory_format=torch.channels_last)
        graphed = self.device.type == "cuda" and settings.optimizer in CAPTURABLE
        # A graph reads the rate from the GPU's memory.
        self.rate = torch.zeros((), device=self.device) if graphed else None
        self.optimizer = optimizer(settings, list(self.model.parameters()), self.rate)
        self.balance = torch.from_numpy(balance).to(self.device)
        self.restored: dict[str, Any] | None = None
        self.pixels, self.labels, self.shares = (torch.empty(0, device=self.device) for _ in range(3))
        self._average: list[Tensor] = []
        self.loss_sum = torch.zeros((), dtype=torch.float64, device=self.device)
        self.correct = torch.zeros((), dtype=torch.int64, device=self.device)
        self._learn: Callable[..., None] = GraphedStep(self._learn_from) if graphed else self._learn_from

    def begin_epoch(self, data: EpochData, *, resumed: bool = False) -> None:
        """See `training.loop.Learner`."""
        restored, self.restored = self.restored, None
        self.pixels = torch.from_numpy(data.pixels).to(self.device)
        self.labels = torch.from_numpy(data.labels.astype(np.int64)).to(self.device)
        self.shares = torch.from_numpy(data.shares).to(self.device)
        self.loss_sum.zero_()
        self.correct.zero_()
        torch.manual_seed(data.seed)
        if resumed and restored is not None:
            torch.set_rng_state(restored["random"])
            if "random_cuda" in restored:
                torch.cuda.set_rng_state(restored["random_cuda"])
        self.model.train()

    def step(self, start: int, stop: int, rate: float) -> None:
        """See `training.loop.Learner`."""
        if self.rate is not None:
            self.rate.fill_(rate)
        else:
            for group in self.optimizer.param_groups:
                group["lr"] = rate
        self._learn(self.pixels[start:stop], self.labels[start:stop], self.shares[start:stop])

    def _learn_from(self, pixels: Tensor, labels: Tensor, shares: Tensor) -> None:
        inputs = normalise(pixels).contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.settings.precision == "bf16"):
            logits = self.model(inputs)
        logits = logits.float()
        loss = cross_entropy(logits, shares, self.balance, self.settings.label_smoothing)
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        self.optimizer.step()
        self.loss_sum += loss.detach().double() * len(pixels)
        self.correct += (logits.detach().argmax(dim=1) == labels).sum()

    def totals(self) -> tuple[float, int]:
        """See `training.loop.Learner`."""
        return float(self.loss_sum), int(self.correct)

    @torch.inference_mode()
    def logits(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `training.loop.Learner`."""
        self.model.eval()
        answers = []
        for start in range(0, len(pixels), EVALUATION_BATCH):
            batch = torch.from_numpy(pixels[start : start + EVALUATION_BATCH]).to(self.device)
            inputs = normalise(batch).contiguous(memory_format=torch.channels_last)
            answers.append(self.model(inputs).float().cpu().numpy())
        self.model.train()
        return np.concatenate(answers)

    def weights(self) -> Weights:
        """See `training.loop.Learner`."""
        return get_weights(self.model, self.spec)

    def set_weights(self, weights: Weights) -> None:
        """See `training.loop.Learner`."""
        set_weights(self.model, weights)

    @torch.no_grad()
    def average(self, kept: float) -> None:
        """See `training.loop.Learner`. On the device: copying a network off a GPU would make it wait."""
        state = self.model.state_dict()
        newest = [state[name] for name in shapes(self.spec)]
        if kept == 0:
            self._average = [value.detach().float().clone() for value in newest]
        else:
            torch._foreach_lerp_(self._average, newest, 1 - kept)

    def averaged(self) -> Weights:
        """See `training.loop.Learner`."""
        return {name: plain(value) for name, value in zip(shapes(self.spec), self._average, strict=True)}

    def set_average(self, weights: Weights) -> None:
        """See `training.loop.Learner`."""
        self._average = [torch.from_numpy(weights[name]).to(self.device) for name in shapes(self.spec) if weights]

    def save_state(self, path: Path) -> None:
        """See `training.loop.Learner`."""
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "random": torch.get_rng_state(),
        }
        if self.device.type == "cuda":
            state["random_cuda"] = torch.cuda.get_rng_state()
        with whole_file(path) as file:
            torch.save(state, file)

    def load_state(self, path: Path) -> None:
        """See `training.loop.Learner`. Takes effect on the random generators in the next `begin_epoch`."""
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # torch raises whatever the damaged bytes lead to
            raise InputError(
                f"{path.name} is no state that training wrote ({type(error).__name__}); train again"
            ) from error
        self.model.load_state_dict(state["model"])
        own = [{name: group[name] for name in OWN if name in group} for group in self.optimizer.param_groups]
        self.optimizer.load_state_dict(state["optimizer"])
        for group, values in zip(self.optimizer.param_groups, own, strict=True):
            group |= values
        self.restored = state


def cross_entropy(logits: Tensor, shares: Tensor, balance: Tensor, smoothing: float) -> Tensor:
    """Return the mean loss of logits [N, 7] where the classes have `shares` float32[N, 7] in each face and weights
    `balance` float32[7].

    It is `torch.nn.CrossEntropyLoss` with labels, in which smoothing shares out each class's own weight. With shares,
    that divides by the number of faces instead of their weights.
    """
    target = (1 - smoothing) * shares + smoothing / len(LABELS)
    return -(functional.log_softmax(logits, 1) * target * balance).sum() / (shares * balance).sum()


def choose_device(settings: Settings) -> torch.device:
    """Return the device asked for; an `InputError` where it is not there, or lacks the precision."""
    has_gpu = torch.cuda.is_available()
    if settings.device == "cuda" and not has_gpu:
        raise InputError("--device is cuda, but PyTorch finds no GPU here; use --device cpu")
    if has_gpu and settings.device != "cpu":
        return torch.device("cuda")
    if settings.precision == "bf16":
        require_bf16()
    return torch.device("cpu")


def optimizer(
    settings: Settings, parameters: list[torch.nn.Parameter], rate_on_device: Tensor | None = None
) -> torch.optim.Optimizer:
    """Return the optimiser that the settings name; with a rate float32[] on a GPU, one whose steps can be recorded."""
    decay, capturable = settings.weight_decay, rate_on_device is not None
    rate = settings.learning_rate if rate_on_device is None else rate_on_device
    match settings.optimizer:
        case "adam":
            return torch.optim.Adam(parameters, rate, weight_decay=decay, fused=True, capturable=capturable)
        case "adamw":
            return torch.optim.AdamW(parameters, rate, weight_decay=decay, fused=True, capturable=capturable)
        case "adagrad":
            return torch.optim.Adagrad(parameters, rate, weight_decay=decay)
        case "adamax":
            return torch.optim.Adamax(parameters, rate, weight_decay=decay, capturable=capturable)
        case _:
            return torch.optim.SGD(
                parameters,
                rate,
                settings.momentum,
                weight_decay=decay,
                nesterov=settings.nesterov,
                fused=True,
            )


def teacher_on_device(settings: Settings, engines: "Sequence[Engine]") -> "TorchTeacher | None":
    """Return teachers that answer on the GPU that the settings train on; None where they train on a processor."""
    device = choose_device(settings)
    return None if device.type == "cpu" else TorchTeacher(device, engines)


class TorchTeacher:
    """Artifacts as networks of PyTorch, in bf16, which answer together."""

    def __init__(self, device: torch.device, engines: "Sequence[Engine]") -> None:
        self.device = device
        self.networks = []
        for engine in engines:
            spec = model_spec(engine.manifest.model)
            network = build(spec)
            set_weights(network, answering_weights(engine.path, spec))
            placed = network.eval().to(device).to(memory_format=torch.channels_last)
            self.networks.append((placed, engine.manifest.temperature.value))

    @torch.inference_mode()
    def predict(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the mean probabilities float32[N, 7] of grey faces uint8[N, 48, 48]."""
        answers = []
        for start in range(0, len(pixels), TEACHER_BATCH):
            with RECORDING:
                answers.append(self._answers(pixels[start : start + TEACHER_BATCH]))
        return np.concatenate(answers)

    def _answers(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        batch = torch.from_numpy(pixels).to(self.device)
        inputs = normalise(batch).contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device.type, torch.bfloat16):
            logits = [network(inputs).float() / temperature for network, temperature in self.networks]
        return np.asarray(torch.stack(logits).softmax(2).mean(0).cpu().numpy(), np.float32)


def versions() -> dict[str, str]:
    """Return the versions that a run record names."""
    return {"torch": torch.__version__}


def device_name(settings: Settings) -> str:
    """Return what the run's device is called."""
    device = choose_device(settings)
    return torch.cuda.get_device_name() if device.type == "cuda" else processor_name()


learner = TorchLearner
