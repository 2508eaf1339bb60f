"""The tables of the comparison page: ranking, robustness, and accuracy by confidence threshold."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from data.faceset import LABELS
from inference.comparison.charts import series
from inference.comparison.document import Condition, Group, Robust, Row
from inference.comparison.markup import card, heads, swatch, table, who
from inference.text import or_dash


@dataclass(frozen=True)
class Column:
    """A column of figures: its heading, format, and whether the larger figure is the better one."""

    name: str
    form: str
    larger: bool


FIGURES = (
    Column("accuracy, %", ".2f", True),
    Column("macro F1", ".4f", True),
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


def ranking(number: int, record: Group) -> str:
    """The sortable table of all figures; the best of a column stands out."""
    rows = record.rows
    values = [_values(row) for row in rows]
    best = [_best(column, [figures[place] for figures in values]) for place, column in enumerate(FIGURES)]
    names = [_head(name) for name in ("model", "framework")]
    names += [_head(column.name, column) for column in FIGURES]
    names += [_head(name) for name in ("protocol", "parity", "selected on")]
    body = "".join(_row(number, place, row, values[place], best) for place, row in enumerate(rows))
    return card(
        "All figures",
        "Press a heading to sort. Under an accuracy stands its 95 % interval, under a name its recipe. The best of "
        "each column stands out.",
        table("all figures", f"<tr>{''.join(names)}</tr>", body, "sortable ranking"),
    )


def _head(name: str, column: Column | None = None) -> str:
    first = "descending" if column and column.larger else "ascending"
    sorted_by = " aria-sort='descending'" if name.startswith("accuracy") else ""
    text = "" if column else " class='text'"
    return f"<th scope='col' data-first='{first}'{text}{sorted_by}><button type='button'>{name}</button></th>"


def _best(column: Column, values: Values) -> float | None:
    found = [value for value in values if value is not None]
    if len(found) < 2:
        return None
    return max(found) if column.larger else min(found)


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


def _row(number: int, place: int, row: Row, values: Values, best: Values) -> str:
    low, high = (100 * bound for bound in row.figures.interval)
    classes = row.figures.macro.f1.classes
    partial = "" if classes == len(LABELS) else f"<small>of {classes} classes</small>"
    below = [f"<small>{low:.1f} to {high:.1f}</small>", partial, *[""] * (len(FIGURES) - 2)]
    cells = [
        _cell(column, value, value is not None and value == top, more)
        for column, value, top, more in zip(FIGURES, values, best, below, strict=True)
    ]
    label = escape(row.label)
    under = " + ".join(row.members) if row.kind == "ensemble" else f"{row.recipe} recipe"
    return (
        f"<tr data-series='{place}'><th scope='row' data-text data-value='{label}'>{swatch(series(place))}"
        f"<a href='#model-{number}-{place}' data-opens>{label}</a><small>{escape(under)}</small></th>"
        f"{_text(row.framework)}{''.join(cells)}{_text(row.protocol)}"
        f"{_text(row.parity, '' if row.parity == 'passed' else ' bad')}{_text(row.selection.words)}</tr>"
    )


def _cell(column: Column, value: float | None, best: bool, below: str) -> str:
    exact = "" if value is None else repr(float(value))
    return f"<td data-value='{exact}'{' class=best' if best else ''}>{or_dash(value, column.form)}{below}</td>"


def _text(words: str, kind: str = "") -> str:
    return f"<td class='text{kind}' data-text>{escape(words)}</td>"


def robustness_card(record: Group) -> str:
    """Accuracy under each corruption at each strength; the redder, the more of the clean accuracy is lost."""
    if record.robustness is None:
        return ""
    conditions = record.robustness.conditions
    kinds = dict.fromkeys(condition.kind for condition in conditions)
    groups = "".join(f"<th scope='colgroup' colspan='3' class='start'>{kind}</th>" for kind in kinds)
    levels = "".join(f"<th scope='col'{_start(condition)}>{condition.strength:g}</th>" for condition in conditions)
    first = "".join(f"<th scope='col'>{name}</th>" for name in ("model", "clean", "mean"))
    measured = ((place, row, row.robustness) for place, row in enumerate(record.rows))
    body = "".join(_robust_row(place, row, robust, conditions) for place, row, robust in measured if robust)
    head = f"<tr><th></th><th></th><th></th>{groups}</tr><tr>{first}{levels}</tr>"
    return card(
        "On spoiled faces",
        f"Accuracy in % on {record.robustness.faces:,} faces in the proportions of their classes, three "
        "strengths of each corruption; the redder, the more of the clean accuracy is lost.",
        table("robustness", head, body, "robust"),
    )


def _start(condition: Condition) -> str:
    return " class='start'" if condition.level == 1 else ""


def _robust_row(place: int, row: Row, robust: Robust, conditions: Sequence[Condition]) -> str:
    clean, accuracies = robust.clean, robust.accuracies
    # Red grows to three quarters where all of the clean accuracy is lost.
    lost = [75 * max(0.0, 1 - accuracy / clean) if clean else 0.0 for accuracy in accuracies]
    cells = "".join(
        f"<td style='--lost:{share:.0f}'{_start(condition)}>{100 * accuracy:.0f}</td>"
        for accuracy, share, condition in zip(accuracies, lost, conditions, strict=True)
    )
    same = f"<small>identical to {escape(robust.same_as)}</small>" if robust.same_as else ""
    return (
        f"<tr data-series='{place}'><th scope='row'>{who(place, row)}{same}</th><td>{100 * clean:.1f}</td>"
        f"<td><b>{100 * robust.mean:.1f}</b></td>{cells}</tr>"
    )


def coverage_card(record: Group) -> str:
    """Accuracy, and the share of faces answered, by confidence threshold."""
    thresholds = [step.threshold for step in record.rows[0].coverage]
    names = ["confidence from", *(format(threshold, "g") if threshold else "any" for threshold in thresholds)]
    body = "".join(_coverage_row(place, row) for place, row in enumerate(record.rows))
    return card(
        "By confidence threshold",
        "Accuracy in % where only faces of at least that confidence are answered, and the share of faces that is.",
        table("coverage", heads(names), body, "ranking"),
    )


def _coverage_row(place: int, row: Row) -> str:
    cells = "".join(
        f"<td>{or_dash(None if step.accuracy is None else 100 * step.accuracy, '.1f')}"
        f"<small>{100 * step.coverage:.0f} %</small></td>"
        for step in row.coverage
    )
    return f"<tr data-series='{place}'><th scope='row'>{who(place, row)}</th>{cells}</tr>"
