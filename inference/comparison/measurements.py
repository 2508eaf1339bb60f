"""What a comparison measures besides the answers to its faces: robustness and latency, each model once."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from inference.comparison.contenders import Contender, Table
from inference.comparison.document import Robust
from inference.comparison.progress import Meter
from inference.ensemble import mean_probabilities
from inference.evaluate import Assignment
from inference.measure import robustness
from inference.measure.latency import Plan, Timing, interleaved


def _load() -> float | None:
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


@dataclass
class Measured:
    """All measurements by contender: its task, what a face costs it in seconds, and the rest where it was asked for.

    `evaluation_seconds` is the wall time from loading the models to the last of their reports, `engine_seconds` what
    the engines took of it; `load` is the mean number of processes that wanted a processor in the minute before all.
    """

    tasks: dict[str, Assignment] = field(default_factory=dict)
    costs: dict[str, float] = field(default_factory=dict)
    engine_seconds: float = 0.0
    evaluation_seconds: float = 0.0
    robust: dict[str, Robust] = field(default_factory=dict)
    robust_faces: dict[str, int] = field(default_factory=dict)
    timings: dict[str, tuple[Timing, ...]] = field(default_factory=dict)
    load: float | None = field(default_factory=_load)


def measure_robustness(tables: Sequence[Table], measured: Measured, meter: Meter) -> None:
    """Measure every contender on spoiled faces of its table; models that answer identically are run once."""
    for table in tables:
        answers = table.answers
        chosen = robustness.stratified(answers.records["label"])
        records = answers.records[chosen]
        spoiled = robustness.spoil(np.ascontiguousarray(records["pixels"]), records["label"])
        said: dict[str, NDArray[np.float32]] = {}
        first: dict[bytes, str] = {}
        for one in (one for one in table.contenders if not one.is_ensemble):
            twin = first.setdefault(one.probabilities.tobytes(), one.name)
            if twin == one.name:
                meter.stage(f"spoiled faces: {one.name}")
                said[one.name] = robustness.answers(one.predictor, spoiled, meter.counter(measured.costs[one.name]))
            said[one.name] = said[twin]
            measured.robust[one.name] = _robust(spoiled, said[one.name], None if twin == one.name else twin)
        for one in (one for one in table.contenders if one.is_ensemble):
            together = mean_probabilities([said[member.name] for member in one.members])
            measured.robust[one.name] = _robust(spoiled, together, None)
        measured.robust_faces[table.heading] = len(chosen)


def _robust(spoiled: robustness.Spoiled, probabilities: NDArray[np.float32], same_as: str | None) -> Robust:
    clean, *others = spoiled.accuracies(probabilities)
    return Robust(clean, tuple(others), same_as)


def measure_latency(tables: Sequence[Table], measured: Measured, plans: Sequence[Plan], meter: Meter) -> None:
    """Time the contenders of all tables by turns, on faces of the first one."""
    meter.stage("timing")
    contenders: list[Contender] = [one for table in tables for one in table.contenders]
    pixels = tables[0].answers.records["pixels"]
    timings = [interleaved([one.predictor for one in contenders], pixels, plan, meter.advance) for plan in plans]
    for place, one in enumerate(contenders):
        measured.timings[one.name] = tuple(timing[place] for timing in timings)
