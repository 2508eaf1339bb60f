"""From a proven float32 network to the graph of a lower precision that its gate lets pass."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

import numpy as np
import onnx

from data.faceset import FaceSet
from data.splits import Split
from export.contract import wrap
from export.fidelity import compare, divergence, judged_faces, judged_part, verdict
from export.quantize import Quantizer, calibration_faces, half
from inference.engine import Engine
from inference.manifest import Parity


@dataclass(frozen=True)
class Judge:
    """Holds what a lower precision is compared with: the proven artifact, and the faces; `load` makes an engine of a
    wrapped graph."""

    proven: Engine
    faces: FaceSet
    division: Split
    load: Callable[[onnx.ModelProto], Engine]

    def lowered(self, graph: onnx.ModelProto) -> "Lowered":
        """Compare a wrapped graph with float32, on the part that decides and on the test part."""
        engine, part = self.load(graph), judged_part(self.division)
        judged = compare(self.proven, engine, self.faces, part, judged_faces(self.division))
        reported = compare(self.proven, engine, self.faces, "test", self.division.test)
        return Lowered(graph, engine, verdict(judged, reported))

    def divergence(self, graph: onnx.ModelProto) -> float:
        """Return the mean divergence from float32 on the part that decides, in nats."""
        pixels = np.ascontiguousarray(self.faces.records[judged_faces(self.division)]["pixels"])
        return divergence(self.proven.run(pixels)[0], self.load(graph).run(pixels)[0])


@dataclass(frozen=True)
class Lowered:
    """A wrapped graph of a lower precision, an engine that runs it, what the gate found, and which layers stayed."""

    graph: onnx.ModelProto
    engine: Engine
    verdict: Parity
    float_layers: tuple[str, ...] = ()


def lower(network: onnx.ModelProto, precision: str, judge: Judge) -> Lowered:
    """Return a canonical float32 network in `precision`, `fp16` or `int8`, and in the contract's wrapping, which stays
    float32; the verdict says whether it may be published.

    int8 is calibrated on training faces. Where the gate refuses it, the layers that cost most are left in float32, one
    more each time, until it passes or a single layer is left that computes in int8.

    Raises:
        InputError: a weight is beyond what float16 holds.
    """
    if precision == "fp16":
        return judge.lowered(wrap(half(network)))
    quantizer = Quantizer.calibrated(wrap(network), calibration_faces(judge.faces, judge.division))
    lowered = _spared(quantizer, judge, {})
    if lowered.verdict.passed:
        return lowered
    costs = _by_cost(quantizer, judge)
    for count in range(1, len(costs)):
        lowered = _spared(quantizer, judge, dict(list(costs.items())[:count]))
        if lowered.verdict.passed:
            break
    return lowered


def _spared(quantizer: Quantizer, judge: Judge, spared: dict[str, float]) -> Lowered:
    lowered = judge.lowered(quantizer.quantized(spared))
    judged = replace(lowered.verdict, spared=spared)
    return replace(lowered, verdict=judged, float_layers=quantizer.float_layers(spared))


def _by_cost(quantizer: Quantizer, judge: Judge) -> dict[str, float]:
    """Return each layer's divergence where it alone computes in int8, the largest first."""

    def alone(layer: str) -> Collection[str]:
        return [name for name in quantizer.layers if name != layer]

    costs = {layer: judge.divergence(quantizer.quantized(alone(layer))) for layer in quantizer.layers}
    return dict(sorted(costs.items(), key=lambda cost: -cost[1]))
