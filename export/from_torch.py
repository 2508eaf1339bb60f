"""PyTorch's side of an export, in a process of its own: `python -m export.from_torch RUN WEIGHTS WORK`.

Reads `pixels.npy` from WORK, answers with the reloaded checkpoint's own logits (`reference.npy`), then converts the
network (`network.onnx`). Nothing but these files passes between the frameworks' processes and the rest.
"""

import sys
from pathlib import Path

import numpy as np
import torch

from data.errors import run_command
from training.run import read_record
from training.specs import model_spec
from training.torch.model import build, normalise, set_weights
from training.weights import load_weights

OPSET = 18
REFERENCE_BATCH = 64


def main() -> int:
    """Answer the parity probes, then convert."""
    run, weights, work = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
    spec = model_spec(read_record(run).parsed_settings().model)
    model = build(spec)
    set_weights(model, load_weights(weights, spec))
    model.eval()
    pixels = np.load(work / "pixels.npy")
    with torch.inference_mode():
        answers = [
            model(normalise(torch.from_numpy(pixels[start : start + REFERENCE_BATCH]))).numpy()
            for start in range(0, len(pixels), REFERENCE_BATCH)
        ]
    np.save(work / "reference.npy", np.concatenate(answers))
    torch.onnx.export(
        model,
        (torch.zeros(2, 1, 48, 48),),
        work / "network.onnx",
        dynamo=True,
        input_names=["network_input"],
        output_names=["network_output"],
        dynamic_shapes=({0: "batch"},),
        opset_version=OPSET,
        external_data=False,
        verbose=False,
    )
    return 0


if __name__ == "__main__":
    run_command(main)
