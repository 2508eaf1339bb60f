"""What stands side by side in a comparison: models, models under test-time augmentation, and ensembles of these."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.comparison.document import Robust
from inference.ensemble import Choice, Ensemble, mean_probabilities
from inference.manifest import Manifest
from inference.measure.evaluation import Answers, Assignment, Evaluation
from inference.measure.latency import Timing
from inference.measure.metrics import Summary, summarise
from inference.report.document import Report, in_tables
from inference.report.writer import report_of
from inference.testtime import Predictor

# Settings that twins need not share, see `decisive_settings`. Patience ends a run and changes no epoch of it.
ASIDE = {"framework", "device", "threads", "keep", "split", "patience"}
OFF: tuple[Any, ...] = (None, False, 0, "none", ())


@dataclass(frozen=True)
class EvaluatedModel:
    """One model with its evaluation and report; `seconds_per_face` is what an answer costs in batches."""

    evaluation: Evaluation
    report: Report
    seconds_per_face: float

    @property
    def assignment(self) -> Assignment:
        """The model, and the faces that it was measured on."""
        return self.evaluation.assignment

    @property
    def manifest(self) -> Manifest:
        """What the artifact says of itself."""
        return self.assignment.engine.manifest


@dataclass(frozen=True)
class Contender:
    """One row of a table: one model, or several whose probabilities are averaged; float32[N, 7].

    `choice` holds how the members of an ensemble were picked; None where they were named by hand. `robustness` and
    `timings`, of one face and of full batches, are None and empty until they are measured.
    """

    name: str
    members: tuple[EvaluatedModel, ...]
    predictor: Predictor
    probabilities: NDArray[np.float32]
    summary: Summary
    choice: Choice | None = None
    robustness: Robust | None = None
    timings: tuple[Timing, ...] = ()

    @property
    def is_ensemble(self) -> bool:
        """Whether it is more than one model."""
        return len(self.members) > 1

    @cached_property
    def predictions(self) -> NDArray[np.int64]:
        """int64[N]: the most probable class of each face."""
        guesses: NDArray[np.int64] = self.probabilities.argmax(axis=1)
        return guesses

    @cached_property
    def answers(self) -> Answers:
        """The answers together with the faces they were given to."""
        first = self.members[0].evaluation.answers
        return Answers(first.indices, first.records, self.probabilities)


@dataclass(frozen=True)
class ContenderGroup:
    """Contenders that may be compared: one protocol, one training set, one set of faces; best accuracy first.

    `spoiled_faces` is how many faces robustness was measured on, None until it is.
    """

    heading: str
    contenders: tuple[Contender, ...]
    notes: tuple[str, ...] = ()
    spoiled_faces: int | None = None

    @property
    def answers(self) -> Answers:
        """The first contender's answers; the faces are everybody's."""
        return self.contenders[0].answers

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """int64[N]: the true classes."""
        return self.answers.records["label"].astype(np.int64)

    @cached_property
    def predictions(self) -> NDArray[np.int64]:
        """int64[M, N]: the prediction of each contender for each face."""
        return np.stack([contender.predictions for contender in self.contenders])


def contender(evaluation: Evaluation, seconds_per_face: float) -> Contender:
    """A model, as a row of its table."""
    task, report = evaluation.assignment, report_of(evaluation)
    model = EvaluatedModel(evaluation, report, seconds_per_face)
    return Contender(task.name, (model,), task.predictor, evaluation.probabilities, evaluation.summary)


def ensemble(name: str, members: Sequence[Contender], choice: Choice | None = None) -> Contender:
    """Some models as one, as a row of their table."""
    probabilities = mean_probabilities([member.probabilities for member in members])
    models = tuple(model for member in members for model in member.members)
    predictor = Ensemble(tuple(member.predictor for member in members))
    summary = summarise(members[0].answers.records["label"], probabilities)
    return Contender(name, models, predictor, probabilities, summary, choice)


def contender_groups(contenders: Sequence[Contender]) -> list[ContenderGroup]:
    """Put together what may be compared, the official protocol before others, and each group's best first."""
    groups = in_tables(contenders, _report)
    official_first = sorted(groups, key=lambda group: _report(group[0]).evaluated_on.protocol != "official")
    return [ContenderGroup(_report(group[0]).heading, ranked(group)) for group in official_first]


def _report(contender: Contender) -> Report:
    return contender.members[0].report


def ranked(contenders: Sequence[Contender]) -> tuple[Contender, ...]:
    """Best accuracy first."""
    return tuple(sorted(contenders, key=lambda contender: -contender.summary.accuracy))


def twins(group: ContenderGroup) -> list[list[int]]:
    """Places of models that differ in their framework alone: one model, precision, augmentation, decisive settings."""
    alike_by_settings: dict[tuple[object, ...], dict[str, int]] = {}
    for index, contender in enumerate(group.contenders):
        if not contender.is_ensemble:
            model = contender.members[0]
            key = (model.report.label, decisive_settings(model.manifest.recipe), model.manifest.corrections)
            alike = alike_by_settings.setdefault(key, {})
            alike.setdefault(model.manifest.framework, index)
    return [sorted(alike.values()) for alike in alike_by_settings.values() if len(alike) > 1]


def decisive_settings(recipe: Mapping[str, Any]) -> str:
    """The settings of a training that decide what it learns, as text to compare.

    These are all but who trains on what machine, what is kept of it, and the split, which a table has in common. When
    a run ends is none of them either, unless its learning rate follows from its number of epochs: under a constant rate
    two runs go the same way, one further than the other. The precision that it computes in is one of them. What is off,
    or was not there to be set yet, is the same.
    """
    aside = ASIDE | ({"epochs"} if recipe.get("schedule", "constant") == "constant" else set())
    # How teachers are asked says nothing where there are none.
    aside |= set() if recipe.get("teachers") else {"teaching"}
    return json.dumps(
        {name: value for name, value in recipe.items() if name not in aside and value not in OFF}, sort_keys=True
    )
