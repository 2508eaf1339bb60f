"""Models side by side, and never in one table where their figures say nothing about each other."""

from collections.abc import Mapping, Sequence
from typing import Any

from data.faceset import LABELS
from inference.figures import percent


def scope(evaluated_on: Mapping[str, Any]) -> str:
    """The faces in words: `official test part`."""
    return f"{evaluated_on['protocol']} {evaluated_on['part']} part"


def model_name(report: Mapping[str, Any]) -> str:
    """The model with what sets it apart from its like: `cnn_1 int8 + flip`."""
    manifest, augmentation = report["manifest"], report["evaluated_on"]["augmentation"]
    precision = "" if manifest["precision"] == "fp32" else f" {manifest['precision']}"
    return str(manifest["model"]) + precision + ("" if augmentation == "none" else f" + {augmentation}")


def table_key(report: Mapping[str, Any]) -> tuple[str, ...]:
    """What reports must share to stand in one table.

    Models stand in one table only if they were trained under the same protocol on the same data, and
    evaluated on the same part of the same faces: other figures say nothing about each other.
    """
    own, on = report["manifest"]["data"], report["evaluated_on"]
    return own["fingerprint"], on["fingerprint"], on["part"]


def summary_table(reports: Sequence[Mapping[str, Any]]) -> str:
    """Reports side by side as plain text, best accuracy first, one table for what may be compared."""
    groups: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for report in reports:
        groups.setdefault(table_key(report), []).append(report)
    return "\n\n".join(_group_table(group) for group in groups.values())


def table_heading(report: Mapping[str, Any]) -> str:
    """The faces of a table in words, and the models' own where these are others."""
    own, on = report["manifest"]["data"], report["evaluated_on"]
    heading = f"{scope(on)}, {on['count']:,} faces of {on['source']} (split {on['fingerprint'][:8]})"
    if own["fingerprint"] != on["fingerprint"]:
        heading += f"; models of the {own['protocol']} protocol on {own['source']} ({own['fingerprint'][:8]})"
    return heading


def _group_table(reports: Sequence[Mapping[str, Any]]) -> str:
    heading = table_heading(reports[0])
    best_first = sorted(reports, key=lambda report: -report["figures"]["accuracy"])
    header = (
        *("model", "framework", "recipe", "protocol", "part", "accuracy", "95 % interval"),
        *("macro F1", "macro AUC", "log loss", "ECE", "MB", "images/s"),
    )
    rows = [header, *(_row(report) for report in best_first)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
    lines = [
        "  ".join(
            cell.ljust(width) if column < 5 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    remarks = dict.fromkeys(f"{report['name']}: {note}" for report in best_first for note in report["notes"])
    return "\n".join([heading, lines[0], "-" * max(map(len, lines)), *lines[1:], *remarks])


def _row(report: Mapping[str, Any]) -> tuple[str, ...]:
    manifest, on, figures = report["manifest"], report["evaluated_on"], report["figures"]
    low, high = figures["interval"]
    f1 = figures["macro"]["f1"]
    partial = "" if f1["classes"] == len(LABELS) else f" ({f1['classes']} of {len(LABELS)})"
    return (
        model_name(report),
        manifest["framework"],
        str(manifest["recipe"].get("recipe", "-")),
        on["protocol"],
        on["part"],
        percent(figures["accuracy"], 2),
        f"{100 * low:.2f}-{100 * high:.2f}",
        _fixed_or_dash(f1["value"]) + partial,
        _fixed_or_dash(figures["macro_roc"]["auc"]),
        f"{figures['log_loss']:.4f}",
        f"{figures['calibration_error']:.4f}",
        f"{report['model']['bytes'] / 1e6:.1f}",
        f"{report['engine']['images_per_second']:,.0f}",
    )


def _fixed_or_dash(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
