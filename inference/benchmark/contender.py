"""The side of one contender, in a process of its own: it opens what it runs, then does what it is asked for."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.conversation import converse
from data.faceset import SIDE
from inference.benchmark.memory import peak_memory
from inference.benchmark.messages import Answer, Ready, Request, Turn

Pixels = NDArray[np.uint8]
Logits = NDArray[np.float32]
# Of a turn's length, how long it runs before its calls are counted: caches hold what another process did.
WARM_UP = 0.2
BATCH = 64


@dataclass(frozen=True)
class Opened:
    """A model that is ready to answer: `answer` gives logits float32[N, 7] of uint8[N, 48, 48].

    `piece` is how many faces it takes at once; None is any number.
    """

    version: str
    threads: int | None
    answer: Callable[[Pixels], Logits]
    piece: int | None = None
    remark: str = ""


def serve_model(opened: Callable[[], Opened], pixels: Path) -> None:
    """Serve a model, for the faces in `pixels`, which holds uint8[N, 48, 48] as they are; see `serve`."""

    def begin() -> tuple[Ready, Callable[[Request], Answer | Turn]]:
        model = opened()
        faces = np.fromfile(pixels, np.uint8).reshape(-1, SIDE, SIDE)
        answer = in_pieces(model.answer, model.piece)
        answer(faces[:1])

        def work(request: Request) -> Answer | Turn:
            if request.do == "answer":
                return _answered(answer, faces)
            batch = np.ascontiguousarray(np.resize(faces[: request.batch], (request.batch, SIDE, SIDE)))
            return turn(lambda: answer(batch), request.seconds)

        return Ready(version=model.version, threads=model.threads, remark=model.remark), work

    serve(begin)


def serve(begin: Callable[[], tuple[Ready, Callable[[Request], Answer | Turn]]]) -> None:
    """Begin, do what is asked for on stdin, and leave the process with an exit status."""
    converse(begin, Request)


def in_pieces(answer: Callable[[Pixels], Logits], piece: int | None) -> Callable[[Pixels], Logits]:
    """Return `answer` for any number of faces, where it takes `piece` at once; the last are filled up with black."""
    if piece is None:
        return answer

    def pieces(pixels: Pixels) -> Logits:
        short = -len(pixels) % piece
        filled = np.pad(pixels, ((0, short), (0, 0), (0, 0))) if short else pixels
        parts = [answer(filled[start : start + piece]) for start in range(0, len(filled), piece)]
        return np.concatenate(parts)[: len(pixels)]

    return pieces


def _answered(answer: Callable[[Pixels], Logits], faces: Pixels) -> Answer:
    parts = [answer(faces[start : start + BATCH]) for start in range(0, len(faces), BATCH)]
    return Answer(logits=tuple(tuple(map(float, row)) for row in np.concatenate(parts)))


def turn(call: Callable[[], Any], seconds: float, *, warm_up: bool = True) -> Turn:
    """Make calls for some seconds, after a fifth as long that is not counted; `warm_up` leaves that out of calls that
    are long themselves."""
    if warm_up:
        _calls(call, WARM_UP * seconds)
    began, worked = time.perf_counter(), time.process_time()
    milliseconds = _calls(call, seconds)
    busy = (time.process_time() - worked) / (time.perf_counter() - began)
    return Turn(milliseconds=milliseconds, busy=busy, memory=peak_memory([os.getpid()]))


def _calls(call: Callable[[], Any], seconds: float) -> tuple[float, ...]:
    """Return the milliseconds of each call, of which there is one at least."""
    taken: list[float] = []
    ends = time.perf_counter() + seconds
    while not taken or time.perf_counter() < ends:
        began = time.perf_counter()
        call()
        taken.append(1000 * (time.perf_counter() - began))
    return tuple(taken)
