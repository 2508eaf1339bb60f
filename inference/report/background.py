"""Writes reports, in this process or in others, while this one goes on running models.

Others are spawned, which imports a program's main module anew: for commands, not for programs of others. matplotlib
holds Python's lock for most of a second per report; in threads it would stop the engine for as long.
"""

import multiprocessing
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from data.terminal import guard
from inference.machine import available_cpus
from inference.report.writer import Draft

MAX_WORKERS = 4
# Opened with the folder that reports go to, it gives a function that has one written.
Writer = Callable[[Path], AbstractContextManager[Callable[[Draft], None]]]


@contextmanager
def write_here(out: Path) -> Iterator[Callable[[Draft], None]]:
    """Yield a function that writes a report into `out` at once, in this process."""

    def write(draft: Draft) -> None:
        draft.write(out)

    yield write


@contextmanager
def report_writer(out: Path) -> Iterator[Callable[[Draft], None]]:
    """Yield a function that has a report written into `out`; at the end of the block all of them are.

    The first error of a writer is raised at the end of the block.
    """
    workers = max(1, min(MAX_WORKERS, available_cpus() // 2))
    # A fork would copy locks that onnxruntime's threads may hold.
    spawn = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=spawn, initializer=_prepare)
    written: list[Future[Path]] = []
    try:

        def write(draft: Draft) -> None:
            written.append(pool.submit(draft.write, out))

        yield write
        for future in written:
            future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _prepare() -> None:
    # Libraries print warnings with names from reports in them.
    guard()
    # Ctrl-C is for the process that people started, which ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
