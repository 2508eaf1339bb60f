"""Workers on the machines of a Ray cluster, of which any may be lost: that costs nothing but time.

An actor of Ray reads no picture itself. It has a pool of one process, as a machine by itself has of several, so that a
picture that kills the process that reads it is found out there, in the same way and with the same sentence. What Ray
loses is an actor or a whole machine: no picture is to blame, and the tasks are given to another.
"""

import os
import socket
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data.errors import InputError
from data.terminal import warn
from inference.batch.conditions import Conditions, check, conditions
from inference.batch.pool import Answer, Pool
from inference.batch.worker import Task, WorkerSettings
from inference.cluster import check_room, joined, refusal

# While the answers to one travel, the other is at work; what is on its way stays bounded.
TASKS_AT_ONCE = 2
# A machine that goes takes several at once; more in a row is no accident.
MOST_LOSSES = 64
SILENT_SECONDS = 60.0


class Reader:
    """An actor: one process that reads pictures, on some machine."""

    def __init__(self, settings: WorkerSettings, folder: Path) -> None:
        # Relative paths start from where the job was started. Where that is not shared, `check` finds nothing there.
        if folder.is_dir():
            os.chdir(folder)
        # A spawned process imports the main module again: here Ray's, which is large, and nothing that it needs.
        vars(sys.modules["__main__"]).pop("__file__", None)
        self._settings = settings
        self._pool = Pool(settings, 1)

    def check(self, expected: Conditions, sample: Sequence[Path]) -> None:
        """Raise an `InputError` where this machine would give other answers."""
        host = socket.gethostname()
        try:
            found = conditions(self._settings, sample)
        except InputError as error:
            raise InputError(f"on {host}, {error}") from error
        check(found, expected, host)

    def read(self, task: Task) -> list[Answer]:
        """Return the answers to a task."""
        return [answer for answers in self._pool.run([task]) for answer in answers]


@dataclass(eq=False)
class _Actor:
    handle: Any
    given: dict[Any, Task] = field(default_factory=dict)
    checking: Any = None


class ClusterPool:
    """`jobs` actors of a cluster that has been joined; `ray` is the module."""

    def __init__(self, ray: Any, settings: WorkerSettings, jobs: int, sample: Sequence[Path]) -> None:
        self._ray = ray
        self._settings = settings
        self.jobs = jobs
        self._sample = sample
        self._expected = conditions(settings, sample)
        self._actors: list[_Actor] = []
        self._again: deque[Task] = deque()
        self._losses = 0

    def run(self, tasks: Iterable[Task]) -> Iterator[list[Answer]]:
        """Yield the answers to each task, in the order in which they come.

        Raises:
            InputError: a machine would give other answers, or Ray loses one actor after another.
        """
        coming = iter(tasks)
        self._actors = [self._started() for _ in range(self.jobs)]
        is_silent = False
        while True:
            for actor in self._actors:
                self._give(actor, coming)
            waiting = {reference: actor for actor in self._actors for reference in actor.given}
            checking = {actor.checking: actor for actor in self._actors if actor.checking is not None}
            if not waiting and not self._more(coming):
                return
            done, _ = self._ray.wait([*waiting, *checking], num_returns=1, timeout=SILENT_SECONDS)
            if not done and not waiting and not is_silent:
                is_silent = True
                warn("no machine of Ray's has room for a worker so far; it is waited for")
            for reference in done:
                yield from self._received(reference, (waiting | checking)[reference])

    def _more(self, coming: Iterator[Task]) -> bool:
        """Whether there is another task, which is then the next."""
        if not self._again and (task := next(coming, None)) is not None:
            self._again.append(task)
        return bool(self._again)

    def _give(self, actor: _Actor, coming: Iterator[Task]) -> None:
        while actor.checking is None and len(actor.given) < TASKS_AT_ONCE and self._more(coming):
            task = self._again.popleft()
            actor.given[actor.handle.read.remote(task)] = task

    def _received(self, reference: Any, actor: _Actor) -> Iterator[list[Answer]]:
        errors = self._ray.exceptions
        try:
            answers = self._ray.get(reference)
        except errors.RayTaskError as error:
            raise refusal(error) from error
        except errors.RayError as error:
            self._lost(actor, error)
            return
        self._losses = 0
        if reference is actor.checking:
            actor.checking = None
        else:
            del actor.given[reference]
            yield answers

    def _lost(self, actor: _Actor, error: Exception) -> None:
        # Where an actor does not even begin, ferox may be missing, or memory.
        self._losses += 1 if actor.checking is None else 8
        if self._losses > MOST_LOSSES:
            raise InputError(
                f"Ray loses one worker after another ({type(error).__name__}), expected them to work; see its logs, "
                "and install the same versions with the same extras on all machines"
            ) from error
        self._ray.kill(actor.handle)
        self._again += actor.given.values()
        self._actors[self._actors.index(actor)] = self._started()

    def _started(self) -> _Actor:
        settings = self._settings
        kind = self._ray.remote(num_cpus=settings.threads, num_gpus=_gpus(settings), max_restarts=0)(Reader)
        handle = kind.remote(settings, Path.cwd())
        return _Actor(handle, checking=handle.check.remote(self._expected, self._sample))


@contextmanager
def cluster_pool(
    address: str, settings: WorkerSettings, jobs: int | None, most: int, sample: Sequence[Path]
) -> Iterator[ClusterPool]:
    """Join the cluster at `address` for a block, and yield a pool of it.

    Args:
        address: see `inference.cluster.joined`.
        settings: what every worker loads for itself; a relative path starts from this process's folder.
        jobs: how many workers; None for as many as the cluster has processors for.
        most: how many workers there are at most, since the pictures are not enough for more.
        sample: some of the pictures.
    """
    with joined(address) as ray:
        check_room(ray, address, settings.threads, _gpus(settings), "--threads")
        processors = ray.cluster_resources().get("CPU", 0)
        room = max(1, int(processors // settings.threads))
        yield ClusterPool(ray, settings, min(jobs or room, most), sample)


def _gpus(settings: WorkerSettings) -> int:
    return 1 if settings.provider == "cuda" else 0
