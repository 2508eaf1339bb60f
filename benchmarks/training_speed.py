"""Training speed side by side: `python -m benchmarks.training_speed --frameworks torch paddle --precisions fp32 bf16`.

Every framework and precision has a process of its own, and they take turns, so that what else happens on the machine
meets all of them. The best round of each counts: noise only ever slows down. Settings are the `published` recipe's, the
data random pixels, which nothing distorts. PyTorch's processes also multiply large matrices, on the device that they
train on; behind each speed stands the share of that peak which the model's own arithmetic comes to. What a framework
refuses, as PaddlePaddle does bf16 on a processor, is left out, and the exit status is 1.
"""

import argparse
import importlib
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from data.commands import run_command
from data.errors import InputError
from data.faceset import LABELS, SIDE
from inference.machine import available_cpus
from training.epoch import batches
from training.loop import Learner
from training.recipe import CHOICES, FRAMEWORKS, recipe
from training.specs import MODELS, model_spec
from training.teachers import label_shares
from training.views import EpochData
from training.weights import initial_weights, named_layers, output_shape, shapes

FACES = 8192
PEAK = "peak"


def main() -> int:
    """Run the rounds and print images per second, and each as a share of the fastest one's and of the peak."""
    args = _parser().parse_args()
    if args.serve:
        (precision,) = args.precisions
        return _serve(args.serve, precision, args.seconds)
    kinds = [(framework, precision) for framework in args.frameworks for precision in args.precisions]
    workers = {kind: _worker(*kind, args.seconds) for kind in kinds}
    every = list(workers.values())
    try:
        peaks = _best(workers, PEAK, args.rounds, ("torch",))
        for (_, precision), peak in peaks.items():
            print(f"matrix multiply, torch {precision}: {peak / 1e9:.0f} GFLOP/s")
        for model in args.models:
            best = _best(workers, model, args.rounds)
            if not best:
                raise InputError("nothing was measured; the lines above say why")
            fastest, work = max(best.values()), training_flops(model)
            for kind, speed in best.items():
                share = f", {speed * work / peaks[kind]:.0%} of peak" if kind in peaks else ""
                print(f"{model:16}{' '.join(kind):18}{speed:8.0f} images/s ({speed / fastest:.2f}{share})", flush=True)
    finally:
        for worker in every:
            if worker.stdin:
                worker.stdin.close()
            worker.wait()
    return int(len(workers) < len(every))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.training_speed", description=__doc__, allow_abbrev=False
    )
    parser.add_argument("--frameworks", nargs="+", choices=FRAMEWORKS, default=["torch"])
    parser.add_argument("--models", nargs="+", choices=tuple(MODELS), default=["mlp_1", "cnn_1", "cnn_4"])
    parser.add_argument("--precisions", nargs="+", choices=CHOICES["precision"], default=["fp32"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5, help="length of one round of one framework")
    parser.add_argument("--serve", choices=FRAMEWORKS, help=argparse.SUPPRESS)
    return parser


def _worker(framework: str, precision: str, seconds: float) -> subprocess.Popen[str]:
    options = ["--serve", framework, "--precisions", precision, "--seconds", str(seconds)]
    command = [sys.executable, "-m", "benchmarks.training_speed", *options]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def training_flops(model: str) -> float:
    """Return the floating-point operations of one face in one step: two a multiply-add, forward and twice backward."""
    spec = model_spec(model)
    wanted = shapes(spec)
    work = 0
    for named in named_layers(spec):
        weights = [shape for name, shape in wanted.items() if name.startswith(f"{named.name}.") and len(shape) > 1]
        # A residual block's convolutions, too, all have as many places as leave it.
        places = output_shape(named.layer, named.inputs)[1:]
        work += sum(int(np.prod(shape)) * int(np.prod(places)) for shape in weights)
    return 6.0 * work


def _best(
    workers: dict[tuple[str, str], subprocess.Popen[str]],
    task: str,
    rounds: int,
    frameworks: tuple[str, ...] = FRAMEWORKS,
) -> dict[tuple[str, str], float]:
    """Return each worker's best of a task; those that end, having said why, are taken out of `workers`."""
    best: dict[tuple[str, str], float] = {}
    for _ in range(rounds):
        for kind in [kind for kind in workers if kind[0] in frameworks]:
            found = _ask(workers[kind], task)
            if found is None:
                del workers[kind]
                best.pop(kind, None)
            else:
                best[kind] = max(found, best.get(kind, 0.0))
    return best


def _ask(worker: subprocess.Popen[str], task: str) -> float | None:
    if worker.stdin is None or worker.stdout is None:
        raise RuntimeError("the worker has no pipes")
    worker.stdin.write(task + "\n")
    worker.stdin.flush()
    answer = worker.stdout.readline()
    return float(json.loads(answer)) if answer else None


def _serve(framework: str, precision: str, seconds: float) -> int:
    learners = {}
    for line in sys.stdin:
        model = line.strip()
        if model == PEAK:
            print(json.dumps(_matrix_multiply(precision, seconds)), flush=True)
            continue
        if model not in learners:
            learners[model] = _learner(framework, model, precision)
        batch_size = recipe("published", framework, model).batch_size
        print(json.dumps(_images_per_second(learners[model], batch_size, seconds)), flush=True)
    return 0


def _learner(framework: str, model: str, precision: str) -> Learner:
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (FACES, SIDE, SIDE), dtype=np.uint8)
    labels = random.integers(0, 7, FACES).astype(np.uint8)
    settings = replace(recipe("published", framework, model), precision=precision)
    module = importlib.import_module(f"training.{framework}.train")
    learner: Learner = module.learner(settings, initial_weights(model_spec(model), 0), np.ones(len(LABELS), np.float32))
    learner.begin_epoch(EpochData(pixels, labels, label_shares(labels), seed=0))
    learner.step(0, settings.batch_size, 1e-3)
    learner.totals()
    return learner


def _matrix_multiply(precision: str, seconds: float) -> float:
    """Return the floating-point operations a second of multiplying matrices that fit no processor's cache."""
    import torch

    torch.set_num_threads(available_cpus())
    gpu = torch.cuda.is_available()
    side = 8192 if gpu else 2048
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    first, second = (torch.randn(side, side, device="cuda" if gpu else "cpu").to(kind) for _ in range(2))
    wait: Callable[[], object] = torch.cuda.synchronize if gpu else lambda: None
    first @ second
    wait()
    began, runs = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        first @ second
        wait()
        runs += 1
    return 2.0 * side**3 * runs / (time.perf_counter() - began)


def _images_per_second(learner: Learner, batch_size: int, seconds: float) -> float:
    began, seen = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        for start, stop in batches(FACES, batch_size):
            learner.step(start, stop, 1e-3)
            seen += stop - start
            if time.perf_counter() - began > seconds:
                break
    learner.totals()  # Waits for what is still under way.
    return seen / (time.perf_counter() - began)


if __name__ == "__main__":
    run_command(main)
