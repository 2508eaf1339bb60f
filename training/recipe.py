"""Every setting of a training, frozen, with its allowed range; and the two recipes that people start from."""

from dataclasses import dataclass, fields, replace
from typing import Any

from data.errors import InputError
from data.splits import SplitPlan
from inference.manifest import FRAMEWORKS as FRAMEWORKS
from training.specs import model_spec

RECIPES = ("published", "best")
CHOICES: dict[str, tuple[str, ...]] = {
    "framework": FRAMEWORKS,
    "recipe": RECIPES,
    "optimizer": ("adam", "adamw", "sgd", "adagrad", "adamax"),
    "schedule": ("constant", "cosine", "step"),
    "augmentation": ("none", "light", "full", "crops", "corruptions"),
    "balance": ("none", "class-weights", "over-sampling", "under-sampling"),
    "precision": ("fp32", "bf16"),
    "device": ("auto", "cpu", "cuda"),
    "keep": ("last", "all"),
    "teaching": ("faces", "views"),
}
# Learning rate and weight decay of `best` by optimiser. Decay is decoupled in AdamW alone; elsewhere it is L2, of which
# AdamW's 0.05 would leave nothing to learn. Those of Adagrad, Adam and Adamax are PyTorch's own, and were not tried.
BEST_RATES = {
    "adagrad": (0.01, 0.0),
    "adam": (0.001, 0.0),
    "adamax": (0.002, 0.0),
    "adamw": (0.002, 0.05),
    "sgd": (0.02, 5e-4),
}
# Between the names of several models, where a training begins with the mean of their weights.
WITH = " + "
RANGES: dict[str, tuple[float, float]] = {
    "epochs": (1, 10_000),
    "batch_size": (2, 8192),
    "learning_rate": (1e-7, 10),
    "weight_decay": (0, 1),
    "momentum": (0, 0.999),
    "label_smoothing": (0, 0.5),
    "mixup": (0, 10),
    "ema_decay": (0, 0.999999),
    "distillation": (0, 1),
    "patience": (1, 10_000),
    "seed": (0, 2**32 - 1),
    "threads": (1, 1024),
}


@dataclass(frozen=True)
class Settings:
    """All that decides how a model is trained, but for the faces.

    `weight_decay` is added to the gradient (L2) by every optimiser but AdamW, which decouples it. `momentum` is
    SGD's, in Nesterov's form where `nesterov` says so. `mixup` is the Beta distribution's parameter of the shares that
    two faces are mixed in (Zhang et al. 2017), and `ema_decay` the decay a step of the average of the weights that is
    evaluated and kept; with 0 there is none. `patience` ends a run after that many epochs without a better one, None
    never. `distillation` is the share of a label that comes from `teachers`, each a name and the start of a digest.
    With `teaching` `faces` they are asked once about each face, with `views` about all that the pupil is shown.
    `weights` are what training begins with: `none` new ones, `imagenet`, or an artifact's, named like a teacher; the
    mean of several, whose names stand with `WITH` between them.
    `threads` None means all that this process may use.
    """

    framework: str
    model: str
    recipe: str = "published"
    split: SplitPlan = SplitPlan()
    epochs: int = 100
    batch_size: int = 64
    learning_rate: float = 0.001
    optimizer: str = "adam"
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 0.0
    schedule: str = "constant"
    augmentation: str = "none"
    balance: str = "none"
    label_smoothing: float = 0.0
    mixup: float = 0.0
    ema_decay: float = 0.0
    patience: int | None = None
    distillation: float = 0.0
    teaching: str = "faces"
    teachers: tuple[str, ...] = ()
    weights: str = "none"
    seed: int = 0
    precision: str = "fp32"
    device: str = "auto"
    threads: int | None = None
    keep: str = "last"

    def __post_init__(self) -> None:
        model_spec(self.model)
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise InputError(f"{_option(name)} is {getattr(self, name)!r}, expected one of {', '.join(choices)}")
        for name, (low, high) in RANGES.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise InputError(f"{_option(name)} is {value}, expected {low:g} to {high:g}")
        if self.weights == "imagenet" and self.model != "resnet_18":
            raise InputError(f"--weights imagenet is for resnet_18; {self.model} has none")

    @property
    def thread_count(self) -> int:
        """How many processor threads compute."""
        from inference.machine import available_cpus

        return self.threads or available_cpus()

    def record(self) -> dict[str, Any]:
        """Return the settings as JSON-able values, the split's beside the others."""
        values = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "split"}
        return values | {"split": {field.name: getattr(self.split, field.name) for field in fields(SplitPlan)}}


