"""Epochs of ferox beside loops as others' documentation writes them: `python -m benchmarks.plain_training`.

The same layers, Adam, batches of 64 in a new order each epoch, float32, on random faces that are in memory already as
each likes them: grey values for ferox, which normalises in every step; float32 for the others. A call is an epoch of
`FACES` faces.
"""

import argparse
import importlib.util
import sys

from benchmarks.contests import add_options, begin, beside, finish
from benchmarks.plain_loops import FACES, LOOPS
from data.commands import install_command, run_command
from inference.benchmark.document import Absent, Task
from inference.benchmark.figures import rated
from inference.benchmark.messages import Request
from inference.benchmark.runner import Runner
from inference.benchmark.turns import measure
from training.specs import MODELS

MODULE = "benchmarks.plain_training"


def main() -> int:
    """Measure one model; the record's path is printed last."""
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=__doc__, allow_abbrev=False)
    parser.add_argument("--model", choices=tuple(MODELS), default="cnn_1", help="default: %(default)s")
    add_options(parser, seconds=5.0)
    args = parser.parse_args()
    plan, measuring = begin(args, "steps", starts=1)
    runners, absent = [], []
    for name, loop in LOOPS.items():
        if importlib.util.find_spec(loop.package) is None:
            lacking = f"the package {loop.package}; {install_command(loop.package)}"
            absent.append(Absent(name, "not installed", lacking))
            continue
        command = (sys.executable, "-m", "benchmarks.plain_loops", name, args.model, str(measuring.threads))
        variables = {"CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3"}
        runners.append(Runner(name, command, (Request(do="turn"),), answers=False, variables=variables))
    measured, failed = measure(runners, plan)
    task = Task("an epoch", "faces/s")
    contest = beside(args.model, task, measured, (*absent, *failed), lambda turns: rated(turns, FACES))
    return finish(measuring, contest, args, MODULE)


if __name__ == "__main__":
    run_command(main)
