"""Class activation maps (Zhou et al. 2016, https://arxiv.org/abs/1512.04150): how a logit comes about, place by place.

Where a network ends in a global average pool and one dense layer, a logit is the mean over all places of what the
layer's weights make of the features there, plus the bias: nothing is approximated. The features are a value in the
middle of the graph. Where the file does not give them by itself (`ferox export --features`), it is loaded once more
with that value as one more output, which leaves the file, and what is computed, as they are. The weights are read off
its bytes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.errors import InputError
from inference.engine import BATCH, REMEDY, Engine, filled, open_session, read_artifact, verify_digest
from inference.graph import Node, nodes, weights, with_output
from inference.manifest import FEATURES

# Of the largest logit or 1: how far a map's mean may be from its logit, both summed in float32 in another order.
TOLERANCE = 1e-3
# What may stand between the pool, the dense layer and the logits, and between float16 weights and the layer: it changes
# no value.
PASSING = frozenset({"Cast", "Flatten", "Identity"})


@dataclass(frozen=True)
class Ending:
    """How a network ends: the value that it averages over all places, and the dense layer's weights by their names."""

    features: str
    weight: str
    bias: str


@dataclass(frozen=True)
class ActivationMaps:
    """A model that gives its last features; make one with `activation_maps`.

    `weight` is float64[7, C] and `bias` float64[7] for C channels of features.
    """

    engine: Engine
    session: Any
    features: str
    weight: NDArray[np.float64]
    bias: NDArray[np.float64]

    def contributions(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return what each place gives to each logit, float32[N, 7, R, C]: face, answer, row, column.

        A logit is the mean of its map plus `bias`.

        Args:
            crops: grey faces as they are, uint8[N, 48, 48].
        """
        batch = self.engine.manifest.batch or BATCH
        parts = [self._features(crops[start : start + batch]) for start in range(0, len(crops), batch)]
        features = np.concatenate(parts).astype(np.float64)
        return np.asarray(np.einsum("ac,ncyx->nayx", self.weight, features), np.float32)

    def _features(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        pixels = filled(np.ascontiguousarray(crops), self.engine.manifest.batch)
        features, logits = self.session.run([self.features, "logits"], {"pixels": pixels})
        if features.ndim != 4 or features.shape[:2] != (len(pixels), self.weight.shape[1]):
            raise InputError(f"{self.engine.path.name} gives features that its dense layer cannot take; {REMEDY}")
        explained = features.mean(axis=(2, 3), dtype=np.float64) @ self.weight.T + self.bias
        # Written so that NaN, which compares as False, is refused.
        if not np.abs(explained - logits).max() <= TOLERANCE * max(1.0, float(np.abs(logits).max())):
            raise InputError(f"{self.engine.path.name} answers otherwise than its features and weights say; {REMEDY}")
        kept: NDArray[np.float32] = features[: len(crops)]
        return kept


def activation_maps(engine: Engine) -> ActivationMaps:
    """Load a model's file once more, so that it gives its last features.

    Raises:
        InputError: the network does not end in a global average pool and one dense layer, or its file has changed.
    """
    name = engine.path.name
    content = read_artifact(engine.path)
    if verify_digest(content, name) != engine.manifest.digest:
        raise InputError(f"{name} has changed since it was loaded; load it again")
    ending = network_ending(nodes(content, name))
    if ending is None:
        raise InputError(
            f"{name} has no class activation maps: expected a network that ends in a global average pool and one dense "
            "layer, such as vgg_32; use the method occlusion"
        )
    held = weights(content, (ending.weight, ending.bias), name)
    weight, bias = (held[part].astype(np.float64) for part in (ending.weight, ending.bias))
    if weight.shape[0] != len(engine.manifest.labels) or weight.ndim != 2 or bias.shape != weight.shape[:1]:
        raise InputError(f"{name} ends in a dense layer of other answers than its own; {REMEDY}")
    if engine.manifest.features:
        return ActivationMaps(engine, engine.session, FEATURES, weight, bias)
    session = open_session(with_output(content, ending.features), name, engine.providers[0], engine.threads)
    return ActivationMaps(engine, session, ending.features, weight, bias)


def network_ending(graph: tuple[Node, ...]) -> Ending | None:
    """Return how a graph with the output `logits` ends; None where class activation maps cannot be had of it."""
    makers = {output: node for node in graph for output in node.outputs}
    dense = _maker("logits", makers)
    if dense is None or dense.operator != "Gemm" or len(dense.inputs) != 3:
        return None
    pool = _maker(dense.inputs[0], makers)
    if pool is None or pool.operator != "GlobalAveragePool" or len(pool.inputs) != 1:
        return None
    return Ending(pool.inputs[0], _source(dense.inputs[1], makers), _source(dense.inputs[2], makers))


def _maker(value: str, makers: Mapping[str, Node]) -> Node | None:
    """Return what makes a value, past what changes none; None where that is no node."""
    return makers.get(_source(value, makers))


def _source(value: str, makers: Mapping[str, Node]) -> str:
    # A graph's nodes stand in an order in which they can be computed, so that this ends.
    while (node := makers.get(value)) is not None and node.operator in PASSING and node.inputs:
        value = node.inputs[0]
    return value
