"""What the scripts that measure whole jobs have in common: options, and one contest with one task as a record."""

import argparse
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from data.errors import InputError
from data.places import artifacts
from data.terminal import hand_over, say
from inference.benchmark.document import Absent, Contest, Kind, Series, Task
from inference.benchmark.keeping import Measuring, check_place, command_line
from inference.benchmark.messages import Turn
from inference.benchmark.tables import absent_sentences, plain
from inference.benchmark.turns import Measured, Plan
from inference.machine import available_cpus

ROOT = Path(__file__).parents[1]


def add_options(parser: argparse.ArgumentParser, seconds: float) -> None:
    """Add how it is measured and where the record goes."""
    parser.add_argument("--rounds", type=int, default=5, help="default: %(default)s")
    parser.add_argument("--seconds", type=float, default=seconds, help="of one turn (default: %(default)s)")
    parser.add_argument("--threads", type=int, help="of each (default: all that this process may use)")
    parser.add_argument("--out", type=Path, default=artifacts() / "benchmarks", metavar="DIR", help="for the record")
    parser.add_argument("--name", help="of the record")


def begin(args: argparse.Namespace, kind: Kind, starts: int = 3) -> tuple[Plan, Measuring]:
    """Return how it is measured, and the record that begins."""
    check_place(args.out, args.name)
    plan = Plan(rounds=args.rounds, seconds=args.seconds, starts=starts)
    return plan, Measuring(kind, args.threads or available_cpus(), plan.seconds)


def beside(
    heading: str,
    task: Task,
    measured: Sequence[Measured],
    absent: Sequence[Absent],
    series: Callable[[Sequence[Turn]], Series],
) -> Contest:
    """Return a contest of one task, with ratios to the first contender."""
    if not measured:
        raise InputError(f"nobody took part ({'; '.join(f'{one.name}: {one.reason}' for one in absent)}); mend one")
    contenders = tuple(entrant.contender(*map(series, entrant.turns)) for entrant in measured)
    reference = measured[0].runner.name
    return Contest(heading=heading, tasks=(task,), reference=reference, contenders=contenders, absent=tuple(absent))


def make_environment(folder: Path, packages: Sequence[str]) -> None:
    """Make an environment of its own with this Python's version and some packages, by uv and over the network."""
    uv = shutil.which("uv")
    if uv is None:
        raise InputError("uv is not installed; it makes the environments")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    subprocess.run([uv, "venv", "--python", version, str(folder)], check=True)
    subprocess.run([uv, "pip", "install", "--python", str(folder / "bin" / "python"), *packages], check=True)


def finish(measuring: Measuring, contest: Contest, args: argparse.Namespace, module: str) -> int:
    """Print a contest's table, keep its record, and print the record's path."""
    print(f"{plain(contest)}\n")
    for sentence in absent_sentences(contest):
        say(sentence)
    hand_over(measuring.keep(command_line(("python", "-m", module)), [contest], args.out, args.name))
    return 0
