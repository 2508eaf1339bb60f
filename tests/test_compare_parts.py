"""What a comparison is made of, piece by piece: augmentation, spoiled faces, picking, timing, charts."""

import time
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from data.faceset import FaceSet
from inference.comparison.charts import Bubble, pareto_chart, pareto_front, percent_scale, time_scale
from inference.engine import Engine
from inference.ensemble import pick_greedily
from inference.measure.corruptions import KINDS, STRENGTHS, corrupt
from inference.measure.curves import coverage, risk_coverage
from inference.measure.latency import TimingPlan, interleaved
from inference.measure.robustness import CONDITIONS, answers, spoil, stratified
from inference.testtime import Augmented, views

SHARES = st.floats(0.01, 1)


def test_flip_is_the_mean_of_a_face_and_its_mirror_image(tiny_model: Path, drawn: FaceSet) -> None:
    engine, faces = Engine.load(tiny_model, provider="cpu", threads=1), drawn.pixels[:9]
    mean = (engine.predict(faces) + engine.predict(np.ascontiguousarray(faces[:, :, ::-1]))) / 2
    np.testing.assert_allclose(Augmented(engine, "flip").predict(faces), mean, atol=1e-6)
    np.testing.assert_array_equal(Augmented(engine, "none").predict(faces), engine.predict(faces))


def test_ten_crop_sees_four_corners_and_the_centre_and_their_mirror_images() -> None:
    face = np.add.outer(np.arange(48) * 3, np.arange(48)).astype(np.uint8)[np.newaxis]
    seen = views(face, "ten-crop")
    assert len(seen) == 10
    assert {view.shape for view in seen} == {(1, 48, 48)}
    for crop, mirrored in zip(seen[::2], seen[1::2], strict=True):
        np.testing.assert_array_equal(crop[:, :, ::-1], mirrored)
    corners = [int(view[0, 0, 0]) for view in seen[::2]]
    assert corners == [0, 4, 12, 16, 8]


@pytest.mark.parametrize("kind", KINDS)
def test_stronger_corruption_changes_more_and_the_same_way_every_time(kind: Any, drawn: FaceSet) -> None:
    faces = np.ascontiguousarray(drawn.pixels[:40])
    spoiled = [corrupt(faces, kind, strength) for strength in STRENGTHS[kind]]
    changes = [float(np.abs(faces.astype(int) - one).mean()) for one in spoiled]
    assert 0 < changes[0] < changes[1] < changes[2]
    assert all(one.dtype == np.uint8 and one.shape == faces.shape for one in spoiled)
    np.testing.assert_array_equal(corrupt(faces, kind, STRENGTHS[kind][1]), spoiled[1])


def test_corruptions_do_what_their_names_say(drawn: FaceSet) -> None:
    faces = np.ascontiguousarray(drawn.pixels[:20])
    means, spreads = faces.mean(axis=(1, 2)), faces.std(axis=(1, 2))
    np.testing.assert_allclose(corrupt(faces, "darkness", 0.35).mean(axis=(1, 2)), 0.35 * means, atol=0.6)
    np.testing.assert_allclose(corrupt(faces, "contrast", 0.35).std(axis=(1, 2)), 0.35 * spreads, atol=1)
    assert ((corrupt(faces, "occlusion", 24) == 0).sum(axis=(1, 2)) >= 24 * 24).all()
    sharp, blurred = (np.diff(one.astype(int), axis=2) for one in (faces, corrupt(faces, "blur", 2)))
    assert (blurred.std(axis=(1, 2)) < sharp.std(axis=(1, 2))).all()


@given(st.lists(st.integers(0, 6), min_size=1, max_size=300), st.integers(1, 300))
def test_stratified_sample_keeps_the_proportions(classes: list[int], count: int) -> None:
    labels = np.array(classes, np.uint8)
    chosen = stratified(labels, count)
    wanted = min(count, len(labels))
    assert len(chosen) == len(set(chosen.tolist())) == wanted
    exact = np.bincount(labels, minlength=7) * wanted / len(labels)
    assert (np.abs(np.bincount(labels[chosen], minlength=7) - exact) < 1 + 1e-9).all()
    np.testing.assert_array_equal(chosen, stratified(labels, count))


def test_answers_on_spoiled_faces_are_those_of_the_model(tiny_model: Path, drawn: FaceSet) -> None:
    engine = Engine.load(tiny_model, provider="cpu", threads=1)
    faces, labels = np.ascontiguousarray(drawn.pixels[:25]), drawn.labels[:25]
    spoiled = spoil(faces, labels)
    done: list[int] = []
    accuracies = spoiled.accuracies(answers(engine, spoiled, done.append))
    assert sum(done) == 25 * (1 + len(CONDITIONS))
    for (kind, level), accuracy in zip(CONDITIONS, accuracies[1:], strict=True):
        right = engine.predict(corrupt(faces, kind, STRENGTHS[kind][level - 1])).argmax(axis=1) == labels
        assert accuracy == pytest.approx(right.mean())
    assert accuracies[0] == pytest.approx((engine.predict(faces).argmax(axis=1) == labels).mean())


