"""All models in all frameworks as artifacts, by one command: `python -m benchmarks.many_exports`.

The runs are made here, not trained: seeded weights whose last layer is set so that every class is among the answers,
which the gate asks for. `--beside CHECKOUT` has the same runs exported by another version of ferox, in the same rounds
and in an order that changes; the models that it has not are left out for both, and named.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from data.commands import run_command
from data.errors import InputError
from data.faceset import FaceSet
from data.files import sha256
from data.load import load
from data.splits import split
from inference.machine import available_cpus
from inference.manifest import FRAMEWORKS, data_record
from inference.report.training_result import Checkpoint, Machine
from training.loop import start_record
from training.recipe import recipe
from training.run import RECORD_FILE, write_record
from training.specs import MODELS, ModelSpec, model_spec
from training.torch.model import build, normalise, set_weights
from training.weights import Weights, initial_weights, parameter_count, save_weights

# What records have gained and need not have.
LATER = ("classes", "left_out", "teaching")
HERE = Path(__file__).parents[1]


def main() -> int:
    """Make the runs, export them in rounds, and print each round's seconds, and with --beside the ratios."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.many_exports", description=__doc__, allow_abbrev=False)
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=MODELS, metavar="MODEL")
    parser.add_argument("--frameworks", nargs="+", default=FRAMEWORKS, choices=FRAMEWORKS, metavar="FRAMEWORK")
    parser.add_argument("--data", type=Path, help="faces (default: drawn ones, as many as `make run` has)")
    parser.add_argument("--beside", type=Path, metavar="CHECKOUT", help="another version of ferox")
    parser.add_argument("--rounds", type=int, default=1, help="default: %(default)s")
    args = parser.parse_args()
    places = [HERE] if args.beside is None else [HERE, args.beside.resolve()]
    models = [model for model in args.models if all(_known(model, place) for place in places)]
    if left_out := [model for model in args.models if model not in models]:
        print(f"left out, for {args.beside} has them not: {', '.join(left_out)}")
    with tempfile.TemporaryDirectory(prefix="ferox-many-exports-") as folder:
        runs = make_runs(models, args.frameworks, args.data, Path(folder) / "runs")
        ratios = []
        for number in range(args.rounds):
            seconds = {}
            for place in places if number % 2 == 0 else places[::-1]:
                seconds[place] = _seconds(place, runs, Path(folder) / f"{number}-{places.index(place)}")
            print(f"{len(runs)} runs: {', '.join(f'{seconds[place]:.1f} s' for place in places)}", flush=True)
            ratios.append(seconds[places[-1]] / seconds[HERE])
    if args.beside:
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        print(f"{len(ratios)} rounds: {statistics.median(ratios):.2f} times as fast, {spread}")
    return 0


def make_runs(models: Sequence[str], frameworks: Sequence[str], data: Path | None, folder: Path) -> list[Path]:
    """Write a run of each model in each framework, all frameworks' with the same weights, and return the folders."""
    faces, runs = load(data), []
    for model in models:
        weights = _weights(model_spec(model), faces)
        for framework in frameworks:
            runs.append(folder / framework / model)
            _write_run(runs[-1], framework, model, weights, faces, data)
    return runs


def _write_run(run: Path, framework: str, model: str, weights: Weights, faces: FaceSet, data: Path | None) -> None:
    run.mkdir(parents=True)
    settings = recipe("published", framework, model)
    file = run / "weights-0001.npz"
    save_weights(weights, model_spec(model), file)
    record = start_record(
        settings,
        parameters=parameter_count(model_spec(model)),
        versions={},
        data=data_record(faces.source, faces.fingerprint, split(faces, settings.split)),
        data_path=None if data is None else str(data.resolve()),
        skip_bad_rows=False,
        machine=Machine("a processor", available_cpus()),
        commit=None,
    )
    checkpoint = Checkpoint(1, file.name, sha256(file), 0.1, 1.9)
    write_record(run, replace(record, checkpoints=(checkpoint,)))
    # An older version refuses the fields that came later; in these runs they say nothing.
    plain = json.loads((run / RECORD_FILE).read_text())
    plain = {name: value for name, value in plain.items() if name not in LATER}
    plain["settings"] = {name: value for name, value in plain["settings"].items() if name not in LATER}
    (run / RECORD_FILE).write_text(json.dumps(plain))


@torch.inference_mode()
def _weights(spec: ModelSpec, faces: FaceSet) -> Weights:
    """Return initial weights whose last layer gives logits around 0 that are far below 1.

    They are small differences between large sums, as no trained network's are, and are rounded as the sums are.
    """
    weights = initial_weights(spec, seed=0)
    network = build(spec)
    set_weights(network, weights)
    logits = network.eval()(normalise(torch.from_numpy(np.ascontiguousarray(faces.pixels[:64]))))
    mean, scale = logits.mean(dim=0).numpy(), min(1.0, 0.1 / float((logits - logits.mean(dim=0)).std()))
    bias = [name for name in weights if name.endswith(".bias")][-1]
    weight = bias.replace(".bias", ".weight")
    return weights | {weight: weights[weight] * scale, bias: (weights[bias] - mean) * scale}


def _known(model: str, place: Path) -> bool:
    question = f"import sys; from training.specs import MODELS; sys.exit({model!r} not in MODELS)"
    return subprocess.run([sys.executable, "-c", question], cwd=place, check=False).returncode == 0


def _seconds(place: Path, runs: Sequence[Path], out: Path) -> float:
    command = [sys.executable, "-m", "export", *map(str, runs), "--out", str(out)]
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    began = time.perf_counter()
    done = subprocess.run(command, cwd=place, env=variables, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - began
    if done.returncode:
        raise InputError(f"an export in {place} ended with status {done.returncode}: {done.stderr[-2000:]}")
    return seconds


if __name__ == "__main__":
    run_command(main)
