"""What an epoch shows: its faces are distorted, mixed and labelled as its plan words it."""

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from data.faceset import FaceSet
from training import views
from training.epoch import (
    AUGMENTATIONS,
    BLUR,
    LEFT,
    NOISE,
    QUALITY,
    Corruption,
    Distortion,
    batches,
    draw_distortion,
    plan_epoch,
)
from training.recipe import Settings
from training.teachers import LabelShares, label_shares
from training.views import EpochData, EpochLoader, corrupted, distorted, mixed, rounded


def sampled(face: NDArray[np.uint8], matrix: NDArray[np.float32], black_edges: bool) -> NDArray[np.float64]:
    """Bilinear sampling of one face, place by place, as `epoch.Distortion` words it."""
    side = len(face)
    result: NDArray[np.float64] = np.zeros((side, side))
    for row, column in np.ndindex(side, side):
        centre = np.array([(2 * column + 1) / side - 1, (2 * row + 1) / side - 1, 1])
        x, y = ((matrix.astype(np.float64) @ centre + 1) * side - 1) / 2
        if not black_edges:
            x, y = np.clip([x, y], 0, side - 1)
        left, top = int(np.floor(x)), int(np.floor(y))
        for below, beside in np.ndindex(2, 2):
            if 0 <= top + below < side and 0 <= left + beside < side:
                share = (1 - abs(y - top - below)) * (1 - abs(x - left - beside))
                result[row, column] += share * face[top + below, left + beside]
    return result


def expected(face: NDArray[np.uint8], drawn: Distortion, place: int) -> NDArray[np.float64]:
    bright = np.clip(sampled(face, drawn.matrices[place], drawn.black_edges) * drawn.brightness[place], 0, 255)
    mean = bright.mean()
    result: NDArray[np.float64] = np.clip((bright - mean) * drawn.contrast[place] + mean, 0, 255)
    top, left, bottom, right = drawn.boxes[place]
    result[top:bottom, left:right] = mean
    return result


def smooth(faces: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Faces on which a place that is off by a 32nd of a pixel, OpenCV's grid, makes little difference."""
    return np.stack([cv2.GaussianBlur(face, (0, 0), 2) for face in faces])


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_distortions_are_those_that_the_plan_words(name: str, drawn: FaceSet) -> None:
    faces = smooth(drawn.pixels[:16])
    plan = draw_distortion(AUGMENTATIONS[name], len(faces), np.random.default_rng(0))
    assert (name == "light") == (plan.boxes == 0).all()
    found = distorted(faces, plan)
    for place, face in enumerate(faces):
        difference = np.abs(found[place] - expected(face, plan, place))
        # Rounding, and a 32nd of what two neighbouring pixels may differ by: 255 at a black edge.
        assert difference.max() < (10 if plan.black_edges else 2.5)
        assert difference.mean() < 0.4


def test_the_identity_distortion_changes_nothing_and_a_mirror_mirrors() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 48, 48), dtype=np.uint8)
    drawn = draw_distortion(AUGMENTATIONS["light"], 2, np.random.default_rng(0))
    drawn.matrices[:] = [[[1, 0, 0], [0, 1, 0]], [[-1, 0, 0], [0, 1, 0]]]
    drawn.brightness[:] = drawn.contrast[:] = 1
    found = distorted(pixels, drawn)
    assert np.array_equal(found[0], pixels[0])
    assert np.array_equal(found[1], pixels[1][:, ::-1])


def test_crops_are_windows_of_44_pixels_that_lie_in_the_face() -> None:
    plan = draw_distortion(AUGMENTATIONS["crops"], 500, np.random.default_rng(0))
    unturned = draw_distortion(replace(AUGMENTATIONS["crops"], rotation=0), 500, np.random.default_rng(0))
    assert np.allclose(np.linalg.det(plan.matrices[:, :, :2].astype(np.float64)).__abs__(), (44 / 48) ** 2)
    reach = np.abs(unturned.matrices[:, :, :2]).sum(axis=2) + np.abs(unturned.matrices[:, :, 2])
    assert 0.99 < reach.max() <= 1 + 1e-6


