"""Training speed side by side: `python -m benchmarks.training_speed --frameworks torch paddle`.

Every framework has a process of its own, and they take turns, so that what else happens on the machine meets all
of them. The best round of each counts: noise only ever slows down. Settings are the `published` recipe's, the data
random pixels.
"""

import argparse
import importlib
import json
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np

from data.errors import run_command
from data.faceset import SIDE
from training.epoch import EpochPlan
from training.loop import batches
from training.recipe import CHOICES, FRAMEWORKS, recipe
from training.specs import MODELS, model_spec
from training.weights import initial_weights

FACES = 8192


def main() -> int:
    """Run the rounds and print images per second, and each as a share of the fastest framework's."""
    args = _parser().parse_args()
    if args.serve:
        return _serve(args.serve, args.precision, args.seconds)
    workers = {name: _worker(name, args.precision, args.seconds) for name in args.frameworks}
    try:
        for model in args.models:
            rounds = [{name: _ask(worker, model) for name, worker in workers.items()} for _ in range(args.rounds)]
            best = {name: max(found[name] for found in rounds) for name in workers}
            fastest = max(best.values())
            shares = "  ".join(f"{name} {speed:8.0f} ({speed / fastest:.2f})" for name, speed in best.items())
            print(f"{model:16}{shares}", flush=True)
    finally:
        for worker in workers.values():
            worker.stdin.close()
            worker.wait()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training_speed", description=__doc__)
    parser.add_argument("--frameworks", nargs="+", choices=FRAMEWORKS, default=["torch"])
    parser.add_argument("--models", nargs="+", choices=tuple(MODELS), default=["mlp_1", "cnn_1", "cnn_4"])
    parser.add_argument("--precision", choices=CHOICES["precision"], default="fp32")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5, help="length of one round of one framework")
    parser.add_argument("--serve", choices=FRAMEWORKS, help=argparse.SUPPRESS)
    return parser


def _worker(framework: str, precision: str, seconds: float) -> subprocess.Popen[str]:
    options = ["--serve", framework, "--precision", precision, "--seconds", str(seconds)]
    command = [sys.executable, "-m", "benchmarks.training_speed", *options]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _ask(worker: subprocess.Popen[str], model: str) -> float:
    if worker.stdin is None or worker.stdout is None:
        raise RuntimeError("the worker has no pipes")
    worker.stdin.write(model + "\n")
    worker.stdin.flush()
    return float(json.loads(worker.stdout.readline()))


def _serve(framework: str, precision: str, seconds: float) -> int:
    learners = {}
    for line in sys.stdin:
        model = line.strip()
        if model not in learners:
            learners[model] = _learner(framework, model, precision)
        print(json.dumps(_images_per_second(learners[model], seconds)), flush=True)
    return 0


def _learner(framework: str, model: str, precision: str):
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (FACES, SIDE, SIDE), dtype=np.uint8)
    labels = random.integers(0, 7, FACES).astype(np.uint8)
    settings = replace(recipe("published", framework, model), precision=precision)
    module = importlib.import_module(f"training.{framework}.train")
    learner = module.learner(settings, initial_weights(model_spec(model), 0), pixels, labels)
    learner.begin_epoch(EpochPlan(random.permutation(FACES), None, seed=0))
    learner.step(0, settings.batch_size, 1e-3)
    learner.totals()
    return learner


def _images_per_second(learner, seconds: float) -> float:
    size = learner.settings.batch_size
    learner.begin_epoch(EpochPlan(np.random.default_rng(1).permutation(FACES), None, seed=1))
    began, seen = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        for start, stop in batches(FACES, size):
            learner.step(start, stop, 1e-3)
            seen += stop - start
            if time.perf_counter() - began > seconds:
                break
    learner.totals()  # Waits for what is still under way.
    return seen / (time.perf_counter() - began)


if __name__ == "__main__":
    run_command(main)
