"""What a person may choose for a training, and the checked settings and command line that come of it."""

import importlib.util
import math
from dataclasses import dataclass, replace
from typing import Any

from data.commands import how_to_install
from data.errors import InputError
from data.splits import SplitPlan
from training.recipe import FRAMEWORKS, Settings, recipe

PROTOCOLS = ("official", "random")


@dataclass(frozen=True)
class Wish:
    """What the Train tab's fields hold, as they are; `data` is a path, or empty for drawn faces."""

    model: str
    framework: str
    data: str
    protocol: str
    test_share: Any
    epochs: Any
    batch_size: Any
    learning_rate: Any
    optimizer: str
    balance: str
    keep_all: bool

    def settings(self) -> Settings:
        """Return the checked settings; an `InputError` says which value is wrong."""
        if not self.framework:
            raise InputError(f"no framework was chosen: expected an installed one; {how_to_install('torch')}")
        base = recipe("published", self.framework, self.model)
        share = number("--test-share", self.test_share) if self.protocol == "random" else SplitPlan().test_share
        return replace(
            base,
            split=SplitPlan(self.protocol, share),
            epochs=whole("--epochs", self.epochs),
            batch_size=whole("--batch-size", self.batch_size),
            learning_rate=number("--learning-rate", self.learning_rate),
            optimizer=self.optimizer,
            balance=self.balance,
            keep="all" if self.keep_all else "last",
        )

    def arguments(self) -> list[str]:
        """Return the settings as options of `python -m training`."""
        settings = self.settings()
        options = {
            "--framework": settings.framework,
            "--model": settings.model,
            "--protocol": settings.split.protocol,
            "--epochs": settings.epochs,
            "--batch-size": settings.batch_size,
            "--learning-rate": repr(settings.learning_rate),
            "--optimizer": settings.optimizer,
            "--balance": settings.balance,
            "--keep": settings.keep,
        }
        if settings.split.protocol == "random":
            options["--test-share"] = repr(settings.split.test_share)
        if self.data:
            options["--data"] = self.data
        return [text for option, value in options.items() for text in (option, str(value))]


def installed_frameworks() -> list[str]:
    """Return the frameworks that are installed and that this version trains in; none of them is imported."""
    return [
        name
        for name in FRAMEWORKS
        if importlib.util.find_spec(name) is not None
        and importlib.util.find_spec(f"training.{name}") is not None
        and importlib.util.find_spec(f"training.{name}.train") is not None
    ]


def number(option: str, value: Any) -> float:
    """Return a field's number; an `InputError` where it holds none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InputError(f"{option} is {value!r:.40}, expected a number; fill it in")
    return float(value)


def whole(option: str, value: Any) -> int:
    """Return a field's whole number; an `InputError` where it holds none."""
    parsed = number(option, value)
    if parsed != int(parsed):
        raise InputError(f"{option} is {parsed:g}, expected a whole number; round it")
    return int(parsed)
