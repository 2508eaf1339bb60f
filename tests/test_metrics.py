"""Counts and figures against scikit-learn and scipy, and what is undefined stays undefined."""

import json
import subprocess
import sys
import warnings
from typing import Any

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binomtest

from data.errors import InputError
from data.faceset import LABELS
from inference.measure.curves import roc_corners
from inference.measure.metrics import averages, class_figures, confusion_matrix, summarise, wilson_interval

Answer = tuple[NDArray[np.int64], NDArray[np.float32]]
CLASSES = range(7)
PAIRS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=80)
CONFUSIONS = arrays(np.int64, (7, 7), elements=st.integers(0, 50))


@st.composite
def answers(draw: st.DrawFn) -> Answer:
    """Labels int[N] and probabilities float32[N, 7], some of them exactly 0 or 1, and ties among them."""
    count = draw(st.integers(1, 60))
    labels = draw(arrays(np.int64, count, elements=st.integers(0, 6)))
    weights = draw(arrays(np.int64, (count, 7), elements=st.integers(0, 9)))
    weights[weights.sum(axis=1) == 0, 3] = 1
    return labels, (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def certain(labels: ArrayLike) -> NDArray[np.float32]:
    return np.asarray(np.eye(7, dtype=np.float32)[np.asarray(labels)])


@given(PAIRS)
def test_confusion_matrix_is_that_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    truth, guess = np.array(pairs).T
    expected = sklearn.metrics.confusion_matrix(truth, guess, labels=CLASSES)
    ours = confusion_matrix(truth.astype(np.uint8), guess)
    assert ours.dtype == np.int64
    np.testing.assert_array_equal(ours, expected)


@given(PAIRS)
def test_class_figures_are_those_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    truth, guess = np.array(pairs).T
    classes = class_figures(confusion_matrix(truth, guess))
    expected = sklearn.metrics.precision_recall_fscore_support(truth, guess, labels=CLASSES, zero_division=np.nan)
    for index, ours in enumerate(classes):
        precision, recall, f1, support = (column[index] for column in expected)
        assert ours.support == support
        assert ours.precision == (None if np.isnan(precision) else pytest.approx(precision))
        assert ours.recall == (None if np.isnan(recall) else pytest.approx(recall))
        if ours.precision is None or ours.recall is None:
            assert ours.f1 is None
        else:
            assert ours.f1 == pytest.approx(f1)


@given(CONFUSIONS)
def test_counts_of_every_class_add_up_to_all_faces(confusion: NDArray[np.int64]) -> None:
    for index, c in enumerate(class_figures(confusion)):
        assert c.label == LABELS[index]
        assert c.tp + c.fp + c.tn + c.fn == confusion.sum()
        assert min(c.tp, c.fp, c.tn, c.fn) >= 0
        assert c.support == confusion[index].sum()


@given(PAIRS)
def test_averages_are_those_of_scikit_learn_where_every_class_is_defined(
    pairs: list[tuple[int, int]],
) -> None:
    truth, guess = np.array(pairs + [(index, index) for index in CLASSES]).T
    classes = class_figures(confusion_matrix(truth, guess))
    for kind in ("macro", "weighted"):
        ours = averages(classes, kind)
        expected = sklearn.metrics.precision_recall_fscore_support(truth, guess, average=kind)
        assert [ours.precision.value, ours.recall.value, ours.f1.value] == pytest.approx(expected[:3])
        assert (ours.precision.classes, ours.recall.classes, ours.f1.classes) == (7, 7, 7)


@given(answers())
@settings(max_examples=40)
def test_summary_is_that_of_scikit_learn(answer: Answer) -> None:
    labels, probabilities = answer
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        summary = summarise(labels, probabilities)
    exact = probabilities.astype(np.float64)
    exact /= exact.sum(axis=1, keepdims=True)
    truth = np.eye(7)[labels]
    assert summary.accuracy == sklearn.metrics.accuracy_score(labels, probabilities.argmax(axis=1))
    assert summary.log_loss == pytest.approx(sklearn.metrics.log_loss(labels, exact, labels=CLASSES))
    assert summary.micro_roc.auc == pytest.approx(sklearn.metrics.roc_auc_score(truth.ravel(), exact.ravel()))
    for index, curve in enumerate(summary.roc):
        if 0 < truth[:, index].sum() < len(labels):
            area = sklearn.metrics.roc_auc_score(truth[:, index], exact[:, index])
            assert curve.auc == pytest.approx(area)
        else:
            assert (curve.auc, curve.points) == (None, ())


@given(answers())
@settings(max_examples=40)
def test_summary_is_strict_json_with_figures_in_their_ranges(answer: Answer) -> None:
    summary = summarise(*answer)
    assert json.loads(json.dumps(summary.to_dict(), allow_nan=False))["faces"] == len(answer[0])
    assert 0 <= summary.interval[0] <= summary.accuracy <= summary.interval[1] <= 1
    assert 0 <= summary.calibration_error <= 1
    assert sum(b.faces for b in summary.calibration) == summary.faces
    for curve in (*summary.roc, summary.micro_roc, summary.macro_roc):
        steps = np.diff(np.reshape(curve.points, (-1, 2)), axis=0)
        assert (steps >= 0).all()
        assert not curve.points or (curve.points[0][0], curve.points[-1]) == (0, (1, 1))


@given(answers())
@settings(max_examples=60)
def test_corners_of_a_curve_are_those_of_scikit_learn(answer: Answer) -> None:
    labels, probabilities = answer
    positive, scores = labels == 3, probabilities[:, 3].astype(np.float64)
    if positive.all() or not positive.any():
        return
    expected = sklearn.metrics.roc_curve(positive, scores)[:2]
    for ours, theirs in zip(roc_corners(positive, scores), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@given(st.integers(1, 5000).flatmap(lambda faces: st.tuples(st.integers(0, faces), st.just(faces))))
def test_interval_is_that_of_scipy(answered: tuple[int, int]) -> None:
    expected = binomtest(*answered).proportion_ci(0.95, method="wilson")
    assert wilson_interval(*answered) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_figures_of_a_model_need_no_slow_library() -> None:
    code = "import sys, numpy; from inference.measure.metrics import summarise; "
    code += "summarise(numpy.arange(7), numpy.eye(7)); print([m for m in ('sklearn', 'scipy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_interval_of_a_textbook_case() -> None:
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)


def test_class_never_predicted_has_no_precision_and_no_f1_but_a_recall_of_0() -> None:
    never = class_figures(confusion_matrix([0, 1, 1], [0, 0, 0]))[1]
    assert (never.precision, never.f1, never.recall, never.specificity) == (None, None, 0, 1)


def test_class_without_faces_has_no_recall() -> None:
    absent = class_figures(confusion_matrix([0, 0], [0, 1]))[1]
    assert (absent.precision, absent.recall, absent.f1, absent.support) == (0, None, None, 0)


def test_class_always_mistaken_has_an_f1_of_0() -> None:
    assert class_figures(confusion_matrix([0, 1], [1, 0]))[0].f1 == 0


def test_averages_leave_out_undefined_classes_and_say_how_many_are_left() -> None:
    classes = class_figures(confusion_matrix([0, 0, 0, 1], [0, 0, 0, 0]))
    macro, weighted = averages(classes, "macro"), averages(classes, "weighted")
    assert (macro.precision.value, macro.precision.classes) == (0.75, 1)
    assert (macro.recall.value, macro.recall.classes) == (0.5, 2)
    assert (weighted.recall.value, weighted.recall.classes) == (0.75, 2)


def test_averages_of_no_faces_are_undefined() -> None:
    mean = averages(class_figures(np.zeros((7, 7), int)), "weighted").f1
    assert (mean.value, mean.classes) == (None, 0)


def test_calibration_error_of_a_worked_example() -> None:
    probabilities = np.full((4, 7), 0.2 / 6)
    probabilities[:, 2] = 0.8
    summary = summarise([2, 2, 2, 0], probabilities)
    assert summary.calibration_error == pytest.approx(0.05)
    assert [b.faces for b in summary.calibration if b.faces] == [4]


def test_confidence_on_an_edge_belongs_to_the_bin_below_it() -> None:
    probabilities = np.array([[0.6, 0.4, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0, 0]])
    bins = summarise([0, 0], probabilities).calibration
    assert [b.faces for b in bins] == [0] * 8 + [1] + [0] * 5 + [1]


def test_perfect_and_certain_model() -> None:
    labels = np.arange(70) % 7
    summary = summarise(labels, certain(labels))
    assert (summary.accuracy, summary.calibration_error) == (1, 0)
    assert summary.log_loss == pytest.approx(0, abs=1e-12)
    assert [curve.auc for curve in summary.roc] == [1] * 7
    assert (summary.macro_roc.auc, summary.micro_roc.auc) == (1, 1)


def test_curve_of_a_class_that_is_absent_is_undefined_and_left_out_of_the_macro_mean() -> None:
    labels = np.array([0, 1] * 20)
    probabilities = np.random.default_rng(0).dirichlet(np.ones(7), 40)
    summary = summarise(labels, probabilities)
    areas = [curve.auc for curve in summary.roc]
    assert areas[2:] == [None] * 5
    assert summary.macro_roc.auc == pytest.approx(sum(area or 0 for area in areas) / 2)


def test_faces_of_one_class_only_have_no_macro_curve() -> None:
    summary = summarise([3, 3], certain(np.array([3, 2])))
    assert (summary.macro_roc.auc, summary.macro_roc.points) == (None, ())


def test_points_of_a_curve_stay_few_and_follow_it() -> None:
    random = np.random.default_rng(1)
    labels = random.integers(0, 7, 20_000)
    logits = random.normal(size=(20_000, 7)) + 2 * np.eye(7)[labels]
    summary = summarise(labels, np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True))
    for curve in (*summary.roc, summary.macro_roc, summary.micro_roc):
        false_rate, true_rate = np.transpose(curve.points)
        assert len(curve.points) <= 201
        assert np.trapezoid(true_rate, false_rate) == pytest.approx(curve.auc, abs=2e-3)


