"""One loop of `benchmarks.plain_training`, in a process of its own, with a model and threads."""

import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from data.faceset import LABELS, SIDE
from inference.benchmark.contender import serve, turn
from inference.benchmark.messages import Answer, Ready, Request, Turn
from training.epoch import batches
from training.recipe import recipe
from training.specs import (
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    Flatten,
    GlobalAveragePool,
    LeakyReLU,
    MaxPool,
    ReLU,
    model_spec,
)
from training.teachers import label_shares
from training.views import EpochData
from training.weights import initial_weights

FACES, BATCH = 1024, 64
RATE = 1e-3
Epoch = Callable[[], Any]


@dataclass(frozen=True)
class Loop:
    """A way of training: the package that it needs, and what makes an epoch of it for a model and threads."""

    package: str
    prepare: Callable[[str, int], tuple[str, Epoch]]


def main() -> None:
    """Serve the loop, the model and the threads of the command line."""
    name, model, threads = sys.argv[1:]
    serve(lambda: _begin(LOOPS[name], model, int(threads)))


def _begin(loop: Loop, model: str, threads: int) -> tuple[Ready, Callable[[Request], Answer | Turn]]:
    version, epoch = loop.prepare(model, threads)
    epoch()
    return Ready(version=version, threads=threads), lambda request: turn(epoch, request.seconds)


def faces() -> tuple[Any, Any]:
    """Return uint8[N, 48, 48] and their labels uint8[N], both random."""
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (FACES, SIDE, SIDE), dtype=np.uint8)
    return pixels, random.integers(0, len(LABELS), FACES).astype(np.uint8)


def ferox_in(framework: str) -> Callable[[str, int], tuple[str, Epoch]]:
    """Return what prepares ferox's own training in a framework."""

    def prepare(model: str, threads: int) -> tuple[str, Epoch]:
        settings = replace(recipe("published", framework, model), threads=threads, device="cpu", optimizer="adam")
        module = importlib.import_module(f"training.{framework}.train")
        weights = initial_weights(model_spec(model), 0)
        learner = module.learner(settings, weights, np.ones(len(LABELS), np.float32))
        (pixels, labels), random = faces(), np.random.default_rng(1)

        def epoch() -> None:
            order = random.permutation(FACES)
            learner.begin_epoch(EpochData(pixels[order], labels[order], label_shares(labels[order]), seed=0))
            for start, stop in batches(FACES, BATCH):
                learner.step(start, stop, RATE)
            learner.totals()

        (version,) = module.versions().values()
        return version, epoch

    return prepare


def plain_torch(model: str, threads: int) -> tuple[str, Epoch]:
    """Prepare the loop of https://docs.pytorch.org/tutorials/beginner/basics/optimization_tutorial.html."""
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    from training.torch.model import build

    torch.set_num_threads(threads)
    pixels, labels = faces()
    inputs = torch.from_numpy(pixels.astype(np.float32) / 127.5 - 1).unsqueeze(1)
    loader = DataLoader(TensorDataset(inputs, torch.from_numpy(labels.astype(np.int64))), BATCH, shuffle=True)
    network, loss_fn = build(model_spec(model)), torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(network.parameters(), lr=RATE)

    def epoch() -> None:
        network.train()
        for batch, targets in loader:
            loss = loss_fn(network(batch), targets)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()

    return torch.__version__, epoch


def plain_keras(model: str, threads: int) -> tuple[str, Epoch]:
    """Prepare `compile` and `fit` of https://keras.io/guides/training_with_built_in_methods."""
    import keras
    import tensorflow

    tensorflow.config.threading.set_intra_op_parallelism_threads(threads)
    pixels, labels = faces()
    inputs = (pixels.astype(np.float32) / 127.5 - 1)[..., None]
    network = keras.Sequential([keras.Input((SIDE, SIDE, 1)), *map(keras_layer, model_spec(model).layers)])
    network.compile(
        optimizer=keras.optimizers.Adam(RATE),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return keras.__version__, lambda: network.fit(inputs, labels, batch_size=BATCH, epochs=1, verbose=0)


def keras_layer(layer: Any) -> Any:
    """Return a layer of a description as Keras has it, with its defaults."""
    from keras import layers

    match layer:
        case Conv(channels, kernel, stride, _, bias):
            return layers.Conv2D(channels, kernel, stride, padding="same", use_bias=bias)
        case BatchNorm():
            return layers.BatchNormalization()
        case ReLU():
            return layers.ReLU()
        case LeakyReLU(slope):
            return layers.LeakyReLU(negative_slope=slope)
        case MaxPool(kernel, stride, _):
            return layers.MaxPooling2D(kernel, stride)
        case GlobalAveragePool():
            return layers.GlobalAveragePooling2D()
        case Flatten():
            return layers.Flatten()
        case Dense(units):
            return layers.Dense(units)
        case Dropout(rate):
            return layers.Dropout(rate)
        case _:
            raise NotImplementedError(f"{layer} has no counterpart in a Keras Sequential; choose another --model")


LOOPS = {
    "ferox, PyTorch": Loop("torch", ferox_in("torch")),
    "PyTorch loop": Loop("torch", plain_torch),
    "ferox, TensorFlow": Loop("tensorflow", ferox_in("tensorflow")),
    "Keras fit": Loop("tensorflow", plain_keras),
}


if __name__ == "__main__":
    main()
