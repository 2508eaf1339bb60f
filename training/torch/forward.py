"""A checkpoint in PyTorch, as a contender of a benchmark: eager, compiled, and in bf16."""

import numpy as np
import torch
from numpy.typing import NDArray

from inference.benchmark.contender import Opened
from inference.machine import require_bf16
from training.specs import ModelSpec
from training.torch.model import build, normalise, set_weights
from training.weights import Weights


def opened(way: str, spec: ModelSpec, weights: Weights, threads: int) -> Opened:
    """Return a network that answers as PyTorch does in evaluation mode; `way` is eager, compiled or bf16."""
    torch.set_num_threads(threads)
    model = build(spec).eval()
    set_weights(model, weights)
    model = model.to(memory_format=torch.channels_last)
    lower = way == "bf16"
    if lower:
        require_bf16()
    run = torch.compile(model, dynamic=False) if way == "compiled" else model

    @torch.inference_mode()
    def answer(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        inputs = normalise(torch.from_numpy(pixels)).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16, enabled=lower):
            logits: NDArray[np.float32] = run(inputs).float().numpy()
        return logits

    return Opened(torch.__version__, torch.get_num_threads(), answer)