@given(arrays(np.float64, (4, 12, 7), elements=SHARES), arrays(np.int64, 12, elements=st.integers(0, 6)))
def test_greedy_picking_starts_with_the_best_and_never_gets_worse(
    shares: NDArray[np.float64], labels: NDArray[np.int64]
) -> None:
    probabilities = (shares / shares.sum(axis=2, keepdims=True)).astype(np.float32)
    choice = pick_greedily(labels, list(probabilities))
    alone = (probabilities.argmax(axis=2) == labels).mean(axis=1)
    assert choice.accuracies[0] == pytest.approx(alone.max())
    assert len(set(choice.places)) == len(choice.places) == len(choice.accuracies)
    assert list(choice.accuracies) == sorted(choice.accuracies)
    together = probabilities[list(choice.places)].astype(np.float64).sum(axis=0)
    assert choice.accuracies[-1] == pytest.approx((together.argmax(axis=1) == labels).mean())


def test_greedy_picking_takes_what_helps_and_leaves_what_does_not() -> None:
    labels = np.array([0, 1, 2, 3])
    sure, unsure = np.eye(7)[labels] * 0.8 + 0.2 / 7, np.full((4, 7), 1 / 7)
    left, right, wrong = sure.copy(), sure.copy(), np.roll(sure, 1, axis=1)
    left[2:], right[:2] = unsure[2:], unsure[:2]
    choice = pick_greedily(labels, [one.astype(np.float32) for one in (wrong, left, right)])
    assert set(choice.places) == {1, 2}
    assert choice.accuracies[1] == 1


@dataclass
class Recorder:
    """Notes down who was run, and takes a while for it."""

    name: str
    runs: list[str]
    seconds: float = 0.001
    sizes: set[int] = field(default_factory=set)

    def predict(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.runs.append(self.name)
        self.sizes.add(len(pixels))
        time.sleep(self.seconds)
        return np.full((len(pixels), 7), 1 / 7, np.float32)


def test_models_are_warmed_up_and_then_timed_by_turns(drawn: FaceSet) -> None:
    runs: list[str] = []
    models = [Recorder(name, runs) for name in ("a", "b")]
    counted: list[float] = []
    plan = TimingPlan(batch=5, warm_up=10, runs=100, seconds=0.25)
    timings = interleaved(models, drawn.pixels[:3], plan, counted.append)
    assert runs[:20] == ["a"] * 10 + ["b"] * 10
    changes = sum(one != other for one, other in pairwise(runs[20:]))
    assert changes >= 3
    for model, timing in zip(models, timings, strict=True):
        assert model.sizes == {5}
        assert timing.runs >= 100
        assert timing.seconds >= 0.25
        assert timing.p50 >= 1
        assert timing.p50 <= timing.p95 <= timing.p99
        assert timing.images_per_second == pytest.approx(5000 / timing.p50)
    assert sum(counted) == pytest.approx(sum(timing.seconds for timing in timings))


@given(
    st.lists(st.tuples(SHARES, st.booleans()), min_size=1, max_size=80),
    st.lists(st.floats(0, 1), min_size=1, max_size=5),
)
def test_coverage_is_the_share_answered_and_its_accuracy(
    answered: list[tuple[float, bool]], thresholds: list[float]
) -> None:
    confidences, right = (np.array(values) for values in zip(*answered, strict=True))
    for step in coverage(confidences, right, thresholds):
        kept = [correct for confidence, correct in answered if confidence >= step.threshold]
        assert step.coverage == pytest.approx(len(kept) / len(answered))
        assert step.accuracy == (pytest.approx(sum(kept) / len(kept)) if kept else None)
    points = risk_coverage(confidences, right)
    assert points[-1] == pytest.approx((1, right.mean()), abs=1e-6)
    assert [share for share, _ in points] == sorted({share for share, _ in points})
    for share, accuracy in points:
        count = round(share * len(answered))
        lowest = np.sort(confidences)[::-1][:count][-1]
        assert accuracy == pytest.approx(right[confidences >= lowest].mean(), abs=1e-5)


bubbles = st.builds(
    Bubble,
    label=st.text(max_size=12),
    place=st.integers(0, 40),
    milliseconds=st.floats(0.01, 1000),
    accuracy=st.floats(0, 1),
    interval=st.just((0.0, 1.0)),
    size=st.integers(1, 10**8),
)


@given(st.lists(bubbles, min_size=1, max_size=12))
def test_pareto_front_holds_exactly_what_nothing_beats(found: list[Bubble]) -> None:
    front = pareto_front(found)
    for bubble in found:
        beaten = any(
            other.milliseconds <= bubble.milliseconds
            and other.accuracy >= bubble.accuracy
            and (other.milliseconds, other.accuracy) != (bubble.milliseconds, bubble.accuracy)
            for other in found
        )
        on_front = any((one.milliseconds, one.accuracy) == (bubble.milliseconds, bubble.accuracy) for one in front)
        assert on_front != beaten
    assert "<svg" in pareto_chart(found, "<all>")
    assert "<all>" not in pareto_chart(found, "<all>")


@given(st.lists(st.floats(0, 1), min_size=1, max_size=9))
@example([0.7])
@example([0.29, 0.57])
def test_scale_in_per_cent_holds_its_values_and_has_ticks(values: list[float]) -> None:
    scale = percent_scale(values)
    assert scale.low <= min(values) + 1e-9
    assert scale.high >= max(values) - 1e-9
    assert 2 <= len(scale.ticks) <= 12


@given(st.lists(st.floats(0.001, 10_000), min_size=1, max_size=9))
def test_scale_of_times_holds_its_values(values: list[float]) -> None:
    scale = time_scale(values)
    assert all(0 <= scale.share(value) <= 1 for value in values)
    assert scale.ticks
