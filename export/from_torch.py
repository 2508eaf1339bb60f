"""PyTorch's side of an export; see `export.framework_side`."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from data.faceset import SIDE
from export.contract import OPSET
from export.framework_side import answer, in_batches
from training.torch.model import build, normalise, set_weights


@torch.inference_mode()
def reference(model: nn.Module, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the framework's own logits float32[N, 7] in evaluation mode."""
    # Twice as fast on a processor as with its own layout of memory.
    model.eval().to(memory_format=torch.channels_last)
    return in_batches(lambda batch: model(normalise(torch.from_numpy(batch))), pixels)


def convert(model: nn.Module, path: Path) -> None:
    """Write a model as ONNX in evaluation mode, float32[batch, 1, 48, 48] to logits float32[batch, 7]."""
    torch.onnx.export(
        model.eval().to(memory_format=torch.contiguous_format),
        (torch.zeros(2, 1, SIDE, SIDE),),
        path,
        dynamo=True,
        input_names=["network_input"],
        output_names=["network_output"],
        dynamic_shapes=({0: "batch"},),
        opset_version=OPSET,
        external_data=False,
        # Its optimiser would fold BatchNorm in float32; `export.canonical` does that for all frameworks alike.
        optimize=False,
        verbose=False,
    )


if __name__ == "__main__":
    answer(build, set_weights, reference, convert)
