"""How long models take, measured so that the figures may stand side by side.

The models take turns, so that whatever else the machine does meets all of them; the first run of a turn is not
counted, because the caches still hold the model before.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from inference.testtime import Predictor

TURN_SECONDS = 0.1


@dataclass(frozen=True)
class TimingPlan:
    """How often a batch is run: at least `runs` times and at least `seconds` long, after `warm_up` runs."""

    batch: int
    warm_up: int
    runs: int
    seconds: float


@dataclass(frozen=True)
class Timing:
    """Milliseconds of one run of a batch by percentile, and the images a second that the median gives.

    `least_runs` and `least_seconds` were asked for, `runs` and `seconds` were counted.
    """

    batch: int
    warm_up: int
    least_runs: int
    least_seconds: float
    runs: int
    seconds: float
    p50: float
    p95: float
    p99: float
    images_per_second: float


@dataclass
class _Clock:
    """Runs of one model so far, in seconds each."""

    predictor: Predictor
    taken: list[float] = field(default_factory=list)
    total: float = 0.0

    def run(self, faces: NDArray[np.uint8]) -> float:
        began = time.perf_counter()
        self.predictor.predict(faces)
        return time.perf_counter() - began

    def enough(self, plan: TimingPlan) -> bool:
        return len(self.taken) >= plan.runs and self.total >= plan.seconds

    def turn(self, faces: NDArray[np.uint8], plan: TimingPlan) -> float:
        """Run until the turn is over or all is measured; return the seconds counted."""
        self.run(faces)
        before = self.total
        while self.total - before < TURN_SECONDS and not self.enough(plan):
            self.taken.append(self.run(faces))
            self.total += self.taken[-1]
        return self.total - before


def interleaved(
    predictors: Sequence[Predictor],
    pixels: NDArray[np.uint8],
    plan: TimingPlan,
    advance: Callable[[float], None] = lambda seconds: None,
) -> list[Timing]:
    """Time models by turns on the first faces of `pixels`, uint8[N, 48, 48], repeated where they are too few.

    Args:
        predictors: what is timed, with everything that a caller of `predict` waits for.
        pixels: the faces.
        plan: batch size and how often it is run.
        advance: told of the seconds counted, after each turn.
    """
    faces = np.ascontiguousarray(np.resize(pixels[: plan.batch], (plan.batch, *pixels.shape[1:])))
    clocks = [_Clock(predictor) for predictor in predictors]
    for clock in clocks:
        for _ in range(plan.warm_up):
            clock.run(faces)
    while waiting := [clock for clock in clocks if not clock.enough(plan)]:
        for clock in waiting:
            advance(clock.turn(faces, plan))
    return [_timing(clock, plan) for clock in clocks]


def _timing(clock: _Clock, plan: TimingPlan) -> Timing:
    p50, p95, p99 = (float(value) for value in np.percentile(clock.taken, (50, 95, 99)) * 1000)
    return Timing(
        batch=plan.batch,
        warm_up=plan.warm_up,
        least_runs=plan.runs,
        least_seconds=plan.seconds,
        runs=len(clock.taken),
        seconds=clock.total,
        p50=p50,
        p95=p95,
        p99=p99,
        images_per_second=plan.batch / p50 * 1000,
    )
