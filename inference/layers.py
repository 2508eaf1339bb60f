"""What an artifact calls its layers with weights: `conv_1`, `conv_2`, ... and `dense_1`, ..., in the network's order.

`export.canonical` names them so. A quantiser reorders nodes and keeps names, so it is by these that fine-tuning finds
the layers of a spec again, and that a manifest says which of them int8 leaves in float32.
"""

import re
from collections.abc import Iterable

# By ONNX operator. Convolutions come before dense layers in every spec.
WITH_WEIGHTS = {"Conv": "conv", "Gemm": "dense"}
_NAME = re.compile(r"(conv|dense)_(\d+)$")


def layer_name(operator: str, number: int) -> str:
    """Return the name of the `number`th layer, from 1, of an ONNX operator."""
    return f"{WITH_WEIGHTS.get(operator, operator.lower())}_{number}"


def layers_with_weights(names: Iterable[str]) -> list[str]:
    """Return those of a graph's node names that are layers with weights, in the network's order."""
    matches = [match for name in names if (match := _NAME.match(name))]
    return [match.string for match in sorted(matches, key=lambda match: (match[1], int(match[2])))]
