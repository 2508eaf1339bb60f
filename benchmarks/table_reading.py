"""From `fer2013.csv` to faces in memory, beside pandas: `python -m benchmarks.table_reading [--data fer2013.csv]`.

ferox's first read checks every value and writes a cache; every later one maps that. pandas reads the table and its
pixels are split, as most programs on FER2013 do it (`numpy.fromstring` of each row), without any check. All end with
uint8[N, 48, 48], whose sum is compared. Without `--data` a table of random faces is written first.
"""

import argparse
import importlib.metadata
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.contests import add_options, begin, beside, finish
from data.commands import run_command
from data.draw import write_csv
from data.errors import InputError
from data.faceset import SIDE, face_set
from data.load import load
from inference.benchmark.contender import serve, turn
from inference.benchmark.document import Task
from inference.benchmark.figures import timed
from inference.benchmark.messages import Answer, Ready, Request, Turn
from inference.benchmark.runner import Runner
from inference.benchmark.turns import measure

MODULE = "benchmarks.table_reading"
FACES = 4000
Pixels = NDArray[np.uint8]


def main() -> int:
    """Measure, or serve one reader; the record's path is printed last."""
    args = _parser().parse_args()
    with tempfile.TemporaryDirectory(prefix="ferox-table-") as folder:
        if args.serve:
            serve(lambda: _serve(READERS[args.serve], args.data.resolve(), Path(folder)))
        plan, measuring = begin(args, "table", starts=1)
        table = args.data or _random_table(Path(folder) / "fer2013.csv")
        if not table.is_file():
            raise InputError(f"--data is {table}, expected fer2013.csv")
        runners = [
            Runner(name, (sys.executable, "-m", MODULE, "--serve", name, "--data", str(table)), TURNS, answers=False)
            for name in READERS
        ]
        measured, failed = measure(runners, plan)
        size = f"{table.stat().st_size / 1e6:.0f} MB"
    sums = sorted({entrant.ready.remark for entrant in measured})
    same = "all read the same" if len(sums) == 1 else "they did not read the same"
    for entrant in measured:
        entrant.ready = replace(entrant.ready, remark="")
    contest = beside(f"fer2013.csv, {size}", Task("to faces in memory", "ms"), measured, failed, timed)
    contest = replace(contest, remarks=(f"{same}: the sum of all grey values is {', '.join(sums)}",))
    return finish(measuring, contest, args, MODULE)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=__doc__, allow_abbrev=False)
    parser.add_argument("--data", type=Path, help=f"fer2013.csv (default: {FACES} random faces)")
    parser.add_argument("--serve", choices=tuple(READERS), help=argparse.SUPPRESS)
    add_options(parser, seconds=3.0)
    return parser


def _random_table(path: Path) -> Path:
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (FACES, SIDE, SIDE), dtype=np.uint8)
    labels, usages = (random.integers(0, classes, FACES).astype(np.uint8) for classes in (7, 3))
    write_csv(face_set(pixels, labels, usages, source=path.name), path)
    return path


def _serve(
    reader: Callable[[Path], Pixels], table: Path, folder: Path
) -> tuple[Ready, Callable[[Request], Answer | Turn]]:
    os.environ["FEROX_CACHE"] = str(folder / "cache")
    seen = int(reader(table).sum())
    remark = f"{seen}"
    package = "pandas" if reader is pandas_fromstring else "ferox"
    ready = Ready(version=importlib.metadata.version(package), threads=None, remark=remark)
    return ready, lambda request: turn(lambda: reader(table), request.seconds)


def pandas_fromstring(table: Path) -> Pixels:
    """Read a table as most programs on FER2013 do."""
    import pandas

    frame: Any = pandas.read_csv(table)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rows = [np.fromstring(text, dtype=np.uint8, sep=" ") for text in frame["pixels"]]
    return np.stack(rows).reshape(-1, SIDE, SIDE)


def ferox_first(table: Path) -> Pixels:
    """Read a table that nobody has read before."""
    shutil.rmtree(os.environ["FEROX_CACHE"], ignore_errors=True)
    return ferox_cached(table)


def ferox_cached(table: Path) -> Pixels:
    """Read a table that is in the cache, but for the first time."""
    return np.ascontiguousarray(load(table).pixels)


READERS: dict[str, Callable[[Path], Pixels]] = {
    "pandas": pandas_fromstring,
    "ferox, first read": ferox_first,
    "ferox, cached": ferox_cached,
}
TURNS = (Request(do="turn"),)


if __name__ == "__main__":
    run_command(main)
