"""An export with its proof beside optimum-onnx's export with its validation: `python -m benchmarks.exporting RUN`.

Both start a process that exports one run's checkpoint from PyTorch and checks the file. ferox compares the finished
file with the framework on the whole test part of the run's data, in four batch sizes, fits a temperature, and publishes
the file with its proof and its card; optimum-onnx compares it on one batch of random pictures with an absolute
tolerance. `--environment` names the folder of optimum-onnx's environment, which `--make` makes with uv.
"""

import argparse
import importlib.metadata
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.contests import ROOT, add_options, begin, beside, finish, make_environment
from data.commands import run_command
from data.errors import InputError
from inference.benchmark.contender import serve, turn
from inference.benchmark.document import Absent, Task
from inference.benchmark.figures import timed
from inference.benchmark.messages import Answer, Ready, Request, Turn
from inference.benchmark.runner import Runner
from inference.benchmark.turns import measure
from training.run import read_record

MODULE = "benchmarks.exporting"
NAME = "optimum"
PACKAGES = ("optimum-onnx[onnxruntime]==0.1.0", "onnxscript", "pydantic", "tqdm")
TURNS = (Request(do="turn"),)


def main() -> int:
    """Make the environment, or measure, or serve one export; the record's path is printed last."""
    args = _parser().parse_args()
    if args.make:
        make_environment(args.environment / NAME, PACKAGES)
        return 0
    if args.serve:
        with tempfile.TemporaryDirectory(prefix="ferox-exporting-") as folder:
            serve(lambda: _serve(args.serve, args.run, args.environment, folder))
    settings = read_record(args.run).settings
    if settings.framework != "torch":
        raise InputError(f"{args.run} was trained in {settings.framework}, which optimum-onnx exports nothing of")
    plan, measuring = begin(args, "export", starts=1)
    names, absent = ["ferox export", "optimum-onnx"], []
    if not _python(args.environment).exists():
        absent.append(Absent(names.pop(), "not installed", "its environment; make it with --make"))
    where = ("--environment", str(args.environment))
    runners = [
        Runner(name, (sys.executable, "-m", MODULE, str(args.run), "--serve", name, *where), TURNS, answers=False)
        for name in names
    ]
    measured, failed = measure(runners, plan)
    task = Task("to a checked file", "ms")
    return finish(measuring, beside(settings.model, task, measured, (*absent, *failed), timed), args, MODULE)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=__doc__, allow_abbrev=False)
    parser.add_argument("run", type=Path, metavar="RUN", help="a run folder of a training in PyTorch")
    parser.add_argument("--environment", type=Path, metavar="DIR", required=True, help="the folder of its environment")
    parser.add_argument("--make", action="store_true", help="make the environment, with uv and the network")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    add_options(parser, seconds=1.0)
    return parser


def _python(environment: Path) -> Path:
    return environment / NAME / "bin" / "python"


def _serve(name: str, run: Path, environment: Path, folder: str) -> tuple[Ready, Callable[[Request], Answer | Turn]]:
    own = name == "ferox export"
    command = (
        (sys.executable, "-m", "ferox", "export", str(run), "--out", folder, "--replace")
        if own
        else (str(_python(environment)), "-m", "benchmarks.optimum_export", str(run), folder)
    )
    _run(command)
    version = importlib.metadata.version("ferox") if own else PACKAGES[0].partition("==")[2]

    def work(request: Request) -> Turn:
        # The memory of this process is not that of the one that exports.
        return replace(turn(lambda: _run(command), request.seconds, warm_up=False), memory=None, busy=None)

    return Ready(version=version, threads=None), work


def _run(command: Sequence[str]) -> None:
    variables = os.environ | {"PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=variables)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise InputError(lines[-1].removeprefix("error: "))


if __name__ == "__main__":
    run_command(main)
