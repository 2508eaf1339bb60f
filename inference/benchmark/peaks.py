"""What a processor can do at most, for shares of it: processes that multiply two large matrices, and what they did."""

import importlib.util
import sys
from collections.abc import Sequence
from typing import get_args

from data.commands import install_command
from inference.benchmark.document import Absent, Peak, Precision
from inference.benchmark.figures import timed
from inference.benchmark.messages import Request
from inference.benchmark.runner import Runner
from inference.benchmark.turns import Measured

SIDE = 2048  # Three such matrices in float32 are 50 MB, which no cache of a core holds.
PRECISIONS: tuple[Precision, ...] = ("fp32", "int8")
SEPARATOR = " matrices, "


def multiplications(threads: int, precisions: Sequence[Precision] = PRECISIONS) -> tuple[list[Runner], list[Absent]]:
    """Return onnxruntime's own multiplications, one for each of the precisions that it has on a processor."""
    if importlib.util.find_spec("onnx") is None:
        lacking = f"the package onnx, for a multiplication of matrices; {install_command('export')}"
        return [], [Absent("onnxruntime's peak", "not installed", lacking)]
    module = "inference.benchmark.multiply"
    kinds = [kind for kind in PRECISIONS if kind in precisions]
    return [peak_runner("onnxruntime", kind, (module, kind, str(threads))) for kind in kinds], []


def peak_runner(library: str, precision: str, words: tuple[str, ...]) -> Runner:
    """Return the process of one library's multiplication: a module, and what it is told."""
    turns = (Request(do="turn", batch=SIDE),)
    command = (sys.executable, "-m", *words)
    return Runner(f"{library}{SEPARATOR}{precision}", command, turns, answers=False, starts_count=False)


def peak_of(measured: Measured) -> Peak:
    """Return what a multiplication came to: two operations for each multiply-add."""
    library, _, precision = measured.runner.name.partition(SEPARATOR)
    kind = next(known for known in get_args(Precision) if known == precision)
    (turns,) = measured.turns
    rates = tuple(2 * SIDE**3 / (milliseconds * 1e6) for milliseconds in timed(turns).rounds)
    return Peak(library=f"{library} {measured.ready.version}", precision=kind, side=SIDE, rounds=rates)