def test_corruptions_fall_on_their_share_of_the_faces_and_stay_in_their_ranges() -> None:
    count = 4000
    found = draw_distortion(AUGMENTATIONS["corruptions"], count, np.random.default_rng(1)).corruption
    assert found is not None
    ranges = ((found.blur, BLUR, 0), (found.noise, NOISE, 0), (found.quality, QUALITY, 0))
    for values, (low, high), none in (*ranges, (found.light, LEFT, 1), (found.contrast, LEFT, 1)):
        hit = values != none
        # Five deviations of a share of a tenth.
        assert abs(hit.mean() - 0.1) < 5 * np.sqrt(0.1 * 0.9 / count)
        assert low <= values[hit].min() < low + 0.05 * (high - low) + 1e-3 or values.dtype == np.int64
        assert high - 0.05 * (high - low) - 1 < values[hit].max() <= high
    assert draw_distortion(AUGMENTATIONS["full"], count, np.random.default_rng(1)).corruption is None


def whole(count: int) -> Corruption:
    """Nothing that spoils."""
    ones, zeros = np.ones(count, np.float32), np.zeros(count, np.float32)
    return Corruption(ones, ones, zeros, zeros, zeros.astype(np.int64), seed=3)


def test_each_corruption_does_what_it_is_called() -> None:
    face = np.random.default_rng(0).integers(60, 190, (1, 48, 48), dtype=np.uint8)
    plain, one = whole(1), np.ones(1, np.float32)
    assert np.array_equal(corrupted(face, plain), face)
    assert np.array_equal(corrupted(face, replace(plain, light=0.5 * one)), np.rint(0.5 * face))
    flat = corrupted(face, replace(plain, contrast=0.2 * one)).astype(float)
    assert flat.std() == pytest.approx(0.2 * face.std(), rel=0.02)
    assert flat.mean() == pytest.approx(face.mean(), abs=0.5)
    blurred = corrupted(face, replace(plain, blur=np.array([1.2])))
    assert np.array_equal(blurred[0], cv2.GaussianBlur(face[0], (0, 0), 1.2))
    added = corrupted(face, replace(plain, noise=16 * one)).astype(float) - face
    assert abs(added.std() - 16) < 1
    assert abs(added.mean()) < 1.5
    pressed = corrupted(face, replace(plain, quality=np.array([20])))
    assert 3 < np.abs(pressed.astype(float) - face).mean() < 40


def test_views_do_not_depend_on_how_many_threads_make_them(drawn: FaceSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "CHUNK", 70)
    found = []
    for cpus in (1, 5):
        monkeypatch.setattr(views, "available_cpus", lambda cpus=cpus: cpus)
        found.append(loader(settings(augmentation="corruptions"), drawn).load(2))
    assert same(*found)


def test_mixing_shares_out_a_face_with_its_counterpart_from_the_other_end_of_its_batch() -> None:
    values = np.array([0.0, 10.0, 100.0, 7.0, 9.0])[:, None, None].repeat(2, axis=1)
    found = mixed(values, np.array([0.75, 0.5, 1.0, 0.5, 1.0], np.float32), batch_size=3)
    assert found[:, 0, 0].tolist() == [25.0, 10.0, 100.0, 8.0, 9.0]
    assert found.shape == values.shape


@given(count=st.integers(1, 400), size=st.integers(2, 130))
def test_batches_cover_every_place_once_and_none_holds_a_single_face(count: int, size: int) -> None:
    found = batches(count, size)
    assert [place for start, stop in found for place in range(start, stop)] == list(range(count))
    lengths = [stop - start for start, stop in found]
    assert min(lengths) > 1 or count == 1
    assert max(lengths) <= size + 1


def settings(**changes: Any) -> Settings:
    return replace(Settings("torch", "mlp_1", epochs=3, batch_size=32, augmentation="full", mixup=0.4), **changes)


def loader(own: Settings, faces: FaceSet, shares: LabelShares | None = None) -> EpochLoader:
    labels = np.ascontiguousarray(faces.labels)
    return EpochLoader(own, np.ascontiguousarray(faces.pixels), labels, shares or LabelShares(own, labels))


