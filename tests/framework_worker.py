"""One framework's side of the conformance suite, run as a child process: `framework_worker.py FRAMEWORK FOLDER`.

One framework per process, since two of them in one can crash it. FOLDER holds `<model>.weights.npz` of every spec and
`pixels.npy`; the answers are written beside them, under the framework's name.
"""

import importlib
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from training import specs
from training.epoch import class_weights
from training.recipe import CHOICES, Settings
from training.specs import BatchNorm, Conv, Dense, Dropout, Flatten, LeakyReLU, MaxPool, ModelSpec, Residual, Resize
from training.teachers import label_shares
from training.views import EpochData
from training.weights import load_weights, parameter_count

STEPS, BATCH = 10, 8
# Faces that are answered; all of them are learned from.
ANSWERED = 12
# At its own 224 pixels ResNet-18 alone would take nearly as long as all the others together.
SIDE = 96
# BatchNorm over so few faces amplifies rounding tenfold a step unless the steps are small; twenty in a row more so.
RATE, RATE_WITH_BATCH_NORM, RATE_WITH_BLOCKS = 0.002, 5e-6, 1e-6

# What nobody but its one entry knows of: a new model needs nothing else.
NEWCOMER = ModelSpec(
    "newcomer",
    (
        Conv(8, stride=2),
        BatchNorm(),
        LeakyReLU(0.2),
        MaxPool(3, 2, 1),
        Residual(16, 2),
        Flatten(),
        Dropout(0.3),
        Dense(7),
    ),
)

# One dense layer: what tells two frameworks apart is then their optimisers, losses and distortions alone.
LINEAR = ModelSpec("linear", (Flatten(), Dense(7)))
OPTIMIZERS = (*CHOICES["optimizer"], "nesterov")
SPECS = specs.MODELS | {NEWCOMER.name: NEWCOMER}


def main() -> None:
    framework, folder = sys.argv[1], Path(sys.argv[2])
    specs.MODELS |= {spec.name: spec for spec in (NEWCOMER, LINEAR)}
    # Learning comes first: TensorFlow takes a learner's threads before its first operation only.
    for name in SPECS:
        learn(framework, name, folder)
    optimise(framework, LINEAR.name, folder)
    for name in SPECS:
        answer(framework, name, folder)


def answer(framework: str, name: str, folder: Path) -> None:
    """Logits in evaluation mode, the weights as they come back, and the converter's graph."""
    spec = specs.MODELS[name]
    model_module = importlib.import_module(f"training.{framework}.model")
    export_module = importlib.import_module(f"export.from_{framework}")
    model = model_module.build(spec)
    weights = load_weights(folder / f"{name}.weights.npz", spec)
    model_module.set_weights(model, weights)
    found = model_module.get_weights(model, spec)
    assert all(np.array_equal(found[key], array) for key, array in weights.items()), "weights came back changed"
    assert trainable(model) == parameter_count(spec), f"{trainable(model)} trainable parameters"
    pixels = np.load(folder / "pixels.npy")[:ANSWERED]
    np.save(folder / f"{name}.{framework}.npy", export_module.reference(model, pixels))
    export_module.convert(model, folder / f"{name}.{framework}.onnx")


def trainable(model: Any) -> int:
    """Count as the framework itself does."""
    if hasattr(model, "trainable"):
        return sum(int(np.prod(variable.shape)) for variable in model.trainable.values())
    return sum(
        int(np.prod(value.shape))
        for value in model.parameters()
        if (value.requires_grad if hasattr(value, "requires_grad") else not value.stop_gradient)
    )


def learn(framework: str, name: str, folder: Path) -> None:
    """Ten steps of SGD: the loss after each, which training-mode logits make, and the weights."""
    spec = lesson(specs.MODELS[name])
    specs.MODELS[spec.name] = spec
    pixels = np.load(folder / "pixels.npy")
    labels = (np.arange(len(pixels)) % 7).astype(np.uint8)
    rate = steady_rate(spec)
    settings = Settings(
        framework,
        spec.name,
        optimizer="sgd",
        momentum=0.0,
        learning_rate=rate,
        batch_size=BATCH,
        threads=1,
        device="cpu",
    )
    module = importlib.import_module(f"training.{framework}.train")
    weights = load_weights(folder / f"{name}.weights.npz", spec)
    learner = module.learner(settings, weights, class_weights(settings.balance, labels))
    order = np.arange(STEPS * BATCH) % len(pixels)
    learner.begin_epoch(EpochData(pixels[order], labels[order], label_shares(labels)[order], seed=0))
    losses = []
    for step in range(STEPS):
        learner.step(step * BATCH, (step + 1) * BATCH, rate)
        losses.append(learner.totals()[0])
        if step in (0, STEPS - 1):
            np.savez(folder / f"{name}.{framework}.after_{step + 1}.npz", **learner.weights())
    np.save(folder / f"{name}.{framework}.losses.npy", losses)


def optimise(framework: str, name: str, folder: Path) -> None:
    """Weights after each of five steps of every optimiser, with all that a recipe can add to the loss."""
    pixels = np.load(folder / "pixels.npy")
    labels = np.minimum(np.arange(len(pixels)) % 12, 6).astype(np.uint8)
    module = importlib.import_module(f"training.{framework}.train")
    taught = np.random.default_rng(6).dirichlet(np.ones(7), len(pixels)).astype(np.float32)
    found = {}
    for optimizer in OPTIMIZERS:
        settings = Settings(
            framework,
            name,
            optimizer="sgd" if optimizer == "nesterov" else optimizer,
            nesterov=optimizer == "nesterov",
            weight_decay=0.01,
            label_smoothing=0.1,
            balance="class-weights",
            batch_size=BATCH,
            threads=1,
            device="cpu",
        )
        weights = load_weights(folder / f"{name}.weights.npz", LINEAR)
        learner = module.learner(settings, weights, class_weights(settings.balance, labels))
        learner.begin_epoch(EpochData(pixels, labels, label_shares(labels, taught, 0.3), seed=0))
        for step in range(5):
            learner.step(step * BATCH, (step + 1) * BATCH, 0.001 * (step + 1))
            found[f"{optimizer}/{step}"] = learner.weights()["dense_1.weight"]
    np.savez(folder / f"{name}.{framework}.optimised.npz", **found)


def steady_rate(spec: ModelSpec) -> float:
    kinds = [type(layer) for layer in spec.layers]
    if kinds.count(Residual) > 4:
        return RATE_WITH_BLOCKS
    return RATE_WITH_BATCH_NORM if BatchNorm in kinds else RATE


def lesson(spec: ModelSpec) -> ModelSpec:
    """A spec without dropout, and with smaller faces where it enlarges them: no weight lies before that."""
    layers = (replace(layer, side=SIDE) if isinstance(layer, Resize) else layer for layer in spec.layers)
    return replace(
        spec, name=f"{spec.name}.lesson", layers=tuple(layer for layer in layers if not isinstance(layer, Dropout))
    )


if __name__ == "__main__":
    main()
