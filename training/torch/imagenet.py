"""Reads torchvision's ImageNet weights into plain arrays: `python -m training.torch.imagenet FILE.pth OUT.npz`.

A `.pth` is a pickle, which only PyTorch reads safely (`weights_only=True`); so this runs in a process of its own,
whatever framework is to be trained.
"""

import sys
from pathlib import Path

import torch

from data.commands import run_command
from data.errors import InputError
from training.specs import model_spec
from training.weights import Weights, save_arrays, shapes


def main() -> int:
    """Read, rename and write the weights."""
    source, out = Path(sys.argv[1]), Path(sys.argv[2])
    save_arrays(out, renamed(read_state(source), source.name))
    return 0


def read_state(path: Path) -> dict[str, torch.Tensor]:
    """Read a state dict without running anything that its pickle holds."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises whatever the bytes lead to
        raise InputError(
            f"{path.name} is no state dict of plain tensors ({type(error).__name__}); expected torchvision's resnet18"
        ) from error
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise InputError(f"{path.name} holds no state dict; expected torchvision's resnet18")
    return state


def renamed(state: dict[str, torch.Tensor], where: str) -> Weights:
    """Return torchvision's tensors under this system's names, the classifier left out.

    The first convolution is summed over red, green and blue, which on a grey face gives what the three channels gave.
    """
    spec = model_spec("resnet_18")
    wanted = {name: shape for name, shape in shapes(spec).items() if not name.startswith("dense")}
    arrays = [
        tensor.float().numpy()
        for name, tensor in state.items()
        if not name.startswith("fc.") and not name.endswith("num_batches_tracked")
    ]
    if len(arrays) != len(wanted):
        raise InputError(f"{where} holds {len(arrays)} arrays, expected the {len(wanted)} of torchvision's resnet18")
    arrays[0] = arrays[0].sum(axis=1, keepdims=True)
    weights = dict(zip(wanted, arrays, strict=True))
    for name, array in weights.items():
        if array.shape != wanted[name]:
            raise InputError(f"{where}: {name} is {list(array.shape)}, expected {list(wanted[name])}")
    return weights


if __name__ == "__main__":
    run_command(main)
