"""A sweep on two machines against one: `python -m benchmarks.ray_sweep`.

Twelve MLPs with one thread each, on drawn faces, shared out to two Ray nodes of one processor each, or to one. Both are
on this machine, which needs two processors that nothing else uses: what is measured is what sharing out costs, not a
network. Each round has both, in an order that changes; nodes and the time that they take to start are left out, as are
the first trainings, which bring files into memory. The ratio of a round is the time with one node over that with two.
"""

import argparse
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data.commands import run_command
from data.draw import draw, write_csv
from data.errors import InputError

MODELS = ("mlp_1", "mlp_2", "mlp_3", "mlp_4")
OPTIMIZERS = ("adam", "sgd", "adagrad")


def main() -> int:
    """Run the rounds, and print each one's seconds and ratio, and the ratios' median and spread."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ray_sweep", description=__doc__, allow_abbrev=False)
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    parser.add_argument("--epochs", type=int, default=10, help="of each training (default: %(default)s)")
    parser.add_argument("--faces", type=int, default=4000, help="drawn ones (default: %(default)s)")
    parser.add_argument("--trainings", type=int, default=12, choices=range(1, 13), metavar="1-12")
    args = parser.parse_args()
    grid = list(itertools.product(MODELS, OPTIMIZERS))[: args.trainings]
    models, optimizers = ([*dict.fromkeys(names)] for names in zip(*grid, strict=True))
    ratios = []
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "fer2013.csv"
        write_csv(draw(args.faces, seed=1), table)
        words = ["--models", *models, "--optimizers", *optimizers, "--frameworks", "torch", "--threads", "1"]
        words += ["--data", str(table), "--keep", "last"]
        _seconds(1, [*words, "--epochs", "1"], Path(folder) / "first")
        for number in range(args.rounds):
            seconds = {}
            for nodes in (1, 2) if number % 2 == 0 else (2, 1):
                out = Path(folder) / f"{number}-{nodes}"
                seconds[nodes] = _seconds(nodes, [*words, "--epochs", str(args.epochs)], out)
            ratios.append(seconds[1] / seconds[2])
            print(f"one node {seconds[1]:.1f} s, two {seconds[2]:.1f} s: {ratios[-1]:.2f}", flush=True)
    print(f"{len(ratios)} rounds: median {statistics.median(ratios):.2f}, {min(ratios):.2f} to {max(ratios):.2f}")
    return 0


def _seconds(nodes: int, words: list[str], out: Path) -> float:
    """Return how long a sweep takes, its driver included."""
    with _cluster(nodes) as address:
        began = time.perf_counter()
        command = [sys.executable, "-m", "ferox", "sweep", "--ray", address, "--out", str(out), *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - began
    if done.returncode:
        raise InputError(f"a sweep ended with status {done.returncode}: {done.stderr[-500:]}")
    return seconds


@contextmanager
def _cluster(nodes: int) -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.ray_nodes", "--nodes", str(nodes)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"RAY_AUTH_MODE": "disabled"},
    )
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.communicate()


if __name__ == "__main__":
    run_command(main)