def same(first: EpochData, second: EpochData) -> bool:
    pairs = ((getattr(first, name), getattr(second, name)) for name in ("pixels", "labels", "shares"))
    return first.seed == second.seed and all(np.array_equal(one, other) for one, other in pairs)


def test_an_epoch_is_the_same_whether_made_ahead_or_when_asked_for(drawn: FaceSet) -> None:
    whole = loader(settings(), drawn)
    epochs = [whole.load(epoch) for epoch in (1, 2, 3)]
    assert same(loader(settings(), drawn).load(3), epochs[2])
    assert same(whole.load(2), epochs[1])
    assert not np.array_equal(epochs[0].pixels, epochs[1].pixels)
    assert not same(loader(settings(seed=1), drawn).load(1), epochs[0])
    whole.close()


def test_labels_are_mixed_as_their_faces_are(drawn: FaceSet) -> None:
    own = settings()
    data, plan = loader(own, drawn).load(1), plan_epoch(own, drawn.labels, 1)
    assert plan.mix is not None
    assert np.array_equal(data.labels, drawn.labels[plan.order])
    assert np.allclose(data.shares.sum(axis=1), 1)
    start, stop = batches(len(drawn), own.batch_size)[0]
    first, last = data.labels[start], data.labels[stop - 1]
    wanted = plan.mix[start] * np.eye(7)[first] + (1 - plan.mix[start]) * np.eye(7)[last]
    assert np.allclose(data.shares[start], wanted)
    clean = replace(own, mixup=0.0)
    unmixed = loader(clean, drawn).load(1).pixels
    assert np.array_equal(data.pixels, rounded(mixed(unmixed, plan.mix, own.batch_size)))


class Echo:
    """A teacher whose answer is the face's mean grey, spread over two classes, and who remembers the faces."""

    def predict(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return float32[N, 7]."""
        self.seen = pixels
        share = pixels.mean(axis=(1, 2)) / 255
        answers = np.zeros((len(pixels), 7), np.float32)
        answers[:, 0], answers[:, 1] = share, 1 - share
        return answers


def test_a_teacher_of_views_is_asked_about_just_what_the_pupil_sees(drawn: FaceSet) -> None:
    own = settings(teaching="views", distillation=0.8, teachers=("echo",))
    labels, teacher = np.ascontiguousarray(drawn.labels), Echo()
    taught = loader(own, drawn, LabelShares(own, labels, teacher=teacher))
    data = taught.load(3)
    assert np.array_equal(teacher.seen, data.pixels)
    alone = loader(own, drawn).load(3)
    assert np.array_equal(alone.pixels, data.pixels)
    assert np.allclose(data.shares, 0.2 * alone.shares + 0.8 * teacher.predict(data.pixels), atol=1e-6)


def test_a_teacher_does_not_have_to_see_through_what_spoils_a_face(drawn: FaceSet) -> None:
    spoiled, teacher = settings(augmentation="corruptions", teaching="views", distillation=1.0), Echo()
    labels = np.ascontiguousarray(drawn.labels)
    data = loader(spoiled, drawn, LabelShares(spoiled, labels, teacher=teacher)).load(1)
    assert teacher.seen.shape == data.pixels.shape
    differing = (teacher.seen != data.pixels).any(axis=(1, 2))
    # Mixed with another, a face is spoiled unless both of them escape five kinds that each hit a tenth: 65 % of all.
    assert 0.5 < differing.mean() < 0.8


def test_what_was_said_of_faces_before_training_follows_them_into_each_epoch(drawn: FaceSet) -> None:
    own = settings(mixup=0.0, distillation=0.5, teachers=("somebody",))
    labels = np.ascontiguousarray(drawn.labels)
    said = np.random.default_rng(0).dirichlet(np.ones(7), len(labels)).astype(np.float32)
    data = loader(own, drawn, LabelShares(own, labels, said)).load(2)
    order = plan_epoch(own, labels, 2).order
    assert np.allclose(data.shares, label_shares(labels, said, 0.5)[order])
