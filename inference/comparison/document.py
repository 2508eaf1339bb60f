"""What a comparison says: the content of its `report.json`, which its page, tables and READMEs are made from.

Version 1, which `docs/schemas/comparison.json` describes as a JSON Schema.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Literal

from data.documents import Count, Number, Seconds, Share, strict
from data.errors import InputError
from inference.measure.abstention import Abstention
from inference.measure.calibration import Calibration
from inference.measure.corruptions import Kind
from inference.measure.curves import Coverage, without_points
from inference.measure.latency import Timing
from inference.measure.metrics import Summary

VERSION = 1


@dataclass(frozen=True, kw_only=True)
class ComparisonMachine:
    """Where it was measured; `load` is the mean number of processes that wanted a processor in the minute before."""

    processor: str
    processors: Number
    threads: Number | None
    providers: tuple[str, ...]
    onnxruntime: str
    load: float | None


@dataclass(frozen=True)
class ComparisonSeconds:
    """The wall time of evaluating and writing the reports, and what the engines ran of it."""

    evaluation: Seconds
    engines: Seconds


@dataclass(frozen=True, kw_only=True)
class Selected:
    """On what a contender was selected: how, on which part, and its epoch and figures there; None where unknown."""

    how: str
    part: str | None = None
    epoch: Count | None = None
    accuracy: Share | None = None
    loss: float | None = None

    @property
    def words(self) -> str:
        """The same in words: `validation: 66.45 %, epoch 16`."""
        if self.part is None or self.accuracy is None:
            return self.how
        epoch = "" if self.epoch is None else f", epoch {self.epoch}"
        return f"{self.part}: {100 * self.accuracy:.2f} %{epoch}"


@dataclass(frozen=True)
class Robust:
    """Accuracy, 0 to 1, on clean faces and under each condition of `Spoiling`.

    `same_as` names the model whose answers are the same to the last bit, and which alone was run.
    """

    clean: Share
    accuracies: tuple[Share, ...]
    same_as: str | None = None

    @property
    def mean(self) -> float:
        """The mean over all conditions."""
        return sum(self.accuracies) / len(self.accuracies)

    @property
    def lost(self) -> tuple[float, ...]:
        """The share of the clean accuracy that each condition takes, 0 to 1."""
        return tuple(max(0.0, 1 - accuracy / self.clean) if self.clean else 0.0 for accuracy in self.accuracies)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One contender: a model, or an ensemble, whose members' values stand with a plus between them.

    `predictions` leads from the comparison's folder to what it answered; `latency` is of one face, `throughput` of full
    batches; what was not measured is None. `calibration` and `abstention` are those of a model's report; an ensemble
    has none of its own.
    """

    name: str
    label: str
    kind: Literal["model", "ensemble"]
    members: tuple[str, ...]
    predictions: str
    framework: str
    model: str
    recipe: str
    precision: str
    protocol: str
    augmentation: str
    parameters: Count
    bytes: Number
    parity: Literal["passed", "not proven"]
    selection: Selected
    figures: Summary
    coverage: tuple[Coverage, ...]
    latency: Timing | None
    throughput: Timing | None
    robustness: Robust | None
    notes: tuple[str, ...]
    calibration: Calibration | None = None
    abstention: Abstention | None = None

    @property
    def made(self) -> str:
        """How it came about, in words: by which recipe, or that it was adopted."""
        return self.recipe if self.recipe.startswith("adopted") else f"{self.recipe} recipe"

    @property
    def full_name(self) -> str:
        """The contender in words."""
        return self.label if self.kind == "ensemble" else f"{self.label}, {self.framework}"


@dataclass(frozen=True, kw_only=True)
class PairRow:
    """Two contenders by name, `first` before `second`; see `inference.measure.paired.Pair`."""

    first: str
    second: str
    difference: float
    interval: tuple[float, float]
    only_first: Count
    only_second: Count
    exact: Share
    mid_p: Share
    holm: Share
    differs: bool
    agreement: Share
    kappa: float | None


def not_told_apart(name: str, pairs: Sequence[PairRow]) -> tuple[str, ...]:
    """The contenders whose pairs with the one called `name` do not differ, in the order of the rows."""
    open_pairs = [pair for pair in pairs if name in (pair.first, pair.second) and not pair.differs]
    return tuple(pair.second if pair.first == name else pair.first for pair in open_pairs)


@dataclass(frozen=True, kw_only=True)
class TwinPair:
    """Two twins: how far they agree, and whether their probabilities are the same to the last bit."""

    first: str
    second: str
    kappa: float | None
    agreement: Share
    identical: bool


@dataclass(frozen=True, kw_only=True)
class Twins:
    """Models that differ in their framework alone; `file` lists the faces on which they disagree."""

    model: str
    members: tuple[str, ...]
    frameworks: tuple[str, ...]
    pairs: tuple[TwinPair, ...]
    disagreements: Count
    file: str


@dataclass(frozen=True, kw_only=True)
class Pick:
    """The contender with the best accuracy on the validation part, and those that the test part cannot tell from it."""

    name: str
    validation_accuracy: Share
    not_told_apart: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Condition:
    """One corruption at one of its three levels; `unit` says what `strength` is."""

    kind: Kind
    level: Literal[1, 2, 3]
    strength: float
    unit: str


@dataclass(frozen=True)
class Spoiling:
    """The spoiled faces: how many, and under which conditions."""

    faces: Number
    seed: Count
    conditions: tuple[Condition, ...]


@dataclass(frozen=True, kw_only=True)
class Group:
    """What may be compared: contenders of one protocol, one training set and one set of faces, best accuracy first."""

    heading: str
    protocol: str
    part: str
    source: str
    faces: Number
    fingerprint: str
    trained_protocol: str
    trained_fingerprint: str
    notes: tuple[str, ...]
    pick: Pick | None
    rows: tuple[Row, ...]
    pairs: tuple[PairRow, ...]
    twins: tuple[Twins, ...]
    robustness: Spoiling | None

    def not_told_apart(self, name: str) -> tuple[str, ...]:
        """The contenders that these faces cannot tell from the one called `name`."""
        return not_told_apart(name, self.pairs)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """All groups of a comparison, and where and how long it was measured."""

    __pydantic_config__: ClassVar = strict(comparison=VERSION)

    comparison: int
    created: str
    machine: ComparisonMachine
    seconds: ComparisonSeconds
    tables: tuple[Group, ...] = field(default_factory=tuple)

    def __post_init__(self) -> None:
        if self.comparison != VERSION:
            raise InputError(f"it is comparison version {self.comparison}, expected version {VERSION}")

    def to_dict(self) -> dict[str, Any]:
        """The comparison as plain values that strict JSON can hold; of curves, the areas alone."""
        return asdict(self, dict_factory=without_points)
