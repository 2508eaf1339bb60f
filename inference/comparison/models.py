"""The pictures of the comparison page: ROC curves, what each model confuses, and the faces they fail on."""

from collections.abc import Sequence
from html import escape

import numpy as np

from data.faceset import LABELS
from inference.comparison.charts import reliability_chart, roc_chart, roc_path, series
from inference.comparison.contenders import Contender, ContenderGroup
from inference.comparison.document import Group, Row
from inference.comparison.markup import card, heads, legend, swatch, table
from inference.report.page import face_image, mistake_figures
from inference.report.writer import worst_of
from inference.text import or_dash, percent

HARD_FACES, MISTAKES = 18, 12
# Curves are drawn with every other point; their areas are those of all points.
STEP = 2


def curves_by_class(number: int, record: Group, compared: ContenderGroup) -> str:
    """All models' ROC curves of each class, and the paths that the models' own figures use again."""
    paths, charts = [], []
    for label, curves in enumerate(zip(*(one.summary.roc for one in compared.contenders), strict=True)):
        lines = []
        for place, curve in enumerate(curves):
            if curve.auc is not None:
                identity = _identity(number, place, label)
                paths.append(roc_path([*curve.points[:-1:STEP], curve.points[-1]], identity))
                words = f"{record.rows[place].full_name}: {curve.auc:.4f}"
                lines.append((identity, series(place), words))
        areas = [curve.auc for curve in curves if curve.auc is not None]
        bounds = dict.fromkeys(f"{area:.3f}" for area in (min(areas), max(areas))) if areas else {}
        hint = f"area {' to '.join(bounds)}" if bounds else "undefined"
        chart = roc_chart(lines, f"ROC curves of {LABELS[label]} against the rest")
        charts.append(f"<figure><h3>{LABELS[label]} <small>{hint}</small></h3>{chart}</figure>")
    shared = f"<svg width='0' height='0' class='shared' aria-hidden='true'><defs>{''.join(paths)}</defs></svg>"
    return shared + card(
        "ROC curves by class",
        "Each class against the rest, all models on one figure.",
        f"<div class='many'>{''.join(charts)}</div>{legend(record.rows)}",
    )


def models(number: int, record: Group, compared: ContenderGroup) -> str:
    """Each model by itself: confusion, ROC curves, reliability, and its most confident mistakes."""
    rows = zip(record.rows, compared.contenders, strict=True)
    return card(
        "Model by model",
        "What each confuses, its curves, how far its confidence can be trusted, and the mistakes it was surest of.",
        "".join(_model(number, place, row, one) for place, (row, one) in enumerate(rows)),
        "models",
    )


def _model(number: int, place: int, row: Row, one: Contender) -> str:
    summary = one.summary
    facts = f"{row.framework} · {percent(summary.accuracy, 2)} · selected on {row.selection.words}"
    reliability = reliability_chart(summary.calibration, summary.faces, f"reliability of {row.full_name}")
    return (
        f"<details id='model-{number}-{place}'{' open' if place == 0 else ''}><summary>{swatch(series(place))}"
        f"{escape(row.label)}<small>{escape(facts)}</small></summary><div class='three'>"
        f"<div><h3>Confusion</h3>{_confusion(summary.confusion)}</div>{_own_curves(number, place, row, one)}"
        f"<figure><h3>Reliability <small>calibration error {summary.calibration_error:.4f}</small></h3>{reliability}"
        f"<p class='hint'>The darker a bar, the more faces.</p></figure></div><h3>Most confident mistakes</h3>"
        f"<div class='faces'>{mistake_figures(worst_of(one.answers, MISTAKES))}</div></details>"
    )


def _own_curves(number: int, place: int, row: Row, one: Contender) -> str:
    lines = [f"class='line s{label}'" for label in range(len(LABELS))]
    curves = [
        (_identity(number, place, label), lines[label], f"{curve.name}: {curve.auc:.4f}")
        for label, curve in enumerate(one.summary.roc)
        if curve.auc is not None
    ]
    items = "".join(
        f"<li>{swatch(attributes)}{curve.name} <small>{or_dash(curve.auc, '.3f')}</small></li>"
        for attributes, curve in zip(lines, one.summary.roc, strict=True)
    )
    chart = roc_chart(curves, f"ROC curves of {row.full_name}")
    return f"<figure><h3>ROC curves <small>with their areas</small></h3>{chart}<ul class='legend'>{items}</ul></figure>"


def _confusion(confusion: Sequence[Sequence[int]]) -> str:
    rows = []
    for label, counts in zip(LABELS, confusion, strict=True):
        total = sum(counts)
        cells = "".join(_confusion_cell(count, count / total if total else 0) for count in counts)
        rows.append(f"<tr><th scope='row'>{label}</th>{cells}</tr>")
    hint = "Truth in rows, answers in columns: share of the truth in %, and count."
    return f"{table('confusion', heads(['', *LABELS]), ''.join(rows), 'confusion')}<p class='hint'>{hint}</p>"


def _confusion_cell(count: int, share: float) -> str:
    high = " class='high'" if share > 0.55 else ""
    return f"<td{high} style='--share:{100 * share:.0f}'>{100 * share:.0f}<small>{count:,}</small></td>"


def hardest_faces(record: Group, compared: ContenderGroup) -> str:
    """The faces to whose truth the models together gave least, with what each of them said."""
    rows = zip(record.rows, compared.contenders, strict=True)
    singles = [(row, one) for row, one in rows if not one.is_ensemble]
    truth = np.arange(len(compared.labels)), compared.labels
    believed = np.mean([one.probabilities[truth] for _, one in singles], axis=0)
    order = np.argsort(believed, kind="stable")
    # A picture that the data holds twice is shown once.
    _, first = np.unique(compared.answers.records["digest"][order], axis=0, return_index=True)
    worst = order[np.sort(first)][:HARD_FACES]
    figures = "".join(_hard_face(compared, face, singles) for face in worst.tolist())
    return card(
        "Worst mistakes of all",
        "The faces whose label the models together believed least, with what each of them said. Some are mislabelled.",
        f"<div class='faces hard'>{figures}</div>",
    )


def _hard_face(compared: ContenderGroup, face: int, singles: Sequence[tuple[Row, Contender]]) -> str:
    records = compared.answers.records
    truth = LABELS[records["label"][face]]
    guesses = [LABELS[one.predictions[face]] for _, one in singles]
    counts = {guess: guesses.count(guess) for guess in sorted(set(guesses), key=guesses.count, reverse=True)}
    said = "".join(f"<b>{guess}{f' × {count}' if len(singles) > 1 else ''}</b>" for guess, count in counts.items())
    each = "".join(
        f"<li>{escape(row.full_name)}: {guess}, {percent(float(one.probabilities[face].max()))}</li>"
        for (row, one), guess in zip(singles, guesses, strict=True)
    )
    return (
        f"<figure>{face_image(records['pixels'][face], truth)}<figcaption><span>is {truth}</span>{said}"
        f"<i>row {records['row'][face]}</i></figcaption>"
        f"<details><summary>each model</summary><ul>{each}</ul></details></figure>"
    )


def _identity(number: int, place: int, label: int) -> str:
    return f"roc-{number}-{place}-{label}"
