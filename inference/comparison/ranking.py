"""The table of all figures of a comparison's models, and which figure of a column is the best."""

from collections.abc import Sequence
from dataclasses import dataclass

from data.faceset import LABELS
from inference.comparison.document import Group, Row


@dataclass(frozen=True)
class Column:
    """A column of figures: its heading, format, and whether the larger figure is the better one."""

    name: str
    form: str
    larger: bool


@dataclass(frozen=True)
class Cell:
    """A figure in its column; `below` is what stands under it."""

    value: float | None
    is_best: bool
    below: str = ""

    @property
    def exact(self) -> str:
        """What the column is sorted by; empty where there is no figure."""
        return "" if self.value is None else repr(float(self.value))


@dataclass(frozen=True)
class Ranking:
    """The columns, and a row of cells for each contender."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]


MACRO_F1 = Column("macro F1", ".4f", True)
COLUMNS = (
    Column("accuracy, %", ".2f", True),
    MACRO_F1,
    Column("macro AUC", ".4f", True),
    Column("log loss", ".4f", False),
    Column("ECE", ".4f", False),
    Column("parameters", ",.0f", False),
    Column("MB", ".2f", False),
    Column("p50, ms", ".3g", False),
    Column("p99, ms", ".3g", False),
    Column("images/s at 64", ",.0f", True),
)
Values = Sequence[float | None]


def ranking(record: Group) -> Ranking:
    """All figures of a group's rows, in their order."""
    values = [_values(row) for row in record.rows]
    most = max(row.figures.macro.f1.classes for row in record.rows)
    fair = [_comparable(row, figures, most) for row, figures in zip(record.rows, values, strict=True)]
    best = [_best(column, figures) for column, figures in zip(COLUMNS, zip(*fair, strict=True), strict=True)]
    rows = (_cells(row, row_values, best) for row, row_values in zip(record.rows, values, strict=True))
    return Ranking(COLUMNS, tuple(rows))


def _cells(row: Row, values: Values, best: Values) -> tuple[Cell, ...]:
    low, high = (100 * bound for bound in row.figures.interval)
    classes = row.figures.macro.f1.classes
    partial = "" if classes == len(LABELS) else f"of {classes} classes"
    raw = row.calibration.before if row.calibration else None
    uncalibrated = "" if raw is None else f"{raw.calibration_error:.4f} at temperature 1"
    below = [f"{low:.1f} to {high:.1f}", partial, "", "", uncalibrated, *[""] * (len(COLUMNS) - 5)]
    return tuple(
        Cell(value, value is not None and value == top, words)
        for value, top, words in zip(values, best, below, strict=True)
    )


def _comparable(row: Row, values: Values, classes: int) -> Values:
    """Leave out the macro F1 of a model that never answers some class: a mean over fewer is no better for it."""
    partial = row.figures.macro.f1.classes < classes
    return [None if partial and column == MACRO_F1 else value for column, value in zip(COLUMNS, values, strict=True)]


def _best(column: Column, values: Values) -> float | None:
    measured = [value for value in values if value is not None]
    if len(measured) < 2:
        return None
    return max(measured) if column.larger else min(measured)


def _values(row: Row) -> Values:
    figures, latency, throughput = row.figures, row.latency, row.throughput
    return [
        100 * figures.accuracy,
        figures.macro.f1.value,
        figures.macro_roc.auc,
        figures.log_loss,
        figures.calibration_error,
        row.parameters,
        row.bytes / 1e6,
        latency.p50 if latency else None,
        latency.p99 if latency else None,
        throughput.images_per_second if throughput else None,
    ]
