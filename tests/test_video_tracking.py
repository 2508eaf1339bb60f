"""Persons keep their numbers: through crossings, turned heads and gaps; and smoothing is by time."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from benchmarks.films import DrawnFilm, Visible
from benchmarks.identity import Answered, idf1, switches
from data.faceset import LABELS
from inference.photos.faces import FaceBox, crop, grey
from inference.photos.reading import FacePrediction
from inference.video.frames import Position
from inference.video.moments import watched_faces
from inference.video.state import Reached, as_values, reached
from inference.video.tracking import FORGOTTEN, Scene, follow

UNSURE = np.full(len(LABELS), 1 / len(LABELS), np.float32)
Moments = list[tuple[Sequence[Visible], list[Answered]]]


def face(x: int, label: str, tone: int = 0, share: float = 1.0) -> FacePrediction:
    probabilities = np.full(len(LABELS), (1 - share) / 6, np.float32)
    probabilities[LABELS.index(label)] = share
    return FacePrediction(FaceBox(x, 50, 100, 100), probabilities, np.full((48, 48), tone, np.uint8))


def test_one_odd_moment_does_not_change_a_steady_label() -> None:
    scene = Scene()
    for step in range(10):
        scene = follow(scene, [face(10, "happy")], 0.2 * step)
    scene = follow(scene, [face(12, "angry")], 2.0)
    assert scene.tracks[0].label == "happy"
    for step in range(10):
        scene = follow(scene, [face(12, "angry")], 2.2 + 0.2 * step)
    assert scene.tracks[0].label == "angry"


def test_smoothing_is_by_time_and_not_by_moments() -> None:
    slow = follow(follow(Scene(), [face(0, "happy")], 0.0), [face(0, "sad")], 1.0)
    fast = follow(Scene(), [face(0, "happy")], 0.0)
    for step in range(1, 11):
        fast = follow(fast, [face(0, "sad")], 0.1 * step)
    assert slow.tracks[0].probabilities == pytest.approx(fast.tracks[0].probabilities, abs=1e-5)
    assert slow.tracks[0].probabilities.sum() == pytest.approx(1, abs=1e-5)
    assert slow.tracks[0].raw.tolist() == face(0, "sad").probabilities.tolist()


def test_faces_keep_their_numbers_when_their_order_changes_and_one_leaves() -> None:
    scene = follow(Scene(), [face(0, "happy"), face(400, "sad")], 0.0)
    scene = follow(scene, [face(405, "sad"), face(5, "happy")], 0.2)
    assert [(track.number, track.box.x) for track in scene.present(0.2)] == [(1, 5), (2, 405)]
    scene = follow(scene, [face(410, "sad")], 0.4)
    assert [track.number for track in scene.present(0.4)] == [2]


def test_of_two_frames_of_one_time_each_has_its_own_faces() -> None:
    scene = follow(Scene(), [face(0, "happy"), face(400, "sad")], 0.2)
    assert [seen.track for seen in watched_faces(scene, [face(0, "happy"), face(400, "sad")], 0.2)] == [1, 2]
    scene = follow(scene, [face(402, "sad")], 0.2)
    assert [seen.track for seen in watched_faces(scene, [face(402, "sad")], 0.2)] == [2]
    assert watched_faces(follow(scene, [], 0.2), [], 0.2) == ()


def test_who_is_back_within_seconds_is_known_by_the_looks_and_begins_anew() -> None:
    scene = follow(Scene(), [face(0, "happy", tone=60)], 0.0)
    for step in range(1, 5):
        scene = follow(scene, [], float(step))
    scene = follow(scene, [face(900, "fear", tone=60), face(0, "sad", tone=200)], 4.2)
    assert [(track.number, track.box.x, track.label) for track in scene.tracks] == [(1, 900, "fear"), (2, 0, "sad")]


def test_who_stays_away_is_forgotten_and_numbers_are_never_given_again() -> None:
    scene = follow(Scene(), [face(0, "happy")], 0.0)
    scene = follow(scene, [], FORGOTTEN + 0.1)
    assert scene.tracks == ()
    assert [track.number for track in follow(scene, [face(0, "happy")], FORGOTTEN + 0.2).tracks] == [2]


@pytest.mark.parametrize("speed", [-300, 300])
def test_two_who_cross_keep_their_numbers_even_where_nothing_tells_them_apart(speed: int) -> None:
    """Motion alone decides: both have one look."""
    scene = Scene()
    for step in range(21):
        left, right = 100 + abs(speed) * 0.1 * step, 700 - abs(speed) * 0.1 * step
        faces = [face(round(left), "happy"), face(round(right), "sad")]
        scene = follow(scene, faces if speed > 0 else faces[::-1], 0.1 * step)
        if step == 0:
            first = {track.box.x: track.number for track in scene.tracks}
    last = {track.number: track.box.x for track in scene.tracks}
    assert scene.numbers == 2
    assert last[first[100]] == 700
    assert last[first[700]] == 100


def detected(film: DrawnFilm, rng: np.random.Generator, seconds: float, frame: int) -> list[FacePrediction]:
    """Return what a finder would find: who can be seen, a little beside where they are."""
    plain = grey(film.frame(frame))
    faces = []
    for person in film.seen(seconds):
        side = person.side * rng.uniform(0.93, 1.07)
        x, y = (value - side / 2 + person.side * rng.normal(0, 0.04) for value in (person.x, person.y))
        box = FaceBox(round(x), round(y), round(side), round(side))
        faces.append(FacePrediction(box, UNSURE, crop(plain, box)))
    return faces


@pytest.mark.parametrize(("persons", "gaps"), [(2, (0.3, 0.9)), (4, (0.3, 0.9)), (6, (0.3, 0.9)), (3, (1.5, 3.0))])
def test_persons_of_a_drawn_film_keep_their_numbers(persons: int, gaps: tuple[float, float]) -> None:
    film, rng = DrawnFilm(persons, 12, 11, gaps), np.random.default_rng(persons)
    scene, moments = Scene(), Moments()
    for step in range(60):
        scene = follow(scene, detected(film, rng, 0.2 * step, 5 * step), 0.2 * step)
        present = scene.present(0.2 * step)
        answers = [
            (track.number, track.box.x + track.box.width / 2, track.box.y + track.box.height / 2) for track in present
        ]
        moments.append((film.seen(0.2 * step), answers))
    assert [gap for now, before in switches(moments) if (gap := 0.2 * (now - before)) < 1] == []
    assert idf1(moments) >= 0.95


def test_the_figure_counts_what_it_should() -> None:
    def moments(numbers: Sequence[int]) -> Moments:
        return [([Visible(0, 100, 100, 80)], [(number, 104, 98)]) for number in numbers]

    assert idf1(moments([1, 1, 1, 1])) == 1
    assert idf1(moments([1, 1, 2, 2])) == 0.5
    assert switches(moments([1, 1, 2, 2])) == [(2, 1)]
    assert idf1([([Visible(0, 100, 100, 80)], [(1, 200, 100)])]) == 0


@given(
    st.lists(
        st.lists(st.tuples(st.integers(-200, 4000), st.integers(1, 900), st.integers(0, 255)), max_size=5), max_size=8
    )
)
def test_any_faces_are_numbered_each_once_and_the_state_comes_back_as_it_was(
    boxes: list[list[tuple[int, int, int]]],
) -> None:
    scene = Scene()
    for step, found in enumerate(boxes):
        faces = [
            FacePrediction(FaceBox(x, x // 2, side, side), UNSURE, np.full((48, 48), tone, np.uint8))
            for x, side, tone in found
        ]
        scene = follow(scene, faces, 0.3 * step)
        assert len(scene.present(0.3 * step)) == len(faces)
        assert len({track.number for track in scene.tracks}) == len(scene.tracks)
        assert all(track.number <= scene.numbers for track in scene.tracks)
    assert_kept(scene)


def assert_kept(scene: Scene) -> None:
    from data.documents import parse_document
    from data.files import as_json

    position = Position(number=0, time=0, seconds=0.0, origin=0.0, shift=0.0, damaged=0)
    text = as_json(as_values(reached(position, 0, 0, scene)))
    back = parse_document(Reached, text, "state", "").scene
    assert back.numbers == scene.numbers
    for one, two in zip(back.tracks, scene.tracks, strict=True):
        assert (one.number, one.box, one.seen, one.motion) == (two.number, two.box, two.seen, two.motion)
        assert_same(one.probabilities, two.probabilities)
        assert_same(one.look, two.look)


def assert_same(one: NDArray[np.float32], two: NDArray[np.float32]) -> None:
    assert one.dtype == two.dtype
    assert one.tobytes() == two.tobytes()
