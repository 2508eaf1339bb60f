"""The published experiments, recounted: our figures from their counts are their figures."""

import json
from pathlib import Path
from typing import Any

import pytest

from data.faceset import LABELS
from inference.measure.metrics import ClassFigures, averages

Run = dict[str, Any]
RUNS: list[Run] = json.loads((Path(__file__).parent / "published_results.json").read_text())
OVERALL = [run for run in RUNS if "overall_as_printed" in run]
EVERY_RUN = pytest.mark.parametrize("run", RUNS, ids=lambda run: f"{run['run']}, epoch {run['epoch']}")


def figures(run: Run) -> list[ClassFigures]:
    counts = ("tp", "fp", "tn", "fn")
    return [
        ClassFigures.from_counts(row["label"].lower(), **{name: row[name] for name in counts}) for row in run["classes"]
    ]


def test_there_are_17_runs_on_the_same_7178_faces() -> None:
    supports = {tuple(c.support for c in figures(run)) for run in RUNS}
    assert len(RUNS) == 17
    assert supports == {(985, 102, 1043, 1765, 1210, 795, 1278)}


@EVERY_RUN
def test_counts_give_the_published_accuracy(run: Run) -> None:
    correct = sum(c.tp for c in figures(run))
    assert round(100 * correct / 7178, 4) == run["test_accuracy"]


@EVERY_RUN
def test_classes_are_in_our_order_and_their_counts_agree(run: Run) -> None:
    classes = figures(run)
    assert [c.label for c in classes] == list(LABELS)
    assert {c.tp + c.fp + c.tn + c.fn for c in classes} == {7178}
    assert sum(c.fp for c in classes) == sum(c.fn for c in classes)


@EVERY_RUN
@pytest.mark.parametrize("name", ["accuracy", "precision", "recall", "f1"])
def test_counts_give_the_published_figures_of_each_class(run: Run, name: str) -> None:
    for ours, theirs in zip(figures(run), run["classes"], strict=True):
        value = getattr(ours, name)
        if name not in theirs:
            assert run["run"].startswith("resnet_18")
        elif value is None:
            assert ours.tp + ours.fp == 0
            assert theirs[name] == 0
        else:
            assert round(value, 4) == theirs[name]


def test_0_of_0_is_undefined_where_the_published_runs_print_0() -> None:
    undefined = [c for run in RUNS for c in figures(run) if c.precision is None]
    assert [c.label for c in undefined] == ["disgust"] * 4
    assert all(c.f1 is None and c.recall == 0 for c in undefined)


@pytest.mark.parametrize(
    ("run", "precision", "recall"),
    [(OVERALL[0], 0.6784, 0.6687), (OVERALL[1], 0.6705, 0.6842)],
    ids=["plain", "weighted loss"],
)
def test_true_macro_averages_of_resnet_18(run: Run, precision: float, recall: float) -> None:
    macro = averages(figures(run), "macro")
    assert (macro.precision.classes, macro.recall.classes) == (7, 7)
    assert round(macro.precision.value or 0, 4) == precision
    assert round(macro.recall.value or 0, 4) == recall


@pytest.mark.parametrize("run", OVERALL, ids=["plain", "weighted loss"])
def test_overall_figures_as_printed_are_those_of_neutral(run: Run) -> None:
    neutral, printed = figures(run)[LABELS.index("neutral")], run["overall_as_printed"]
    for name in ("precision", "recall", "f1"):
        assert round(getattr(neutral, name), 4) == printed[name]
    assert printed["accuracy"] == run["test_accuracy"]
