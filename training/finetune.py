"""Fine-tuning: a training begins with what an exported model has learned, whichever framework trained that one.

An artifact's graph has its layers in the order of the spec, but BatchNorm is folded into the layer before it. It is
laid out again from what the layer answers on training faces: normalising by that mean and variance and then scaling and
shifting by the same changes nothing at first, and can be trained.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.commands import how_to_install
from data.errors import InputError, as_text
from data.faceset import SIDE, FaceSet
from data.splits import Split
from inference.layers import layers_with_weights
from inference.manifest import Manifest
from training.ancestry import Ancestor, ancestor
from training.specs import BatchNorm, Conv, Dense, ModelSpec, Residual
from training.weights import NamedLayer, Weights, check_weights, initial_weights, named_layers

FACES = 2048
BATCH = 64


def learned_weights(path: Path, spec: ModelSpec, faces: FaceSet, division: Split) -> tuple[Ancestor, Weights]:
    """Return an artifact as an ancestor, and its weights as the spec's arrays.

    An int8 or fp16 artifact gives its rounded weights. In evaluation mode a model with these arrays answers as the
    artifact does in float32.

    Raises:
        InputError: the artifact cannot be loaded, is of another architecture, or may not be an ancestor.
    """
    manifest = _manifest(path, spec)
    base = ancestor(as_text(path.stem), manifest, faces, division)
    every = -(-len(division.train) // FACES)
    pixels = np.ascontiguousarray(faces.records["pixels"][division.train[::every]])
    weights = initial_weights(spec, seed=0)
    for (layer, norm), answer in zip(_layers(spec), _answers(path, pixels, manifest.batch), strict=True):
        weights |= _laid_out(layer, norm, answer, *answer.statistics(), weights)
    check_weights(weights, spec, path.name)
    return base, weights


def mean_of(several: Sequence[Weights]) -> Weights:
    """Return the mean of models' weights, array by array, as a training is to begin with it (Wortsman et al. 2022,
    "Model soups"). That is for models which began with the same weights; the mean of others is worth nothing.

    BatchNorms' statistics are means, too, and not those of the mean's own layers: the first steps of a training mend
    that.
    """
    return {name: _mean([weights[name] for weights in several]) for name in several[0]}


def _mean(arrays: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    return np.asarray(np.mean(arrays, axis=0, dtype=np.float64), np.float32)


def answering_weights(path: Path, spec: ModelSpec) -> Weights:
    """Return an artifact's weights as the spec's arrays, for a model that answers and is not trained: its BatchNorms
    add the biases, and change nothing else. That takes one run of the artifact.

    Raises:
        InputError: the artifact cannot be loaded, or is of another architecture.
    """
    weights = initial_weights(spec, seed=0)
    blank = np.zeros((1, SIDE, SIDE), np.uint8)
    for (layer, norm), answer in zip(_layers(spec), _answers(path, blank, _manifest(path, spec).batch), strict=True):
        mean = np.zeros(len(answer.bias))
        weights |= _laid_out(layer, norm, answer, mean, mean + 1, weights)
    check_weights(weights, spec, path.name)
    return weights


def _manifest(path: Path, spec: ModelSpec) -> Manifest:
    # Training alone does without onnxruntime.
    from inference.engine import Engine

    manifest = Engine.load(path).manifest
    if manifest.model != spec.name:
        raise InputError(f"{path.name} is {manifest.model}, expected {spec.name}; choose another --weights or --model")
    return manifest


class _Answer:
    """A layer's weight and bias, and the mean and variance of what it answers, by channel."""

    def __init__(self, weight: NDArray[np.float32], bias: NDArray[np.float32]) -> None:
        self.weight, self.bias = weight, bias
        self.count, self.sums, self.squares = 0, np.zeros(len(bias)), np.zeros(len(bias))

    def add(self, values: NDArray[np.float32]) -> None:
        """Count in float32[N, channel] or [N, channel, row, column]."""
        rows = np.moveaxis(values, 1, -1).reshape(-1, len(self.bias)).astype(np.float64)
        self.count += len(rows)
        self.sums += rows.sum(axis=0)
        self.squares += np.square(rows).sum(axis=0)

    def statistics(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return mean and variance."""
        mean = self.sums / self.count
        return mean, np.maximum(self.squares / self.count - np.square(mean), 0)


def _layers(spec: ModelSpec) -> Iterator[tuple[str, tuple[str, float] | None]]:
    """Yield the name of each layer with weights and, where one follows, its BatchNorm's with the epsilon."""
    named = list(named_layers(spec))
    for at, layer in enumerate(named):
        match layer.layer:
            case Conv() | Dense():
                yield layer.name, _norm(named[at + 1 : at + 2])
            case Residual(channels, stride):
                epsilon = BatchNorm().epsilon
                yield f"{layer.name}.conv1", (f"{layer.name}.bn1", epsilon)
                yield f"{layer.name}.conv2", (f"{layer.name}.bn2", epsilon)
                if stride != 1 or layer.inputs[0] != channels:
                    yield f"{layer.name}.downsample.0", (f"{layer.name}.downsample.1", epsilon)


def _norm(following: list[NamedLayer]) -> tuple[str, float] | None:
    for layer in following:
        if isinstance(layer.layer, BatchNorm):
            return layer.name, layer.layer.epsilon
    return None


def _laid_out(
    layer: str,
    norm: tuple[str, float] | None,
    answer: _Answer,
    mean: NDArray[np.float64],
    variance: NDArray[np.float64],
    wanted: Weights,
) -> Weights:
    """Return a layer's arrays and its BatchNorm's, which normalises by `mean` and `variance` and undoes that again."""
    if norm is None:
        return {f"{layer}.weight": answer.weight, f"{layer}.bias": answer.bias}
    name, epsilon = norm
    arrays = {
        f"{layer}.weight": answer.weight,
        f"{layer}.bias": np.zeros_like(answer.bias),
        f"{name}.weight": np.sqrt(variance + epsilon),
        f"{name}.bias": mean,
        f"{name}.running_mean": mean - answer.bias,
        f"{name}.running_var": variance,
    }
    # A convolution before BatchNorm may have no bias.
    return {array: values.astype(np.float32) for array, values in arrays.items() if array in wanted}


def _answers(path: Path, pixels: NDArray[np.uint8], batch: int | None) -> list[_Answer]:
    """Run faces through an artifact and return what each convolution and dense layer has and answers, in order.

    `batch` is the artifact's own.
    """
    from inference.engine import filled

    session, names = _opened(path)
    answers: list[_Answer] = []
    for start in range(0, len(pixels), batch or BATCH):
        faces = pixels[start : start + (batch or BATCH)]
        values = [np.asarray(value, np.float32) for value in session.run(names, {"pixels": filled(faces, batch)})]
        if not answers:
            answers = [_Answer(*values[at : at + 2]) for at in range(0, len(values), 3)]
        for answer, value in zip(answers, values[2::3], strict=True):
            answer.add(value[: len(faces)])
    return answers


def _opened(path: Path) -> tuple[Any, list[str]]:
    """Return a session that also gives out each layer's weight, bias and answer, and those three names by layer."""
    import onnxruntime

    try:
        import onnx
    except ImportError as missing:
        raise InputError(
            f"--weights {path.name} needs onnx, which is not installed; {how_to_install('export')}"
        ) from missing
    graph = onnx.shape_inference.infer_shapes(onnx.load(path))
    nodes = {node.name: node for node in graph.graph.node}
    layers = [nodes[name] for name in layers_with_weights(nodes)]
    names = [name for layer in layers for name in (*layer.input[1:3], layer.output[0])]
    known = {value.name: value for value in graph.graph.value_info}
    stored = {array.name: array for array in graph.graph.initializer}
    for name in names:
        value = known.get(name) or onnx.helper.make_tensor_value_info(name, stored[name].data_type, stored[name].dims)
        graph.graph.output.append(value)
    options = onnxruntime.SessionOptions()
    # What is fused or folded can no longer be given out.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(graph.SerializeToString(), options, ["CPUExecutionProvider"]), names