@pytest.mark.parametrize(
    ("labels", "probabilities", "message"),
    [
        ([0], np.zeros((1, 6)), r"shape \(1, 6\)"),
        ([], np.zeros((0, 7)), "at least 1"),
        ([0], np.full((1, 7), np.nan), "face 0 are nan"),
        ([0, 1], np.vstack([certain([0]), np.full((1, 7), 0.2)]), "face 1 are 0.2"),
        ([0], np.array([[1.5, -0.5, 0, 0, 0, 0, 0]]), "at least 0"),
        ([7], certain([0]), "labels hold 7 at index 0"),
        ([-1], certain([0]), "labels hold -1"),
        ([0.0], certain([0]), "expected integers"),
        ([[0]], certain([0]), "one dimension"),
        ([0, 0], certain([0]), "2 labels with 1 predictions"),
    ],
)
def test_impossible_inputs_are_refused(labels: Any, probabilities: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        summarise(labels, probabilities)


def test_sums_within_the_rounding_of_float16_are_accepted() -> None:
    probabilities = certain([0, 1]) * np.float32(1.00009)
    assert summarise([0, 1], probabilities).accuracy == 1


def test_confusion_matrix_of_another_size_is_refused() -> None:
    with pytest.raises(InputError, match=r"\(3, 3\)"):
        class_figures(np.zeros((3, 3), int))


def test_a_class_that_no_face_belongs_to_is_in_no_average() -> None:
    counts = np.zeros((7, 7), int)
    counts[3, 3], counts[4, 4], counts[4, 0] = 8, 6, 4
    figures = class_figures(counts)
    # Answered four times, and always wrong: but no face could have been called so.
    assert figures[0].precision == 0
    macro = averages(figures, "macro")
    assert (macro.precision.value, macro.precision.classes) == (1.0, 2)
    assert macro.recall.value == pytest.approx((1 + 0.6) / 2)
