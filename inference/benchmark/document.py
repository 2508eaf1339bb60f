"""What a benchmark has found: the content of a record, which tables and plots are made from.

Version 1, which `docs/schemas/benchmark-record.json` describes as a JSON Schema. A record holds what was measured,
round by round; ratios, medians and ranges follow from it (`inference.benchmark.figures`) and are not kept.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from data.documents import Count, Number, Seconds, Share, read_document, strict
from data.errors import InputError

VERSION = 1
# What is multiplied in.
Precision = Literal["fp32", "bf16", "int8"]
Kind = Literal["runtimes", "training", "steps", "photo", "folder", "table", "export"]


@dataclass(frozen=True)
class Task:
    """What every contender does in every round, and how it is told: less is better of `ms`, more of the others."""

    name: str
    unit: Literal["ms", "faces/s", "photos/s"]

    @property
    def less_is_better(self) -> bool:
        """Whether the unit is one of time."""
        return self.unit == "ms"


@dataclass(frozen=True, kw_only=True)
class Series:
    """What one contender did of one task.

    Attributes:
        rounds: the figure of each round, in the task's unit: of its calls' median where it is a time.
        calls: how many were counted in all rounds together.
        p50: of the milliseconds of all calls; p95 and p99 likewise. None where a round is no row of calls.
        busy: the mean number of processors that its process kept busy; None where that is not told.
    """

    rounds: tuple[float, ...]
    calls: Number
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    busy: float | None = None


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Whether the same was answered: on `faces` faces beside the contest's reference.

    `largest_difference` is that of a logit, `largest_logit` the reference's own largest, `other_labels` the faces that
    get another label.
    """

    faces: Number
    largest_difference: float
    largest_logit: float
    other_labels: Count


@dataclass(frozen=True, kw_only=True)
class Contender:
    """One that took part.

    Attributes:
        name: of a runtime, a framework's way of running, or a program.
        version: of what did the work, and of what it is made of.
        threads: how many it says that it computes with; None where it does not tell.
        series: what it did, in the order of the contest's tasks.
        starts: seconds from starting its process to its first answer, one for each start.
        memory: the largest resident memory of its process, in bytes, by the kernel's count; None where unknown.
        agreement: None for the reference itself, and where nothing is answered.
        remark: what a reader has to know of how it did it.
        precision: what it multiplies in, whatever its weights are kept in; None where that is no question.
    """

    name: str
    version: str
    threads: Number | None
    series: tuple[Series, ...]
    starts: tuple[Seconds, ...] = ()
    memory: Count | None = None
    agreement: Agreement | None = None
    remark: str = ""
    precision: Precision | None = None


@dataclass(frozen=True)
class Absent:
    """One that did not take part, or not to the end, and why; it has no figure."""

    name: str
    state: Literal["not installed", "left out", "failed"]
    reason: str


@dataclass(frozen=True, kw_only=True)
class NodeTime:
    """A node of a model as onnxruntime runs it: its `share` of a run's time, and its multiply-adds a face, where it is
    one that multiplies."""

    name: str
    operator: str
    share: Share
    multiply_adds: Count | None = None


@dataclass(frozen=True, kw_only=True)
class Profile:
    """Where onnxruntime's time goes on a processor: `milliseconds` of a run of `batch` faces while it is profiled, and
    the share of it that no node takes (`outside`)."""

    batch: Number
    milliseconds: float
    outside: Share
    nodes: tuple[NodeTime, ...]


@dataclass(frozen=True, kw_only=True)
class Subject:
    """The artifact that a contest is about; `multiply_adds` are those of one face, counted in its own graph."""

    name: str
    digest: str
    model: str
    framework: str
    precision: str
    parameters: Count
    bytes: Number
    multiply_adds: Count | None = None
    profiles: tuple[Profile, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Peak:
    """The floating-point or integer operations a second, in 10^9, of multiplying two square matrices, by round."""

    library: str
    precision: Precision
    side: Number
    rounds: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Contest:
    """Contenders with the same tasks, measured in turns; ratios are to the one called `reference`.

    `operations` are those of one face, two for a multiply-add, where each task is told by faces; else None.
    """

    heading: str
    tasks: tuple[Task, ...]
    reference: str
    contenders: tuple[Contender, ...]
    absent: tuple[Absent, ...] = ()
    subject: Subject | None = None
    peaks: tuple[Peak, ...] = ()
    operations: Count | None = None
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class BenchmarkMachine:
    """Where it was measured; `busy_before` and `busy_after` are the mean numbers of processors that others kept busy in
    a second before the first measurement and after the last one, None where nobody counts."""

    processor: str
    processors: Number
    threads: Number
    system: str
    python: str
    busy_before: float | None
    busy_after: float | None


@dataclass(frozen=True, kw_only=True)
class BenchmarkRecord:
    """One run of a benchmark, version 1: it took `seconds` in all, each counted turn of a contender `turn_seconds`."""

    __pydantic_config__: ClassVar[Mapping[str, Any]] = strict(version=VERSION)

    version: int
    kind: Kind
    command: str
    created: str
    machine: BenchmarkMachine
    seconds: Seconds
    turn_seconds: Seconds
    contests: tuple[Contest, ...]

    def __post_init__(self) -> None:
        if self.version != VERSION:
            raise InputError(f"version is {self.version}, this ferox reads {VERSION}")
        for contest in self.contests:
            _check(contest)

    def to_dict(self) -> dict[str, Any]:
        """The record as plain values that strict JSON can hold."""
        return asdict(self)


def _check(contest: Contest) -> None:
    """Raise an `InputError` where figures that are divided by each other do not belong together."""
    for contender in contest.contenders:
        lengths = {len(series.rounds) for series in contender.series}
        if len(contender.series) != len(contest.tasks) or len(lengths) > 1 or 0 in lengths:
            raise InputError(f"{contender.name} has not one figure for each task and round")
        if any(figure <= 0 for series in contender.series for figure in series.rounds):
            raise InputError(f"{contender.name} has a figure that is not above 0")
    rounds = {len(contender.series[0].rounds) for contender in contest.contenders if contender.series}
    if len(rounds) > 1:
        raise InputError(f"the contenders of {contest.heading} have unlike numbers of rounds")
    if any(not peak.rounds or min(peak.rounds) <= 0 for peak in contest.peaks):
        raise InputError(f"{contest.heading} has a peak without a figure above 0")
    if contest.reference not in [contender.name for contender in contest.contenders]:
        raise InputError(f"{contest.heading} has no contender called {contest.reference}, which ratios are to")


def read_record(path: Path) -> BenchmarkRecord:
    """Read a record; an `InputError` where it is none, or of another version."""
    return read_document(BenchmarkRecord, path, "make it anew: ferox benchmark")
