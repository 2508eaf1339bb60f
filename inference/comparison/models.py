"""The pictures of the comparison page: ROC curves, what each model confuses, and the faces they fail on."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from data.faceset import LABELS
from inference.comparison.charts import class_line, reliability_chart, roc_chart, roc_path, series
from inference.comparison.contenders import Contender, ContenderGroup
from inference.comparison.document import Group, Row
from inference.measure.metrics import Summary
from inference.report.page import Mistake
from inference.report.writer import worst_of

HARD_FACES, MISTAKES = 18, 12
# Curves are drawn with every other point; their areas are those of all points.
STEP = 2


@dataclass(frozen=True)
class ClassChart:
    """All models' ROC curves of one class, and the range of their areas in words."""

    label: str
    areas: str
    svg: Markup


@dataclass(frozen=True)
class RocCharts:
    """The paths of all curves, which charts refer to, and a chart for each class."""

    paths: Markup
    charts: tuple[ClassChart, ...]


@dataclass(frozen=True)
class ModelShown:
    """One contender by itself."""

    figures: Summary
    roc: Markup
    reliability: Markup
    mistakes: list[Mistake]


@dataclass(frozen=True)
class HardFace:
    """A face uint8[48, 48] that the models together believed least: its label, its row in the data, how often each
    answer was given, and each model's name, answer and confidence."""

    pixels: NDArray[np.uint8]
    truth: str
    row: int
    counts: tuple[tuple[str, int], ...]
    answers: tuple[tuple[str, str, float], ...]


def roc_charts(number: int, record: Group, group: ContenderGroup) -> RocCharts:
    """Draw all models' curves of each class; `number` is the group's on the page."""
    paths, charts = [], []
    for label, curves in enumerate(zip(*(contender.summary.roc for contender in group.contenders), strict=True)):
        lines = []
        for index, curve in enumerate(curves):
            if curve.auc is not None:
                identity = _identity(number, index, label)
                paths.append(roc_path([*curve.points[:-1:STEP], curve.points[-1]], identity))
                words = f"{record.rows[index].full_name}: {curve.auc:.4f}"
                lines.append((identity, series(index), words))
        areas = [curve.auc for curve in curves if curve.auc is not None]
        bounds = dict.fromkeys(f"{area:.3f}" for area in (min(areas), max(areas))) if areas else {}
        words = f"area {' to '.join(bounds)}" if bounds else "undefined"
        chart = roc_chart(lines, f"ROC curves of {LABELS[label]} against the rest")
        charts.append(ClassChart(LABELS[label], words, chart))
    return RocCharts(Markup().join(paths), tuple(charts))


def models_shown(number: int, record: Group, group: ContenderGroup) -> list[ModelShown]:
    """What is shown of each contender by itself."""
    rows = zip(record.rows, group.contenders, strict=True)
    return [_model(number, index, row, contender) for index, (row, contender) in enumerate(rows)]


def _model(number: int, index: int, row: Row, contender: Contender) -> ModelShown:
    summary = contender.summary
    curves = [
        (_identity(number, index, label), class_line(label), f"{curve.name}: {curve.auc:.4f}")
        for label, curve in enumerate(summary.roc)
        if curve.auc is not None
    ]
    return ModelShown(
        figures=summary,
        roc=roc_chart(curves, f"ROC curves of {row.full_name}"),
        reliability=reliability_chart(summary.calibration, summary.faces, f"reliability of {row.full_name}"),
        mistakes=worst_of(contender.answers, MISTAKES),
    )


def hardest_faces(record: Group, group: ContenderGroup) -> list[HardFace]:
    """The faces to whose truth the models together gave least, with what each of them said."""
    rows = zip(record.rows, group.contenders, strict=True)
    models = [(row, contender) for row, contender in rows if not contender.is_ensemble]
    truth = np.arange(len(group.labels)), group.labels
    believed = np.mean([contender.probabilities[truth] for _, contender in models], axis=0)
    order = np.argsort(believed, kind="stable")
    # A picture that the data holds twice is shown once.
    _, first = np.unique(group.answers.records["digest"][order], axis=0, return_index=True)
    worst = order[np.sort(first)][:HARD_FACES]
    return [_hard_face(group, face, models) for face in worst.tolist()]


def _hard_face(group: ContenderGroup, face: int, models: Sequence[tuple[Row, Contender]]) -> HardFace:
    records = group.answers.records
    answers = [LABELS[contender.predictions[face]] for _, contender in models]
    by_count = sorted(dict.fromkeys(answers), key=answers.count, reverse=True)
    return HardFace(
        records["pixels"][face],
        LABELS[records["label"][face]],
        int(records["row"][face]),
        tuple((answer, answers.count(answer)) for answer in by_count),
        tuple(
            (row.full_name, answer, float(contender.probabilities[face].max()))
            for (row, contender), answer in zip(models, answers, strict=True)
        ),
    )


def _identity(number: int, index: int, label: int) -> str:
    return f"roc-{number}-{index}-{label}"
