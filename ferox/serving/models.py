"""The models that are served: loaded at the start, and again where their file has been replaced.

A file that cannot be used takes no model away: the former one goes on answering, and the log says why.
"""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data.errors import InputError
from ferox.serving.batching import Answers, Batcher
from ferox.serving.documents import ModelDescription
from ferox.serving.log import log
from ferox.serving.metrics import Metrics
from ferox.serving.protocol import VERSION
from ferox.serving.refusals import Refused
from ferox.serving.settings import Settings
from inference.engine import Engine

LOOK_SECONDS = 1.0  # Between two looks for replaced files.
# What changes where a file is replaced or written: its number, time in ns, and size in bytes.
State = tuple[int, int, int]


@dataclass
class Served:
    """A model, its line, and the file's state when it was last looked at."""

    name: str
    path: Path
    batcher: Batcher
    state: State

    @property
    def engine(self) -> Engine:
        """What answers now."""
        return self.batcher.engine

    async def answers(self, pixels: NDArray[np.uint8]) -> Answers:
        """Return what the model answers to grey faces uint8[N, 48, 48], N at least 1.

        Raises:
            Refused: 500, it does not give probabilities of these faces.
        """
        try:
            return await self.batcher.run(pixels)
        except InputError as error:
            raise Refused(500, str(error)) from error

    def description(self) -> ModelDescription:
        """Say what answers now."""
        manifest = self.engine.manifest
        return ModelDescription(
            self.name,
            manifest.model,
            manifest.framework,
            manifest.precision,
            manifest.parameters,
            manifest.labels,
            manifest.digest,
        )


class Models:
    """All models of a server, by name. They belong to one event loop.

    Raises:
        InputError: one of them cannot be used.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._executor = ThreadPoolExecutor(len(settings.models), "model")
        self._served = {name: self._first(name, path) for name, path in settings.models.items()}

    def __iter__(self) -> Iterator[Served]:
        return iter(self._served.values())

    def named(self, name: str | None, version: str | None = None) -> Served:
        """Return a model; the first where none is named.

        Raises:
            Refused: 404, there is none of that name and version.
        """
        served = next(iter(self)) if not name else self._served.get(name)
        if served is None:
            raise Refused(404, f"the model is {name!r:.100}, expected one of {', '.join(self._served)}; choose one")
        # A file that is replaced keeps its version: the digest tells which one answered.
        if version not in (None, VERSION):
            raise Refused(404, f"the version is {version!r:.40}, expected {VERSION}; leave it out")
        return served

    async def watch(self) -> None:
        """Take up replaced files for as long as the server runs."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            for served in self:
                try:
                    await self._look(served)
                except Exception as error:  # Whatever it is, later replacements are still looked for.
                    log("model", "error", failure=error, model=served.name)

    def close(self) -> None:
        """End the threads that models run in, when their batches have ended."""
        self._executor.shutdown()

    def _first(self, name: str, path: Path) -> Served:
        state = _state(path)
        batcher = Batcher(name, self._load(path), self._settings.limits.wait, self._executor, self._metrics)
        # Before it is read, so that what replaces it meanwhile is another one.
        return Served(name, path, batcher, state)

    def _load(self, path: Path) -> Engine:
        return Engine.load(path, provider=self._settings.provider, threads=self._settings.threads)

    async def _look(self, served: Served) -> None:
        try:
            state = await asyncio.to_thread(_state, served.path)
            if state == served.state:
                return
            served.state = state
            served.batcher.engine = await asyncio.to_thread(self._load, served.path)
        except InputError as error:
            self._note(served, "refused", str(error))
        else:
            self._note(served, "taken up", "")

    def _note(self, served: Served, outcome: str, reason: str) -> None:
        self._metrics.replacements.labels(served.name, outcome).inc()
        level = "warning" if reason else "info"
        log("model", level, model=served.name, outcome=outcome, digest=served.engine.manifest.digest, reason=reason)


def _state(path: Path) -> State:
    """Return a file's state; one that is gone or cannot be looked at has one of its own, since loading says why."""
    try:
        status = path.stat()
    except OSError:
        return (0, 0, 0)
    return (status.st_ino, status.st_mtime_ns, status.st_size)
