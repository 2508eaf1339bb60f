"""Requests of one model that arrive together run as one batch.

An idle model begins at once. While it runs, faces gather; then those that wait run together, as soon as they fill a
batch or the first of them has waited long enough.
"""

import asyncio
import time
from collections import deque
from collections.abc import Iterable
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.errors import InputError
from ferox.serving.metrics import Metrics
from inference.engine import BATCH, Engine

Outputs = tuple[NDArray[np.float32], NDArray[np.float32]]


@dataclass(frozen=True)
class Answers:
    """Logits and probabilities of some faces, float32[N, 7] each, and the digest of the artifact that gave them."""

    logits: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    digest: str


@dataclass(frozen=True)
class _Part:
    """Faces uint8[N, 48, 48] of one request, at most `BATCH`, which engine they are for, and where its outputs go;
    `since` in seconds."""

    pixels: NDArray[np.uint8]
    engine: Engine
    outputs: "asyncio.Future[Outputs]"
    since: float


class Batcher:
    """One model's line. It belongs to one event loop; the model runs in `executor`, one batch at a time."""

    def __init__(self, name: str, engine: Engine, wait: float, executor: Executor, metrics: Metrics) -> None:
        # Another one may be put in its place: a request is answered by that of its arrival.
        self.engine = engine
        self._wait = wait
        self._executor = executor
        self._waiting: deque[_Part] = deque()
        self._full = asyncio.Event()
        self._runner: asyncio.Task[None] | None = None
        self._batch_faces = metrics.batch_faces.labels(name)
        self._run_seconds = metrics.run_seconds.labels(name)
        metrics.queue_faces.labels(name).set_function(self.waiting)

    def waiting(self) -> int:
        """Return how many faces wait for the model."""
        return _faces(part for part in self._waiting if not part.outputs.done())

    async def run(self, pixels: NDArray[np.uint8]) -> Answers:
        """Return what the engine of now answers to grey faces uint8[N, 48, 48], N at least 1.

        Who stops waiting gives up the place: what has not begun by then does not run.

        Raises:
            InputError: the model cannot answer these faces; see `Engine.run`.
        """
        engine = self.engine
        parts = [self._put(pixels[at : at + BATCH], engine) for at in range(0, len(pixels), BATCH)]
        try:
            outputs = [await part.outputs for part in parts]
        finally:
            for part in parts:
                part.outputs.cancel()
        logits, probabilities = zip(*outputs, strict=True)
        return Answers(np.concatenate(logits), np.concatenate(probabilities), engine.manifest.digest)

    def _put(self, pixels: NDArray[np.uint8], engine: Engine) -> _Part:
        loop = asyncio.get_running_loop()
        part = _Part(pixels, engine, loop.create_future(), time.monotonic())
        # Where one part fails, nobody waits for the others' failures.
        part.outputs.add_done_callback(lambda outputs: outputs.cancelled() or outputs.exception())
        self._waiting.append(part)
        if self.waiting() >= BATCH:
            self._full.set()
        if self._runner is None:
            self._runner = loop.create_task(self._work())
        return part

    async def _work(self) -> None:
        try:
            while batch := self._taken():
                await self._answer(batch)
                await self._gathered()
        finally:
            self._runner = None

    async def _gathered(self) -> None:
        """Wait until those that wait fill a batch, or the first of them has waited long enough."""
        self._full.clear()
        if not self._waiting or self.waiting() >= BATCH:
            return
        left = self._waiting[0].since + self._wait - time.monotonic()
        if left > 0:
            try:
                async with asyncio.timeout(left):
                    await self._full.wait()
            except TimeoutError:
                pass

    def _taken(self) -> list[_Part]:
        """Take the parts of the next batch, passing over those that nobody waits for any more."""
        batch: list[_Part] = []
        while self._waiting:
            part = self._waiting[0]
            if batch and (part.engine is not batch[0].engine or _faces(batch) + len(part.pixels) > BATCH):
                break
            self._waiting.popleft()
            if not part.outputs.done():
                batch.append(part)
        return batch

    async def _answer(self, batch: list[_Part]) -> None:
        try:
            logits, probabilities = await self._ran(batch[0].engine, [part.pixels for part in batch])
        except InputError as error:
            if len(batch) == 1:
                _fail(batch, error)
                return
            # Whose fault it is shows when each runs by itself.
            for part in batch:
                await self._answer([part])
        except Exception as error:
            _fail(batch, error)
        else:
            start = 0
            for part in batch:
                rows = slice(start, start + len(part.pixels))
                start = rows.stop
                if not part.outputs.done():
                    part.outputs.set_result((logits[rows], probabilities[rows]))

    async def _ran(self, engine: Engine, pixels: list[NDArray[np.uint8]]) -> Outputs:
        together = pixels[0] if len(pixels) == 1 else np.concatenate(pixels)
        began = time.perf_counter()
        outputs = await asyncio.get_running_loop().run_in_executor(self._executor, engine.run, together)
        self._run_seconds.observe(time.perf_counter() - began)
        self._batch_faces.observe(len(together))
        return outputs


def _faces(parts: Iterable[_Part]) -> int:
    return sum(len(part.pixels) for part in parts)


def _fail(batch: list[_Part], error: Exception) -> None:
    for part in batch:
        if not part.outputs.done():
            part.outputs.set_exception(error)
