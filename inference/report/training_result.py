"""What a training came to, as one file of `docs/results`: its run, its epochs, and a report of the exported model.

`ferox keep-result` makes it; version 1 is described in `docs/reports.md`.
"""

from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Literal

from data.documents import Count, Number, Seconds, Share, strict
from data.errors import InputError
from inference.manifest import DataRecord, Setting
from inference.measure.curves import without_points
from inference.measure.metrics import ClassFigures
from inference.report.document import Report

RESULT_VERSION = 1


@dataclass(frozen=True)
class Checkpoint:
    """Weights after an epoch, with their figures on the part that the best epoch is picked on."""

    epoch: Number
    file: str
    sha256: str
    accuracy: Share
    loss: float


@dataclass(frozen=True)
class Machine:
    """What trains: the processor's or GPU's name, and how many processor threads compute."""

    device: str
    threads: Number


@dataclass(frozen=True, kw_only=True)
class Move:
    """A run went on from `epoch` with another commit, other versions or on another machine than before."""

    epoch: Number
    commit: str | None
    versions: dict[str, str]
    machine: Machine


@dataclass(frozen=True, kw_only=True)
class FinalFigures:
    """The best epoch's figures on the test part: `loss` is the mean cross-entropy in nats, `accuracy` from 0 to 1."""

    epoch: Number
    faces: Number
    loss: float
    accuracy: Share
    correct: Count
    classes: tuple[ClassFigures, ...]


@dataclass(frozen=True, kw_only=True)
class FinishedRun:
    """A run's record, without what belongs to the machine that it lies on; see `training.run.RunRecord`."""

    schema: int
    status: Literal["finished"]
    settings: dict[str, Setting | tuple[Setting, ...] | dict[str, Setting]]
    parameters: Count
    versions: dict[str, str]
    data: DataRecord
    skip_bad_rows: bool
    machine: Machine
    commit: str | None
    started: str
    seconds: Seconds
    test: FinalFigures | None
    teachings_sha256: str | None = None
    inherited: tuple[DataRecord, ...] = ()
    moves: tuple[Move, ...] = ()
    classes: str = ""
    left_out: dict[str, Count] = field(default_factory=dict)
    name: str
    best: Checkpoint

    def setting(self, name: str) -> str:
        """One of the settings as text; `none` where there was none of that name yet."""
        return str(self.settings.get(name) or "none")


@dataclass(frozen=True, kw_only=True)
class EpochFigures:
    """One epoch's figures: of training faces as they were shown, and of the part that the best epoch is picked on.

    `learning_rate` is that of its first step, losses are mean cross-entropies in nats, accuracies from 0 to 1.
    `validation_part` is `validation`, or `test` where the protocol has no validation part.
    """

    epoch: Number
    learning_rate: float
    train_loss: float
    train_accuracy: Share
    validation_part: Literal["validation", "test"]
    validation_loss: float
    validation_accuracy: Share
    seconds: Seconds
    images_per_second: Seconds


@dataclass(frozen=True, kw_only=True)
class TrainingResult:
    """A training and a report of its model, which belong together."""

    __pydantic_config__: ClassVar = strict(result=RESULT_VERSION)

    result: int
    run: FinishedRun
    epochs: tuple[EpochFigures, ...]
    report: Report

    def __post_init__(self) -> None:
        if self.result != RESULT_VERSION:
            raise InputError(f"it is result version {self.result}, expected version {RESULT_VERSION}")

    def to_dict(self) -> dict[str, Any]:
        """The result as plain values that strict JSON can hold; of curves, the areas alone."""
        return asdict(self, dict_factory=without_points)
