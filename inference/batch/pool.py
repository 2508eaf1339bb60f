"""Workers that share tasks, one of which may die at any picture: that costs the picture alone."""

import multiprocessing
import signal
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path

from data.errors import InputError
from inference.batch.table import Row, rows
from inference.batch.worker import NOTHING, Done, Task, WorkerSettings, work
from inference.photos.reading import PicturePrediction

Answer = tuple[int, tuple[Row, ...]]
# Somebody may end one by mistake; more is no accident.
MOST_IDLE_DEATHS = 8
# A fork would copy locks that libraries' threads may hold.
_SPAWN = multiprocessing.get_context("spawn")


@dataclass
class _Worker:
    process: SpawnProcess
    tasks: Connection
    at: "Synchronized[int]"
    given: deque[Task] = field(default_factory=deque)
    is_ready: bool = False


class Pool:
    """`jobs` workers; use it as a context, at whose end they are gone."""

    def __init__(self, settings: WorkerSettings, jobs: int) -> None:
        self._settings = settings
        self.jobs = jobs
        self._workers: list[_Worker] = []
        self._again: deque[Task] = deque()
        self._idle_deaths = 0

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.process.kill()
            worker.process.join()

    def run(self, tasks: Iterable[Task]) -> Iterator[list[Answer]]:
        """Yield the answers to each task, in the order in which they come.

        A picture at which a worker dies is tried once more by itself; where that dies, too, its row says so.

        Raises:
            InputError: workers cannot even start.
        """
        coming = iter(tasks)
        if not self._workers:
            self._workers = [self._started() for _ in range(self.jobs)]
        while True:
            for worker in self._workers:
                self._give(worker, coming)
            if not any(worker.given for worker in self._workers):
                return
            ready = wait([end for worker in self._workers for end in (worker.tasks, worker.process.sentinel)])
            for worker in list(self._workers):
                # What a dying worker has sent comes first.
                if worker.tasks in ready or worker.process.sentinel in ready:
                    yield from self._received(worker)

    def _give(self, worker: _Worker, coming: Iterator[Task]) -> None:
        # Two at a time: while the answers to one travel, the other is at work.
        while len(worker.given) < 2:
            task = self._again.popleft() if self._again else next(coming, None)
            if task is None:
                return
            worker.given.append(task)
            try:
                worker.tasks.send(task)
            except OSError:
                return  # It has died, as will be received, and the task is among those that it was given.

    def _received(self, worker: _Worker) -> Iterator[list[Answer]]:
        try:
            while worker.tasks.poll():
                said = worker.tasks.recv()
                worker.is_ready = True
                if isinstance(said, Done):
                    worker.given.popleft()
                    yield list(said.answers)
        except (EOFError, OSError):
            yield from self._died(worker)
        else:
            if not worker.process.is_alive() and not worker.tasks.poll():
                yield from self._died(worker)

    def _died(self, worker: _Worker) -> Iterator[list[Answer]]:
        worker.process.join()
        how, at = _ending(worker.process.exitcode), worker.at.value
        self._idle_deaths += at == NOTHING
        if not worker.is_ready or self._idle_deaths > MOST_IDLE_DEATHS:
            raise InputError(f"a worker {how} while it read no picture, expected it to work; see what it said")
        self._workers[self._workers.index(worker)] = self._started()
        for task in worker.given:
            suspects = [picture for picture in task.pictures if picture[0] == at]
            others = tuple(picture for picture in task.pictures if picture[0] != at)
            if suspects and not others:
                ((number, path),) = suspects
                yield [_killed(number, path, how)]
                continue
            self._again += [Task(pictures) for pictures in (others, tuple(suspects)) if pictures]

    def _started(self) -> _Worker:
        ours, theirs = _SPAWN.Pipe()
        at = _SPAWN.Value("q", NOTHING, lock=True)
        process = _SPAWN.Process(target=work, args=(self._settings, theirs, at), daemon=True)
        process.start()
        theirs.close()
        return _Worker(process, ours, at)


def _killed(number: int, path: Path, how: str) -> Answer:
    sentence = f"{path.name} is not read: the process that read it {how}, twice; expected a picture; check it"
    return number, tuple(rows(number, PicturePrediction(str(path), (), (), sentence)))


def _ending(status: int | None) -> str:
    if status is not None and status < 0:
        return f"was ended by {signal.Signals(-status).name}"
    return f"ended with status {status}"