def recipe(name: str, framework: str, model: str, optimizer: str | None = None) -> Settings:
    """Return a recipe's settings for a model, with the recipe's own optimiser where none is given.

    `published`: Adam, learning rate 0.001, batch 64, no augmentation; CNN_4 with learning rate 0.004, L2 1e-4, light
    augmentation and a cosine over 32 epochs, MLP_2 and MLP_3 with 0.0003, ResNet-18 with Adamax, batch 32 and light
    augmentation. Of CNN_4 the rate, that there is L2, and epoch 32 as its best are published; the rest is ours.

    `best`: full augmentation, label smoothing and a cosine, with AdamW for CNN_4, Adam for the MLPs and Nesterov SGD
    for the others; for the VGGs and `resnet_18_48` mixup and an average of the weights, too. docs/experiments.md says
    which were tried.
    With another optimiser it has that one's learning rate and weight decay, `BEST_RATES`, for those of one do harm with
    the next.
    """
    base = Settings(framework, model, recipe=name)
    if name == "published":
        settings = _published(base)
        return replace(settings, optimizer=optimizer or settings.optimizer)
    # CNN_4's dense layers begin with weights so large (fan_out) that SGD hardly turns them.
    published_optimizer = "adam" if model.startswith("mlp") else "adamw" if model == "cnn_4" else "sgd"
    used = optimizer or published_optimizer
    rate, decay = BEST_RATES[used]
    settings = replace(
        base,
        epochs=150,
        batch_size=128,
        schedule="cosine",
        augmentation="full",
        label_smoothing=0.1,
        optimizer=used,
        nesterov=used == "sgd",
        learning_rate=rate,
        weight_decay=decay,
    )
    if model.startswith("vgg"):
        return _normalised(replace(settings, epochs=120, mixup=0.2))
    if model == "resnet_18_48":
        # Ten times the weights of VGG-32 learn by heart sooner.
        decay = 0.001 if used == "sgd" else decay
        return _normalised(replace(settings, epochs=100, mixup=0.4, weight_decay=decay))
    return settings


def _normalised(settings: Settings) -> Settings:
    # BatchNorm behind every convolution bears five times the rate of the others.
    rate = 0.1 if settings.optimizer == "sgd" else settings.learning_rate
    return replace(settings, learning_rate=rate, ema_decay=0.999)


def _published(base: Settings) -> Settings:
    match base.model:
        case "cnn_4":
            # At a constant rate and without augmentation it stalls: 58.5 % of the test faces after 11 epochs.
            regularised = replace(base, learning_rate=0.004, weight_decay=1e-4, augmentation="light")
            return replace(regularised, schedule="cosine", epochs=32)
        case "mlp_2" | "mlp_3":
            # At 0.001 their dropouts keep them from learning: MLP_3 no more than 39 % of the training faces.
            return replace(base, learning_rate=0.0003)
        case "resnet_18":
            return replace(base, optimizer="adamax", batch_size=32, augmentation="light")
        case _:
            return base


def learning_rate(settings: Settings, progress: float) -> float:
    """Return the learning rate when a share `progress` (0 to 1) of all steps is done.

    `cosine` falls from the full rate to zero after a linear warm-up over the first 2 %; `step` divides the rate by
    ten at one half and again at three quarters.
    """
    from math import cos, pi

    match settings.schedule:
        case "cosine":
            warm = 0.02
            if progress < warm:
                return settings.learning_rate * max(progress / warm, 0.01)
            return settings.learning_rate * 0.5 * (1 + cos(pi * (progress - warm) / (1 - warm)))
        case "step":
            return settings.learning_rate * (0.01 if progress >= 0.75 else 0.1 if progress >= 0.5 else 1.0)
        case _:
            return settings.learning_rate


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")
