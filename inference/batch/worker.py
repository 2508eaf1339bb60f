"""A process that reads pictures: it decodes them, finds their faces and asks the model, each picture by itself.

A picture's answer does not depend on what is read beside it: a job that was interrupted ends as one that was not.
"""

import signal
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path

import cv2

from data.memory import keep_freed_blocks
from data.terminal import guard
from inference.batch.table import Row, rows
from inference.confidence import ALWAYS
from inference.engine import Engine
from inference.photos.faces import Policy, finder
from inference.photos.reading import predict_files

NOTHING = -1
READY = "ready"


@dataclass(frozen=True)
class WorkerSettings:
    """What every worker loads for itself."""

    model: Path
    provider: str
    threads: int
    yunet: Path | None
    faces: Policy
    min_confidence: float = ALWAYS
    decode_side: int | None = None


@dataclass(frozen=True)
class Task:
    """Pictures to read, by their numbers among all."""

    pictures: tuple[tuple[int, Path], ...]


@dataclass(frozen=True)
class Done:
    """What a task came to: a picture's rows by its number."""

    answers: tuple[tuple[int, tuple[Row, ...]], ...]


def work(settings: WorkerSettings, tasks: Connection, at: "Synchronized[int]") -> None:
    """Answer tasks until there are no more; `at` gets the number of the picture being read, in case this one dies."""
    guard()
    keep_freed_blocks()
    # Ctrl-C is for the process that people started, which ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(settings.threads)
    engine = Engine.load(settings.model, provider=settings.provider, threads=settings.threads)
    search = finder(settings.yunet)
    tasks.send(READY)
    while task := _next(tasks):
        answers = []
        for number, path in task.pictures:
            at.value = number
            (prediction,) = predict_files(
                engine,
                [path],
                search,
                settings.faces,
                keep_errors=True,
                min_confidence=settings.min_confidence,
                decode_side=settings.decode_side,
            )
            answers.append((number, tuple(rows(number, prediction))))
        at.value = NOTHING
        tasks.send(Done(tuple(answers)))


def _next(tasks: Connection) -> Task | None:
    """Return the next task; None where the process that gives them has ended, however it did."""
    try:
        task: Task = tasks.recv()
    except EOFError:
        return None
    return task
