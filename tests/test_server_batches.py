"""How requests become batches: with a real engine, in a real thread that the test holds up."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from data.errors import InputError
from data.faceset import FaceSet
from inference.engine import Engine

pytest.importorskip("prometheus_client", reason="the server needs ferox[serve]")

from ferox.serving.batching import Answers, Batcher
from ferox.serving.metrics import Metrics

NAME = "mlp_1"


@dataclass(frozen=True)
class Line:
    """A model's line whose only thread is held up until `free` is set."""

    batcher: Batcher
    metrics: Metrics
    free: threading.Event

    def figure(self, name: str) -> float:
        value = self.metrics.registry.get_sample_value(name, {"model": NAME})
        assert value is not None
        return value


@asynccontextmanager
async def line(model: Path, wait: float = 0.0) -> AsyncIterator[Line]:
    metrics, free = Metrics(), threading.Event()
    with ThreadPoolExecutor(1) as executor:
        executor.submit(free.wait, 60)
        try:
            yield Line(Batcher(NAME, Engine.load(model, provider="cpu"), wait, executor, metrics), metrics, free)
        finally:
            free.set()


def run(test: Callable[[], Awaitable[Any]]) -> None:
    async def within() -> None:
        async with asyncio.timeout(60):
            await test()

    asyncio.run(within())


async def turns(count: int = 5) -> None:
    """Let what is ready run."""
    for _ in range(count):
        await asyncio.sleep(0)


def same(answers: Answers, engine: Engine, pixels: NDArray[np.uint8]) -> None:
    logits, probabilities = engine.run(pixels)
    np.testing.assert_allclose(answers.logits, logits, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(answers.probabilities, probabilities, rtol=1e-5, atol=1e-6)
    assert answers.digest == engine.manifest.digest


def test_requests_that_arrive_together_run_as_one_batch(tiny_model: Path, drawn: FaceSet) -> None:
    async def test() -> None:
        async with line(tiny_model) as made:
            made.free.set()
            requests = [drawn.pixels[n : n + 1 + n % 3] for n in range(10)]
            answers = await asyncio.gather(*map(made.batcher.run, requests))
            assert made.figure("ferox_batch_faces_count") == 1
            assert made.figure("ferox_batch_faces_sum") == sum(map(len, requests))
            for pixels, answer in zip(requests, answers, strict=True):
                same(answer, made.batcher.engine, pixels)

    run(test)


def test_what_comes_while_the_model_runs_is_the_next_batch_of_at_most_64(tiny_model: Path, drawn: FaceSet) -> None:
    async def test() -> None:
        async with line(tiny_model) as made:
            first = asyncio.create_task(made.batcher.run(drawn.pixels[:1]))
            await turns()
            others = [asyncio.create_task(made.batcher.run(drawn.pixels[n : n + 1])) for n in range(100)]
            await turns()
            assert made.figure("ferox_queue_faces") == 100
            made.free.set()
            await asyncio.gather(first, *others)
            sizes = [made.figure(f"ferox_batch_faces_{what}") for what in ("count", "sum")]
            assert sizes == [3, 101]  # 1, 64 and 36.
            assert made.figure("ferox_queue_faces") == 0

    run(test)


def test_a_large_request_runs_in_parts_and_comes_back_whole(tiny_model: Path, drawn: FaceSet) -> None:
    async def test() -> None:
        async with line(tiny_model) as made:
            made.free.set()
            same(await made.batcher.run(drawn.pixels[:200]), made.batcher.engine, drawn.pixels[:200])
            assert made.figure("ferox_batch_faces_count") == 4

    run(test)


def test_who_waits_while_the_model_is_busy_waits_for_others(tiny_model: Path, drawn: FaceSet) -> None:
    async def test() -> None:
        async with line(tiny_model, wait=30) as made:
            first = asyncio.create_task(made.batcher.run(drawn.pixels[:1]))
            await turns()
            second = asyncio.create_task(made.batcher.run(drawn.pixels[1:2]))
            await turns()
            made.free.set()
            await first  # An idle model began at once.
            await asyncio.sleep(0.2)
            assert not second.done()
            await made.batcher.run(drawn.pixels[:63])  # They fill a batch.
            await second
            assert made.figure("ferox_batch_faces_count") == 2

    run(test)


def test_who_stops_waiting_gives_up_the_place(tiny_model: Path, drawn: FaceSet) -> None:
    async def test() -> None:
        async with line(tiny_model) as made:
            first = asyncio.create_task(made.batcher.run(drawn.pixels[:1]))
            await turns()
            gone = asyncio.create_task(made.batcher.run(drawn.pixels[:200]))
            stays = asyncio.create_task(made.batcher.run(drawn.pixels[:2]))
            await turns()
            assert made.figure("ferox_queue_faces") == 202
            gone.cancel()
            await turns()
            assert made.figure("ferox_queue_faces") == 2
            made.free.set()
            await asyncio.gather(first, stays)
            assert made.figure("ferox_batch_faces_sum") == 3

    run(test)


def face(first: int, second: int) -> NDArray[np.uint8]:
    pixels = np.zeros((1, 48, 48), np.uint8)
    pixels[0, 0, :2] = first, second
    return pixels


def test_one_requests_fault_is_its_own(overflowing: Path) -> None:
    async def test() -> None:
        async with line(overflowing) as made:
            made.free.set()
            requests = [face(255, 0), face(255, 255), face(0, 255)]
            answers = await asyncio.gather(*map(made.batcher.run, requests), return_exceptions=True)
            assert isinstance(answers[1], InputError)
            for answer in (answers[0], answers[2]):
                assert not isinstance(answer, BaseException)
                np.testing.assert_array_equal(answer.logits, np.zeros((1, 7), np.float32))
            large = np.concatenate([np.concatenate([face(255, 0)] * 64), face(255, 255)])
            with pytest.raises(InputError, match="something other than probabilities"):
                await made.batcher.run(large)
            assert (await made.batcher.run(face(255, 0))).logits.shape == (1, 7)

    run(test)


def test_a_request_is_answered_by_the_engine_of_its_arrival(
    tiny_model: Path, overflowing: Path, drawn: FaceSet
) -> None:
    async def test() -> None:
        async with line(tiny_model) as made:
            before, after = made.batcher.engine, Engine.load(overflowing, provider="cpu")
            first = asyncio.create_task(made.batcher.run(drawn.pixels[:1]))
            await turns()
            second = asyncio.create_task(made.batcher.run(drawn.pixels[1:2]))
            await turns()
            made.batcher.engine = after
            third = asyncio.create_task(made.batcher.run(face(255, 0)))
            await turns()
            made.free.set()
            same(await first, before, drawn.pixels[:1])
            same(await second, before, drawn.pixels[1:2])
            same(await third, after, face(255, 0))
            assert made.figure("ferox_batch_faces_count") == 3

    run(test)
