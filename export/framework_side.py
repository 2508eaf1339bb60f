"""What every framework's side of an export does: `python -m export.from_torch RUN WEIGHTS WORK`.

It reads `pixels.npy` from WORK, answers with the reloaded checkpoint's own logits (`reference.npy`), then converts the
network (`network.onnx`). Nothing but these files passes between the frameworks' processes and the rest.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from training.run import read_record
from training.specs import ModelSpec, model_spec
from training.weights import Weights, load_weights

BATCH = 64
Model = TypeVar("Model")


def answer(
    build: Callable[[ModelSpec], Model],
    set_weights: Callable[[Model, Weights], None],
    reference: Callable[[Model, NDArray[np.uint8]], NDArray[np.float32]],
    convert: Callable[[Model, Path], None],
) -> int:
    """Rebuild the model of the command line's run, answer the parity probes, then convert."""
    run, weights, work = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
    spec = model_spec(read_record(run).settings.model)
    model = build(spec)
    set_weights(model, load_weights(weights, spec))
    np.save(work / "reference.npy", reference(model, np.load(work / "pixels.npy")))
    convert(model, work / "network.onnx")
    return 0


def in_batches(logits: Callable[[NDArray[np.uint8]], Any], pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return float32[N, 7] for uint8[N, 48, 48], asked for 64 at a time; `logits` gives anything with `numpy()`."""
    return np.concatenate([logits(pixels[start : start + BATCH]).numpy() for start in range(0, len(pixels), BATCH)])
