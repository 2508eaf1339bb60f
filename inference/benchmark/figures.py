"""What follows from a record's figures: ratios, round by round, and what they leave open."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

import numpy as np
from numpy.typing import NDArray

from inference.benchmark.document import Agreement, Contender, Contest, Series
from inference.benchmark.messages import Turn


@dataclass(frozen=True)
class Range:
    """The median of some figures, with the lowest and the highest of them."""

    median: float
    low: float
    high: float


def spread(figures: tuple[float, ...]) -> Range:
    """Return the median and the range of figures, of which there is at least one."""
    return Range(median(figures), min(figures), max(figures))


def ratio(contest: Contest, contender: Contender, task: int) -> Range:
    """Return how many times as fast as the reference a contender is: above 1 is faster, whatever the unit.

    Both of a round were measured within seconds, so what else the machine did meets both; a round has one ratio.
    """
    own, other = contender.series[task].rounds, reference(contest).series[task].rounds
    pairs = zip(other, own, strict=True) if contest.tasks[task].less_is_better else zip(own, other, strict=True)
    return spread(tuple(over / under for over, under in pairs))


def reference(contest: Contest) -> Contender:
    """Return the contender that ratios are to."""
    return next(contender for contender in contest.contenders if contender.name == contest.reference)


def timed(turns: Sequence[Turn]) -> Series:
    """Return the series of a task that is told in milliseconds, of a turn for each round."""
    together = [call for turn in turns for call in turn.milliseconds]
    rounds = tuple(median(turn.milliseconds) for turn in turns)
    known = [turn.busy for turn in turns if turn.busy is not None]
    series = Series(rounds=rounds, calls=len(together), busy=sum(known) / len(known) if known else None)
    if len(together) == len(turns):
        return series
    p50, p95, p99 = (float(value) for value in np.percentile(together, (50, 95, 99)))
    return replace(series, p50=p50, p95=p95, p99=p99)


def rated(turns: Sequence[Turn], pieces: int) -> Series:
    """Return the series of a task that is told in pieces a second: of each round, `pieces` by the median call."""
    series = timed(turns)
    return replace(series, rounds=tuple(1000 * pieces / milliseconds for milliseconds in series.rounds))


def agreement(answers: NDArray[np.float32], expected: NDArray[np.float32]) -> Agreement:
    """Compare logits float32[N, 7] with the reference's."""
    difference = np.abs(answers.astype(np.float64) - expected)
    return Agreement(
        faces=len(expected),
        largest_difference=float(difference.max()),
        largest_logit=float(np.abs(expected).max()),
        other_labels=int((answers.argmax(axis=1) != expected.argmax(axis=1)).sum()),
    )


def peak(contest: Contest, precision: str) -> float | None:
    """Return the most operations a second that multiplying matrices came to in a precision, of any library in any
    round, since noise only slows down; None where none was measured."""
    found = [figure for peak in contest.peaks if peak.precision == precision for figure in peak.rounds]
    return 1e9 * max(found) if found else None


def share_of_peak(contest: Contest, contender: Contender, task: int) -> float | None:
    """Return the share of the machine's peak, in the contender's precision, that a task comes to which is told in faces
    a second or in milliseconds of one face; None where either is unknown."""
    most = None if contender.precision is None else peak(contest, contender.precision)
    if most is None or contest.operations is None:
        return None
    figure = median(contender.series[task].rounds)
    return (1000 / figure if contest.tasks[task].less_is_better else figure) * contest.operations / most
