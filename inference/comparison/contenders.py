"""What stands side by side in a comparison: models, models under test-time augmentation, and ensembles of these."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.ensemble import Choice, Ensemble, mean_probabilities
from inference.measure.metrics import Summary, summarise
from inference.report.writer import Answers, Evaluation, document
from inference.testtime import Predictor

# Settings that twins need not share, see `decisive_settings`. Patience ends a run and changes no epoch of it.
ASIDE = {"framework", "device", "threads", "keep", "split", "patience"}
OFF: tuple[Any, ...] = (None, False, 0, "none", ())


@dataclass(frozen=True)
class Contender:
    """One row of a table: one evaluation, or several whose probabilities are averaged; float32[N, 7].

    `choice` holds how the members of an ensemble were picked; None where they were named by hand.
    """

    name: str
    members: tuple[Evaluation, ...]
    predictor: Predictor
    probabilities: NDArray[np.float32]
    summary: Summary
    choice: Choice | None = None

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
        first = self.members[0].answers
        return Answers(first.indices, first.records, self.probabilities)


@dataclass(frozen=True)
class Table:
    """Contenders that may be compared: one protocol, one training set, one set of faces; best accuracy first."""

    heading: str
    contenders: tuple[Contender, ...]
    notes: tuple[str, ...] = ()

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


def contender(evaluation: Evaluation, predictor: Predictor) -> Contender:
    """A model, as a row of its table."""
    return Contender(evaluation.name, (evaluation,), predictor, evaluation.probabilities, evaluation.summary)


def ensemble(name: str, members: Sequence[Contender], choice: Choice | None = None) -> Contender:
    """Some models as one, as a row of their table."""
    probabilities = mean_probabilities([member.probabilities for member in members])
    evaluations = tuple(evaluation for member in members for evaluation in member.members)
    predictor = Ensemble(tuple(member.predictor for member in members))
    labels = evaluations[0].faces.labels[evaluations[0].indices]
    return Contender(name, evaluations, predictor, probabilities, summarise(labels, probabilities), choice)


def tables(contenders: Sequence[Contender]) -> list[Table]:
    """Put together what may be compared, the official protocol before others, and each table's best first."""
    groups: dict[tuple[str, ...], list[Contender]] = {}
    for one in contenders:
        groups.setdefault(document(one.members[0]).table_key, []).append(one)
    official_first = sorted(groups.values(), key=lambda group: group[0].members[0].split.plan.protocol != "official")
    return [Table(document(group[0].members[0]).heading, ranked(group)) for group in official_first]


def ranked(contenders: Sequence[Contender]) -> tuple[Contender, ...]:
    """Best accuracy first."""
    return tuple(sorted(contenders, key=lambda one: -one.summary.accuracy))


def twins(table: Table) -> list[list[int]]:
    """Places of models that differ in their framework alone: one model, precision, augmentation, decisive settings."""
    groups: dict[tuple[str, str], dict[str, int]] = {}
    for place, one in enumerate(table.contenders):
        if not one.is_ensemble:
            manifest = one.members[0].manifest
            group = groups.setdefault((document(one.members[0]).label, decisive_settings(manifest.recipe)), {})
            group.setdefault(manifest.framework, place)
    return [sorted(group.values()) for group in groups.values() if len(group) > 1]


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
