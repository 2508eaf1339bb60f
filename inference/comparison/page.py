"""The comparison as one page that stands alone: no network, everything inline, all text escaped.

It reads without its script, which only sorts, switches the theme and picks a series out.
"""

from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup

from data.faceset import LABELS
from inference.comparison.charts import COLOURS, Bubble, class_line, coverage_chart, pareto_chart, series
from inference.comparison.contenders import ContenderGroup
from inference.comparison.document import Comparison, Group
from inference.comparison.method import method
from inference.comparison.models import hardest_faces, models_shown, roc_charts
from inference.comparison.pairs import differences, p_value, twins_shown
from inference.comparison.ranking import ranking
from inference.comparison.verdict import verdict
from inference.html import environment, fill
from inference.measure.curves import risk_coverage
from inference.report.page import TEMPLATES as REPORT_TEMPLATES
from inference.text import threads

TEMPLATES = (Path(__file__).with_name("templates"), REPORT_TEMPLATES)


def render_comparison(content: Comparison, groups: Sequence[ContenderGroup]) -> str:
    """Fill the page from a comparison's `report.json` and the groups it was made from."""
    pages = environment(*TEMPLATES)
    pages.filters["p_value"] = p_value
    pages.globals |= {"series": series, "class_line": class_line, "labels": LABELS}
    numbered = enumerate(zip(content.tables, groups, strict=True), 1)
    return fill(
        TEMPLATES,
        "comparison.html",
        content=content,
        colours=COLOURS,
        chips=_chips(content),
        groups=[_group(number, record, group) for number, (record, group) in numbered],
        method=method(content),
    )


def _chips(content: Comparison) -> list[str]:
    machine = content.machine
    count = sum(len(record.rows) for record in content.tables)
    provider = machine.providers[0].removesuffix("ExecutionProvider")
    engine = f"onnxruntime {machine.onnxruntime}, {provider}, {threads(machine.threads)}"
    return [f"{count} contenders", machine.processor, engine]


def _group(number: int, record: Group, group: ContenderGroup) -> Markup:
    return fill(
        TEMPLATES,
        "group.html",
        number=number,
        record=record,
        notes=_notes(record),
        verdict=verdict(record),
        ranking=ranking(record),
        pareto=_pareto(record),
        abstaining=_abstaining(record, group),
        differences=differences(record),
        twins=twins_shown(record, group),
        roc=roc_charts(number, record, group),
        models=models_shown(number, record, group),
        hardest=hardest_faces(record, group),
    )


def _notes(record: Group) -> list[str]:
    """What qualifies the figures: once for all where it is true of every row."""
    rows = record.rows
    shared = [note for note in rows[0].notes if all(note in row.notes for row in rows)]
    others = dict.fromkeys(note for row in rows for note in row.notes if note not in shared)
    by_row = [f"{'; '.join(row.full_name for row in rows if note in row.notes)}: {note}" for note in others]
    everyone = "" if len(rows) == 1 else "Of every model here: "
    return [*record.notes, *(everyone + note for note in shared), *by_row]


def _pareto(record: Group) -> Markup | None:
    bubbles = [
        Bubble(row.full_name, index, row.latency.p50, row.figures.accuracy, row.figures.interval, row.bytes)
        for index, row in enumerate(record.rows)
        if row.latency
    ]
    return pareto_chart(bubbles, "accuracy against latency") if bubbles else None


def _abstaining(record: Group, group: ContenderGroup) -> Markup:
    lines = []
    for index, (row, contender) in enumerate(zip(record.rows, group.contenders, strict=True)):
        confidences, right = contender.probabilities.max(axis=1).astype(float), contender.predictions == group.labels
        lines.append((risk_coverage(confidences, right), series(index), row.full_name))
    return coverage_chart(lines, "accuracy by the share of faces that are answered")
