"""Models side by side, and never in one table where their figures say nothing about each other."""

from collections.abc import Sequence

from data.errors import printable
from data.faceset import LABELS
from inference.report.document import Report, in_tables
from inference.text import PLAIN_DASH, or_dash, percent


def summary_table(reports: Sequence[Report]) -> str:
    """Reports side by side as plain text, best accuracy first, one table for what may be compared."""
    return "\n\n".join(_group_table(group) for group in grouped(reports))


def grouped(reports: Sequence[Report]) -> list[list[Report]]:
    """Divide reports into those whose figures may stand in one table, each by falling accuracy; official ones first."""
    groups = in_tables(reports, lambda report: report)
    ranked = [sorted(group, key=lambda report: -report.figures.accuracy) for group in groups]
    return sorted(ranked, key=lambda group: group[0].evaluated_on.protocol != "official")


def _group_table(reports: Sequence[Report]) -> str:
    header = (
        *("model", "framework", "recipe", "protocol", "part", "accuracy", "95 % interval"),
        *("macro F1", "macro AUC", "log loss", "ECE", "MB", "images/s"),
    )
    rows = [header, *(tuple(map(printable, _row(report))) for report in reports)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
    lines = [
        "  ".join(
            cell.ljust(width) if column < 5 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    remarks = dict.fromkeys(printable(f"{report.name}: {note}") for report in reports for note in report.notes)
    heading = min(reports, key=lambda report: report.manifest.data is None).heading
    return "\n".join([printable(heading), lines[0], "-" * max(map(len, lines)), *lines[1:], *remarks])


def _row(report: Report) -> tuple[str, ...]:
    on, figures = report.evaluated_on, report.figures
    f1 = figures.macro.f1
    partial = "" if f1.classes == len(LABELS) else f" ({f1.classes} of {len(LABELS)})"
    return (
        report.label,
        report.manifest.framework,
        report.recipe,
        on.protocol,
        on.part,
        percent(figures.accuracy, 2),
        report.interval.replace("–", "-"),
        or_dash(f1.value, ".4f", PLAIN_DASH) + partial,
        or_dash(figures.macro_roc.auc, ".4f", PLAIN_DASH),
        f"{figures.log_loss:.4f}",
        f"{figures.calibration_error:.4f}",
        f"{report.megabytes:.1f}",
        f"{report.engine.images_per_second:,.0f}",
    )
