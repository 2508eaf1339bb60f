"""The comparison as one page that stands alone: no network, everything inline, all text escaped.

It reads without its script, which only sorts, switches the theme and picks a series out.
"""

from collections.abc import Sequence
from html import escape
from pathlib import Path
from string import Template

from inference.comparison.charts import COLOURS, Bubble, coverage_chart, pareto_chart, series
from inference.comparison.contenders import ContenderGroup
from inference.comparison.document import Comparison, Group
from inference.comparison.markup import card, legend
from inference.comparison.method import method
from inference.comparison.models import curves_by_class, hardest_faces, models
from inference.comparison.pairs import pairs_card, twins_card
from inference.comparison.tables import coverage_card, ranking, robustness_card
from inference.comparison.verdict import verdict_card
from inference.measure.curves import risk_coverage
from inference.report.page import list_items, note_list, style
from inference.text import threads

TEMPLATE = Path(__file__).with_name("compare.html")


def render_comparison(content: Comparison, tables: Sequence[ContenderGroup]) -> str:
    """Fill the page from a comparison's `report.json` and the tables it was made from."""
    groups = enumerate(zip(content.tables, tables, strict=True), 1)
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        style=style(),
        series="\n".join(f".s{colour} {{ --of: var(--s{colour}); }}" for colour in range(COLOURS)),
        chips=list_items(_chips(content)),
        contents=_contents(content.tables) if len(tables) > 1 else "",
        tables="".join(_group(number, record, compared) for number, (record, compared) in groups),
        method="".join(f"<p><b>{escape(title)}</b> {escape(text)}</p>" for title, text in method(content)),
        created=escape(content.created),
    )


def _chips(content: Comparison) -> list[str]:
    machine = content.machine
    count = sum(len(record.rows) for record in content.tables)
    provider = machine.providers[0].removesuffix("ExecutionProvider")
    engine = f"onnxruntime {machine.onnxruntime}, {provider}, {threads(machine.threads)}"
    return [f"{count} contenders", machine.processor, engine]


def _contents(records: Sequence[Group]) -> str:
    links = (f"<a href='#table-{number}'>{escape(record.heading)}</a>" for number, record in enumerate(records, 1))
    hint = "Figures of different protocols or data say nothing about each other: each has its own."
    return card("Tables", hint, f"<nav class='toc' aria-label='tables'>{''.join(links)}</nav>")


def _group(number: int, record: Group, compared: ContenderGroup) -> str:
    parts = (
        verdict_card(record),
        note_list(_notes(record)),
        ranking(number, record),
        f"<div class='two'>{_pareto(record)}{_coverage(record, compared)}</div>",
        coverage_card(record),
        pairs_card(record),
        twins_card(record, compared),
        robustness_card(record),
        curves_by_class(number, record, compared),
        models(number, record, compared),
        hardest_faces(record, compared),
    )
    heading = f"<h2 class='table'>{escape(record.heading)}</h2>"
    return f"<section class='group' id='table-{number}'>{heading}{''.join(parts)}</section>"


def _notes(record: Group) -> list[str]:
    """What qualifies the figures: once for all where it is true of every row."""
    rows = record.rows
    shared = [note for note in rows[0].notes if all(note in row.notes for row in rows)]
    others = dict.fromkeys(note for row in rows for note in row.notes if note not in shared)
    own = [f"{'; '.join(row.full_name for row in rows if note in row.notes)}: {note}" for note in others]
    everyone = "" if len(rows) == 1 else "Of every model here: "
    return [*record.notes, *(everyone + note for note in shared), *own]


def _pareto(record: Group) -> str:
    bubbles = [
        Bubble(
            row.full_name,
            place,
            row.latency.p50,
            row.figures.accuracy,
            row.figures.interval,
            row.bytes,
        )
        for place, row in enumerate(record.rows)
        if row.latency
    ]
    return card(
        "Accuracy against latency",
        "A bubble's area is the file's size, its line the 95 % interval. Nothing is both faster and better than what "
        "lies on the dotted front.",
        pareto_chart(bubbles, "accuracy against latency") if bubbles else "<p>Latency was not measured.</p>",
    )


def _coverage(record: Group, compared: ContenderGroup) -> str:
    lines = []
    for place, (row, one) in enumerate(zip(record.rows, compared.contenders, strict=True)):
        points = risk_coverage(one.probabilities.max(axis=1).astype(float), one.predictions == compared.labels)
        lines.append((points, series(place), row.full_name))
    chart = coverage_chart(lines, "accuracy by the share of faces that are answered")
    hint = "How good it is where it answers only the faces it is surest of: coverage against risk."
    return card("Accuracy if it may abstain", hint, chart + legend(record.rows))
