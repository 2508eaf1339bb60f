"""Where the time of an artifact goes: onnxruntime's own profile of it, on the processor.

Multiply-adds are counted in the same way: from the shapes that onnxruntime saw in the graph as it is in the file,
before it fuses and reorders.
"""

import json
from dataclasses import dataclass
from math import prod
from pathlib import Path
from statistics import median
from typing import Any

from numpy import uint8
from numpy.typing import NDArray

from data.scratch import scratch_folder
from inference.benchmark.document import NodeTime, Profile

MULTIPLIERS = ("Conv", "Gemm", "MatMul")
WARM_UP, RUNS = 3, 15
KERNEL = "_kernel_time"


@dataclass(frozen=True)
class _Node:
    """A node in one run: its microseconds, and the shapes that went in and came out."""

    name: str
    operator: str
    microseconds: float
    inputs: tuple[tuple[int, ...], ...]
    output: tuple[int, ...]

    @property
    def multiplies(self) -> bool:
        """Whether it is a convolution or a matrix product, fused or quantised as may be."""
        return any(kind in self.operator for kind in MULTIPLIERS)

    @property
    def multiply_adds(self) -> int:
        """Those of a convolution or a matrix product: for each value that comes out, one for each that goes in."""
        return prod(self.output) * (prod(self.inputs[1][1:]) if self.operator == "Conv" else self.inputs[0][-1])


@dataclass(frozen=True)
class _Run:
    """A run: its nodes in their order, and the microseconds that it took."""

    nodes: tuple[_Node, ...]
    microseconds: float

    @property
    def outside(self) -> float:
        """The share of its time that no node took."""
        return max(0.0, 1 - sum(node.microseconds for node in self.nodes) / self.microseconds)


def profiled(model: bytes, faces: NDArray[uint8], threads: int) -> tuple[int, Profile]:
    """Return an artifact's multiply-adds for one face, and its profile with batches of `faces`, uint8[N, 48, 48].

    Figures of a profile are medians of runs; profiling itself takes some of the time of a run.
    """
    with scratch_folder("ferox-profile-") as folder:
        (plain,) = _runs(model, faces, threads, folder / "plain", optimised=False, count=1)
        runs = _runs(model, faces, threads, folder / "optimised", optimised=True, count=WARM_UP + RUNS)[WARM_UP:]
    layers = [(node.name, node.multiply_adds // len(faces)) for node in plain.nodes if node.multiplies]
    places = [place for place, node in enumerate(runs[-1].nodes) if node.multiplies]
    # Whatever it was fused into, the first to multiply is the first still.
    known = dict(zip(places, layers, strict=True)) if len(places) == len(layers) else {}
    nodes = [_shared(runs, place, *known.get(place, ("", None))) for place in range(len(runs[-1].nodes))]
    return sum(work for _, work in layers), Profile(
        batch=len(faces),
        milliseconds=median(run.microseconds for run in runs) / 1000,
        outside=median(run.outside for run in runs),
        nodes=tuple(sorted(nodes, key=lambda node: -node.share)),
    )


def _shared(runs: list[_Run], place: int, layer: str, work: int | None) -> NodeTime:
    node = runs[-1].nodes[place]
    share = median(min(1.0, run.nodes[place].microseconds / run.microseconds) for run in runs)
    return NodeTime(name=layer or node.name, operator=node.operator, share=share, multiply_adds=work)


def _runs(
    model: bytes, faces: NDArray[uint8], threads: int, prefix: Path, *, optimised: bool, count: int
) -> list[_Run]:
    import onnxruntime

    from inference.engine import CPU

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    options.enable_profiling = True
    options.profile_file_prefix = str(prefix)
    if not optimised:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        # A weight that was packed before has no shape any more.
        options.add_session_config_entry("session.disable_prepacking", "1")
    session = onnxruntime.InferenceSession(model, options, providers=[CPU])
    for _ in range(count):
        session.run(["logits", "probabilities"], {"pixels": faces})
    return _read(json.loads(Path(session.end_profiling()).read_text()))


def _read(events: list[dict[str, Any]]) -> list[_Run]:
    """Return the runs of a profile, in which a run's own event follows those of its nodes."""
    runs: list[_Run] = []
    nodes: list[_Node] = []
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith(KERNEL):
            nodes.append(_node(event))
        elif event.get("name") == "model_run":
            runs.append(_Run(tuple(nodes), event["dur"]))
            nodes = []
    return runs


def _node(event: dict[str, Any]) -> _Node:
    details = event["args"]
    inputs = tuple(_shape(entry) for entry in details["input_type_shape"])
    output = _shape(details["output_type_shape"][0])
    return _Node(event["name"].removesuffix(KERNEL), details["op_name"], event["dur"], inputs, output)


def _shape(entry: dict[str, list[int]]) -> tuple[int, ...]:
    """Return a shape, which stands alone under the name of its type."""
    (shape,) = entry.values()
    return tuple(shape)
