"""The last steps of every artifact: sealed, looked at as what it is, a file, and loaded again from it."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from data.files import as_json
from export.contract import network_bytes, seal
from export.conversion import ExportError, stage
from inference.engine import Engine
from inference.manifest import Manifest, Parity

# A probability is rounded to float32 after a softmax that onnxruntime computes in it.
PROBABILITY_TOLERANCE = 1e-6
PROBABILITY_PROBES = 256


def drafted(graph: onnx.ModelProto, manifest: Manifest, path: Path, threads: int | None = None) -> Engine:
    """Write a wrapped graph to `path`, for a gate to look at, and return it as an engine loads it, with `threads`."""
    path.write_bytes(seal(graph, manifest))
    return _load(path, threads)


def finished(
    graph: onnx.ModelProto, manifest: Manifest, judged: Engine, path: Path, pixels: NDArray[np.uint8]
) -> Engine:
    """Write the finished artifact to `path`, and return it as an engine loads it.

    Args:
        graph: wrapped.
        manifest: with the record of every gate that it passed.
        judged: what the gates have looked at.
        path: where it is written.
        pixels: the probes, uint8[N, 48, 48], of which the last `PROBABILITY_PROBES` answer once more.

    Raises:
        ExportError: it is not in order, its network is another than was judged, or its probabilities are others than
            its logits and temperature say.
    """
    content = seal(graph, manifest)
    with stage("seal"):
        # onnxruntime loads files that others cannot.
        onnx.checker.check_model(content, full_check=True)
    if network_bytes(content) != network_bytes(judged.path.read_bytes()):
        raise ExportError("seal", "the sealed file's network is not the one that was judged")
    path.write_bytes(content)
    engine = _load(path, judged.threads)
    # Each face's are of its own logits alone: a batch shows as much as all, and its last are the extremes.
    _check_probabilities(engine, pixels[-PROBABILITY_PROBES:])
    return engine


def parity_record(stage: str, verdict: Parity) -> bytes:
    """Return what `.parity.json` holds: the stage that an export has come to, and the gate's verdict."""
    return as_json({"stage": stage, **asdict(verdict)}).encode()


def _load(path: Path, threads: int | None) -> Engine:
    with stage("load"):
        return Engine.load(path, provider="cpu", threads=threads)


def _check_probabilities(engine: Engine, pixels: NDArray[np.uint8]) -> None:
    """Raise `ExportError` unless the finished file's probabilities are softmax(logits / temperature)."""
    from scipy.special import softmax

    logits, probabilities = engine.run(pixels)
    # Divided in float32, as the graph does: for large logits its rounding is more than the softmax's.
    tempered = logits / np.float32(engine.manifest.temperature.value)
    expected = softmax(tempered.astype(np.float64), axis=1)
    if (difference := float(np.abs(probabilities - expected).max())) > PROBABILITY_TOLERANCE:
        raise ExportError("temperature", f"probabilities differ by {difference:.3g} from softmax(logits / temperature)")
