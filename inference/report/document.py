"""What an evaluation says: the content of `report.json`, and what tables and headings take from it.

Version 1, which `docs/schemas/report.json` describes as a JSON Schema.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from data.documents import Count, Number, Share, read_document, strict
from data.errors import InputError, printable
from inference.manifest import DataRecord, Manifest, stated
from inference.measure.abstention import Abstention
from inference.measure.calibration import Calibration
from inference.measure.evaluation import Speed, scope
from inference.measure.metrics import Summary

VERSION = 1
REPORT_FILE = "report.json"
Entry = TypeVar("Entry")
TableKey = tuple[str, str, str]


@dataclass(frozen=True)
class ModelFile:
    """The artifact that was evaluated: its name and its size."""

    file: str
    bytes: Number


@dataclass(frozen=True)
class LeftOutFiles:
    """How many files of the data were not read, for one reason."""

    reason: str
    count: Number


@dataclass(frozen=True)
class EvaluatedOn(DataRecord):
    """The faces: a division, as in the manifest's `data`, and one part of it, `count` faces.

    `skipped_rows` and `left_out` count what of the data was not read. `same_faces`: whether these are the faces that
    the model's own parts were taken from, None of an adopted model, which may have been trained on any face; how many
    of them it was `trained_on`, was `selected_on`, or knows as `copies` of a training face, None where that cannot be
    known. `augmentation` is the test-time augmentation.
    """

    part: str
    count: Number
    skipped_rows: Count
    same_faces: bool | None
    trained_on: Count | None
    selected_on: Count | None
    copies: Count | None
    accuracy_without_copies: Share | None
    augmentation: str
    left_out: tuple[LeftOutFiles, ...] = ()

    @property
    def scope(self) -> str:
        """The faces in words: `official test part`."""
        return scope(self.protocol, self.part)


@dataclass(frozen=True, kw_only=True)
class Report:
    """An evaluation: of what, what the artifact says of itself, its figures, and sentences that qualify them.

    `calibration` is before and after the artifact's temperature, `abstention` what a least confidence buys on the
    validation part; reports of older versions have neither.
    """

    __pydantic_config__: ClassVar = strict(report=VERSION)

    report: int
    created: str
    name: str
    model: ModelFile
    manifest: Manifest
    evaluated_on: EvaluatedOn
    figures: Summary
    engine: Speed
    notes: tuple[str, ...]
    calibration: Calibration | None = None
    abstention: Abstention | None = None

    def __post_init__(self) -> None:
        if self.report != VERSION:
            raise InputError(f"it is report version {self.report}, expected {VERSION}")

    @property
    def label(self) -> str:
        """The model with what sets it apart from its like: `cnn_1 int8 batch 1 + flip`."""
        manifest, augmentation = self.manifest, self.evaluated_on.augmentation
        precision = "" if manifest.precision == "fp32" else f" {manifest.precision}"
        batch = "" if manifest.batch is None else f" batch {manifest.batch}"
        features = " features" if manifest.features else ""
        corrected = " corrected" if manifest.corrections else ""
        kind = manifest.model + corrected + precision + batch + features
        return kind + ("" if augmentation == "none" else f" + {augmentation}")

    @property
    def recipe(self) -> str:
        """The name of the recipe that the model was trained by, a dash where it has none; of an adopted one, that it is
        unknown what it was trained on."""
        if (adoption := self.manifest.adoption) is not None:
            return f"adopted (trained on: {adoption.claim})"
        return str(self.manifest.recipe.get("recipe", "-"))

    @property
    def table_key(self) -> TableKey:
        """What reports must share to stand in one table.

        Models stand in one table only if they were trained under the same protocol on the same data, and evaluated on
        the same part of the same faces: other figures say nothing about each other. What was corrected in a training
        part changes nothing of that: the faces that they are measured on are the same, with the same labels.
        """
        data, on = self.manifest.data, self.evaluated_on
        return on.fingerprint if data is None else data.fingerprint, on.fingerprint, on.part

    @property
    def heading(self) -> str:
        """The faces of a table in words, and the models' own where these are others."""
        data, on = self.manifest.data, self.evaluated_on
        heading = f"{on.scope}, {on.count:,} faces of {on.source} (split {on.fingerprint[:8]})"
        if data is not None and data.fingerprint != on.fingerprint:
            heading += f"; models of the {data.protocol} protocol on {data.source} ({data.fingerprint[:8]})"
        return heading

    @property
    def megabytes(self) -> float:
        """The artifact's size in units of a million bytes."""
        return self.model.bytes / 1e6

    @property
    def interval(self) -> str:
        """The 95 % interval of the accuracy in per cent: `67.57-70.59`, with an en dash."""
        low, high = self.figures.interval
        return f"{100 * low:.2f}–{100 * high:.2f}"

    def to_dict(self) -> dict[str, Any]:
        """The report as plain values that strict JSON can hold."""
        return asdict(self, dict_factory=stated)


def adopted_key(key: TableKey, tables: Iterable[TableKey]) -> TableKey:
    """The key of the table that an adopted model of `key` stands in, where there are `tables`."""
    return next((other for other in tables if other[1:] == key[1:]), key)


def in_tables(entries: Sequence[Entry], report: Callable[[Entry], Report]) -> list[list[Entry]]:
    """Divide what has reports into tables, see `Report.table_key`, in the order of the first of each.

    An adopted model, which has nothing in common with another's training that anybody knew of, stands with the first
    that were measured on the same part of the same faces.
    """
    tables: dict[TableKey, list[Entry]] = {}
    for entry in sorted(entries, key=lambda entry: report(entry).manifest.adoption is not None):
        key = report(entry).table_key
        if report(entry).manifest.adoption is not None:
            key = adopted_key(key, tables)
        tables.setdefault(key, []).append(entry)
    return list(tables.values())


def read_report(folder: Path) -> Report:
    """Read a report's folder; an `InputError` where it holds none, or what is in it is wrong."""
    file = folder / REPORT_FILE
    if not file.is_file():
        raise InputError(
            f"{printable(str(folder))} is no report: it has no {REPORT_FILE}; make one: ferox evaluate MODEL"
        )
    return read_document(Report, file, "evaluate the model again")
