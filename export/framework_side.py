"""What every framework's side of an export does: `python -m export.from_torch`, one process for many runs.

It is asked for one run after another. In the folder of each it finds `pixels.npy`; it answers with the reloaded
checkpoint's own logits (`reference.npy`), then converts the network (`network.onnx`). Nothing but these files and the
words between passes between the frameworks' processes and the rest.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from data.conversation import converse
from data.documents import STRICT, Count
from data.memory import keep_freed_memory
from training.run import read_record
from training.specs import ModelSpec, model_spec
from training.weights import Weights, load_weights

BATCH = 64
Model = TypeVar("Model")


@dataclass(frozen=True)
class Asked:
    """A run folder, the weights of its best checkpoint, and the folder that has the probes and gets the rest."""

    __pydantic_config__: ClassVar[Any] = STRICT

    run: str
    weights: str
    work: str


@dataclass(frozen=True)
class Answered:
    """How many probes were answered."""

    __pydantic_config__: ClassVar[Any] = STRICT

    probes: Count


def answer(
    build: Callable[[ModelSpec], Model],
    set_weights: Callable[[Model, Weights], None],
    reference: Callable[[Model, NDArray[np.uint8]], NDArray[np.float32]],
    convert: Callable[[Model, Path], None],
) -> None:
    """For each run that is asked for, rebuild the model, answer the parity probes, then convert; see `Asked`."""

    def answered(asked: Asked) -> Answered:
        work = Path(asked.work)
        spec = model_spec(read_record(Path(asked.run)).settings.model)
        model = build(spec)
        set_weights(model, load_weights(Path(asked.weights), spec))
        logits = reference(model, np.load(work / "pixels.npy"))
        np.save(work / "reference.npy", logits)
        convert(model, work / "network.onnx")
        return Answered(len(logits))

    def begin() -> tuple[None, Callable[[Asked], Answered]]:
        # Here, since every command begins with a setting of its own.
        keep_freed_memory()
        return None, answered

    converse(begin, Asked)


def in_batches(logits: Callable[[NDArray[np.uint8]], Any], pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return float32[N, 7] for uint8[N, 48, 48], asked for 64 at a time; `logits` gives anything with `numpy()`."""
    return np.concatenate([logits(pixels[start : start + BATCH]).numpy() for start in range(0, len(pixels), BATCH)])
