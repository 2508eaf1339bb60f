"""What a comparison measures besides the answers to its faces: robustness and latency, each model once."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from inference.comparison.contenders import ContenderGroup
from inference.comparison.document import Robust
from inference.comparison.progress import Meter
from inference.ensemble import mean_probabilities
from inference.measure import robustness
from inference.measure.latency import TimingPlan, interleaved


def with_robustness(groups: Sequence[ContenderGroup], meter: Meter) -> list[ContenderGroup]:
    """Measure every contender on spoiled faces of its group; models that answer identically are run once."""
    return [_on_spoiled_faces(group, meter) for group in groups]


def _on_spoiled_faces(group: ContenderGroup, meter: Meter) -> ContenderGroup:
    chosen = robustness.stratified(group.answers.records["label"])
    records = group.answers.records[chosen]
    spoiled = robustness.spoil(np.ascontiguousarray(records["pixels"]), records["label"])
    answers: dict[str, NDArray[np.float32]] = {}
    first: dict[bytes, str] = {}
    robust: dict[str, Robust] = {}
    for model in (contender for contender in group.contenders if not contender.is_ensemble):
        twin = first.setdefault(model.probabilities.tobytes(), model.name)
        if twin == model.name:
            meter.stage(f"spoiled faces: {model.name}")
            count = meter.counter(model.members[0].seconds_per_face)
            answers[model.name] = robustness.answers(model.predictor, spoiled, count)
        answers[model.name] = answers[twin]
        robust[model.name] = _robust(spoiled, answers[model.name], None if twin == model.name else twin)
    for ensemble in (contender for contender in group.contenders if contender.is_ensemble):
        together = mean_probabilities([answers[model.assignment.name] for model in ensemble.members])
        robust[ensemble.name] = _robust(spoiled, together, None)
    measured = tuple(replace(contender, robustness=robust[contender.name]) for contender in group.contenders)
    return replace(group, contenders=measured, spoiled_faces=len(chosen))


def _robust(spoiled: robustness.Spoiled, probabilities: NDArray[np.float32], same_as: str | None) -> Robust:
    clean, *others = spoiled.accuracies(probabilities)
    return Robust(clean, tuple(others), same_as)


def with_latency(groups: Sequence[ContenderGroup], plans: Sequence[TimingPlan], meter: Meter) -> list[ContenderGroup]:
    """Time the contenders of all groups by turns, by each plan, on faces of the first group."""
    meter.stage("timing")
    predictors = [contender.predictor for group in groups for contender in group.contenders]
    pixels = groups[0].answers.records["pixels"]
    timings = zip(*(interleaved(predictors, pixels, plan, meter.advance) for plan in plans), strict=True)
    return [
        replace(group, contenders=tuple(replace(timed, timings=next(timings)) for timed in group.contenders))
        for group in groups
    ]
