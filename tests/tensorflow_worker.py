"""TensorFlow's own parts at work, run as a child process by `test_tensorflow.py`: `tensorflow_worker.py FOLDER`.

FOLDER holds `inputs.npz`; what is found goes into `found.npz` and `facts.json` beside it.
"""

import itertools
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from data.errors import InputError
from export.from_tensorflow import convert
from training.recipe import recipe
from training.specs import MODELS, BatchNorm, Conv, Dense, Flatten, ModelSpec
from training.teachers import label_shares
from training.tensorflow import train
from training.tensorflow.model import Mode, build, normalise, set_weights
from training.tensorflow.optimizer import SLOTS, Optimizer
from training.tensorflow.quiet import tf
from training.tensorflow.train import TensorFlowLearner, choose_device, cross_entropy
from training.views import EpochData
from training.weights import initial_weights

EVEN = np.ones(7, np.float32)
BASE = replace(recipe("published", "tensorflow", "mlp_2"), threads=1, device="cpu", batch_size=8)


def main() -> None:
    folder = Path(sys.argv[1])
    with np.load(folder / "inputs.npz") as file:
        inputs = dict(file)
    found: dict[str, Any] = {}
    learner = TensorFlowLearner(BASE, initial_weights(MODELS[BASE.model], 0), EVEN)
    found |= optimised(inputs)
    for smoothing in (0.0, 0.1):
        shares = tf.one_hot(inputs["labels"], 7)
        loss = cross_entropy(tf.constant(inputs["logits"]), shares, inputs["balance"], smoothing)
        found[f"loss/{smoothing}"] = loss.numpy()
    found |= normalised(inputs) | dropped() | low_precision(inputs)
    np.savez(folder / "found.npz", **found)
    for name in ("cnn_4", "resnet_18"):
        model = build(MODELS[name])
        set_weights(model, initial_weights(MODELS[name], 0))
        convert(model, folder / f"{name}.onnx")
    facts = {"refusals": refusals(learner, inputs, folder), "gpu": bool(tf.config.list_physical_devices("GPU"))}
    (folder / "facts.json").write_text(json.dumps(facts))


def optimised(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Each optimiser's variable after every step, the learning rate another at each."""
    found = {}
    for name, decay in itertools.product((*SLOTS, "nesterov"), (0.0, 0.01)):
        kind = name if name in SLOTS else "sgd"
        settings = replace(BASE, optimizer=kind, nesterov=name == "nesterov", weight_decay=decay)
        variable = tf.Variable(inputs["start"])
        optimizer = Optimizer(settings, {"w": variable})
        path = []
        for gradient, rate in zip(inputs["gradients"], inputs["rates"], strict=True):
            optimizer.apply({"w": tf.constant(gradient)}, tf.constant(rate, tf.float64))
            path.append(variable.numpy())
        found[f"path/{name}/{decay}"] = np.stack(path)
    return found


def normalised(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What goes into a picture's and a vector's BatchNorm in one training step, and the statistics that it leaves."""
    spec = ModelSpec("small", (Conv(3), BatchNorm(), Flatten(), Dense(5), BatchNorm(momentum=0.3), Dense(7)))
    model = build(spec)
    set_weights(model, initial_weights(spec, 0))
    x, entered = normalise(inputs["pixels"]), []
    for place, named in enumerate(model.layers):
        entered.append(x.numpy())
        x = model.apply_layer(named, place, x, Mode(tf.constant([0, 0], tf.int64)))
    statistics = {name: value.numpy() for name, value in model.variables.items() if "running" in name}
    return statistics | {"picture": entered[1], "vector": entered[4]}


def dropped() -> dict[str, np.ndarray]:
    """A dropout layer's answer to ones in training, for two seeds, the first one twice, and in evaluation."""
    model = build(MODELS["mlp_2"])
    places = [place for place, named in enumerate(model.layers) if named.name.startswith("dropout")]

    def answer(place: int, mode: Mode) -> np.ndarray:
        return np.asarray(model.apply_layer(model.layers[place], place, tf.ones((64, 256)), mode))

    seeds = [Mode(tf.constant([7, start], tf.int64)) for start in (0, 0, 64)]
    rows = [answer(places[0], mode) for mode in (*seeds, Mode())] + [answer(places[1], seeds[0])]
    return {"dropped": np.stack(rows)}


def low_precision(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Weights and loss after one step in either precision, and the first logits of the model before it."""
    found = {}
    # What is computed is asked for here, not how fast.
    vars(train)["require_bf16"] = lambda: None
    for precision in ("fp32", "bf16"):
        settings = replace(BASE, model="cnn_4", precision=precision)
        learner = TensorFlowLearner(settings, initial_weights(MODELS["cnn_4"], 0), EVEN)
        found[f"{precision}/logits"] = learner.logits(inputs["pixels"])
        learner.begin_epoch(EpochData(inputs["pixels"], inputs["labels"], label_shares(inputs["labels"]), seed=0))
        learner.step(0, 8, 1e-3)
        found[f"{precision}/loss"] = np.array(learner.totals()[0])
        found[f"{precision}/weight"] = learner.weights()["conv_2.weight"]
    return found


def refusals(learner: TensorFlowLearner, inputs: dict[str, np.ndarray], folder: Path) -> dict[str, str]:
    """What is said to settings that cannot be honoured and to states that are none."""
    state, damaged = folder / "state.npz", folder / "damaged.npz"
    learner.save_state(state)
    content = bytearray(state.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    half = folder / "half.npz"
    half.write_bytes(content[: len(content) // 2])
    other = replace(BASE, optimizer="sgd")
    arrays = initial_weights(MODELS[BASE.model], 0), EVEN
    attempts: dict[str, Callable[[], object]] = {
        "threads": lambda: TensorFlowLearner(replace(BASE, threads=2), *arrays),
        "damaged": lambda: learner.load_state(damaged),
        "half": lambda: learner.load_state(half),
        "cuda": lambda: choose_device(replace(BASE, device="cuda")),
        "other": lambda: TensorFlowLearner(other, *arrays).load_state(state),
    }
    said = {}
    for name, attempt in attempts.items():
        try:
            attempt()
        except InputError as error:
            said[name] = str(error)
    return said


if __name__ == "__main__":
    main()
