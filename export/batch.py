"""Many runs to artifacts, as many at once as there are processors for.

A conversion has one thread, and so have the first and the last steps of every export: several exports with a share of
the processors each are sooner done than one after another with all of them. Runs of one framework follow each other,
so that no worker loads a framework twice.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from data.faceset import FaceSet
from data.splits import Split
from export.job import ExportJob
from export.worker import Worker
from inference.machine import available_cpus
from training.run import RunRecord, faces_path, run_split, undivided_faces

# Each holds a framework and a network, about 1 GB.
MOST_WORKERS = 4
# To load one, and what its converter needs, takes as long as several small models.
WORTH_LOADING = 3


class SharedFaces:
    """Loads runs' faces as `training.run.run_faces` does, but once for runs of the same ones that follow each other."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: tuple[tuple[Path | None, str, bool], FaceSet] | None = None

    def __call__(self, record: RunRecord, data: Path | None) -> tuple[FaceSet, Split]:
        """Return a run's faces, and how it divides them; see `training.run.run_faces`."""
        where = faces_path(record, data), record.classes, record.skip_bad_rows
        with self._lock:
            if self._last is None or self._last[0] != where:
                self._last = where, undivided_faces(record, data)
            faces = self._last[1]
        return faces, run_split(record, faces)


class Queue:
    """Jobs that wait, shared out such that few workers load the same framework."""

    def __init__(self, jobs: Sequence[ExportJob]) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[str, list[int]] = {}
        for place, job in enumerate(jobs):
            self._waiting.setdefault(job.record.settings.framework, []).append(place)
        self._taken: Counter[str] = Counter()

    def next(self, framework: str) -> tuple[str, int] | None:
        """Return the framework and the place of what a worker does next that has `framework` (or none, empty), or None.

        It goes on with its own; then comes one that nobody has, then the one with the most jobs left, if they are worth
        loading it.
        """
        with self._lock:
            if not self._waiting.get(framework):
                self._taken[framework] -= 1
                free = [name for name, places in self._waiting.items() if places and self._taken[name] <= 0]
                most = max(self._waiting, key=lambda name: len(self._waiting[name]), default=framework)
                if not free and len(self._waiting.get(most, ())) < WORTH_LOADING:
                    return None
                framework = free[0] if free else most
                self._taken[framework] += 1
            return framework, self._waiting[framework].pop(0)

    def clear(self) -> None:
        """Leave nothing to do."""
        with self._lock:
            self._waiting = {}


def in_parallel(
    jobs: Sequence[ExportJob], export: Callable[[ExportJob, Worker], Path]
) -> Iterator[tuple[ExportJob, Future[Path]]]:
    """Export all jobs, and yield each with what came of it, in the order that they were given in.

    Args:
        jobs: what is exported.
        export: exports one by a worker, and returns the artifact or raises.
    """
    count = max(1, min(len(jobs), available_cpus(), MOST_WORKERS))
    threads = None if count == 1 else max(1, available_cpus() // count)
    queue, faces = Queue(jobs), SharedFaces()
    results: list[Future[Path]] = [Future() for _ in jobs]

    def work(worker: Worker) -> None:
        framework = ""
        while (following := queue.next(framework)) is not None:
            framework, place = following
            try:
                results[place].set_result(export(jobs[place], worker))
            except BaseException as error:  # It is raised where the result is asked for.
                results[place].set_exception(error)

    with ExitStack() as stack:
        workers = [stack.enter_context(Worker(threads, faces)) for _ in range(count)]
        pool = stack.enter_context(ThreadPoolExecutor(count))
        for worker in workers:
            pool.submit(work, worker)
        try:
            for job, result in zip(jobs, results, strict=True):
                result.exception()
                yield job, result
        except BaseException:
            # What no framework is needed for comes to its end.
            queue.clear()
            for worker in workers:
                worker.kill()
            raise
