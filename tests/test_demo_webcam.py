"""A camera's frames: what is remembered from one to the next, and what an empty one does."""

import io
import re
from base64 import b64encode
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from data.faceset import LABELS, FaceSet
from demo.state.tracking import Moment, Scene, follow
from inference.photos.faces import FaceBox, HaarFinder
from inference.photos.pictures import Picture
from inference.photos.reading import FacePrediction

pytest.importorskip("gradio", reason="the page needs Gradio: install ferox[demo]")

from demo.page import Page
from demo.state.shelf import Shelf
from demo.tabs.webcam import frame, seen


def face(x: int, label: str, share: float = 1.0) -> FacePrediction:
    probabilities = np.full(len(LABELS), (1 - share) / 6, np.float32)
    probabilities[LABELS.index(label)] = share
    return FacePrediction(FaceBox(x, 50, 100, 100), probabilities, np.zeros((48, 48), np.uint8))


def test_one_odd_frame_does_not_change_a_steady_label() -> None:
    scene = Scene()
    for step in range(10):
        scene = follow(scene, [face(10, "happy")], 0.2 * step)
    scene = follow(scene, [face(12, "angry")], 2.0)
    assert scene.tracks[0].label == "happy"
    for step in range(10):
        scene = follow(scene, [face(12, "angry")], 2.2 + 0.2 * step)
    assert scene.tracks[0].label == "angry"


def test_smoothing_is_by_time_and_not_by_frames() -> None:
    slow = follow(follow(Scene(), [face(0, "happy")], 0.0), [face(0, "sad")], 1.0)
    fast = follow(Scene(), [face(0, "happy")], 0.0)
    for step in range(1, 11):
        fast = follow(fast, [face(0, "sad")], 0.1 * step)
    assert slow.tracks[0].probabilities == pytest.approx(fast.tracks[0].probabilities, abs=1e-5)
    assert slow.tracks[0].probabilities.sum() == pytest.approx(1, abs=1e-5)


def test_faces_keep_their_numbers_when_their_order_changes_and_one_leaves() -> None:
    scene = follow(Scene(), [face(0, "happy"), face(400, "sad")], 0.0)
    scene = follow(scene, [face(405, "sad"), face(5, "happy")], 0.2)
    assert [(track.number, track.box.x) for track in scene.present(0.2)] == [(1, 5), (2, 405)]
    scene = follow(scene, [face(410, "sad")], 0.4)
    assert [track.number for track in scene.present(0.4)] == [2]
    for moment in (1.0, 2.0):
        scene = follow(scene, [face(410, "sad")], moment)
    scene = follow(scene, [face(410, "sad"), face(0, "fear")], 3.0)
    assert [track.number for track in scene.present(3.0)] == [1, 2]
    assert scene.tracks[0].label == "fear"


def test_the_strip_holds_half_a_minute_and_its_gaps() -> None:
    scene = Scene()
    for second in range(50):
        scene = follow(scene, [] if second == 45 else [face(0, "happy")], float(second))
    assert [moment.time for moment in scene.moments] == [float(second) for second in range(20, 50)]
    assert scene.moments[25] == Moment(45.0, None, 0.0)


@pytest.fixture(scope="module")
def page(tiny_model: Path) -> Page:
    here = tiny_model.parent
    return Page(Shelf(here), HaarFinder(), here, here, None, here, str)


def test_an_empty_or_broken_frame_is_passed_over(page: Page, tiny_model: Path) -> None:
    for payload in (None, SimpleNamespace(url=None, path=None), SimpleNamespace(url="data:image/jpeg;base64,AAAA")):
        assert frame(payload) is None
    before = follow(Scene(), [face(0, "happy")], 0.0)
    skipped = seen(page, None, tiny_model.stem, before, "en")
    assert [update["__type__"] for update in skipped] == ["update", "update"]


def test_a_frame_becomes_a_picture_with_a_card_and_states_its_latency(
    page: Page, drawn: FaceSet, tiny_model: Path
) -> None:
    content = io.BytesIO()
    Image.fromarray(drawn.pixels[0]).save(content, "PNG")
    payload = SimpleNamespace(url="data:image/png;base64," + b64encode(content.getvalue()).decode(), path=None)
    picture = frame(payload)
    assert isinstance(picture, Picture)
    html, scene = seen(page, picture, tiny_model.stem, Scene(), "en")
    assert html.count("<article") == 1
    assert re.search(r"\d+ ms a frame", html)
    assert len(scene.tracks) == len(scene.moments) == 1
    html, _ = seen(page, picture, "missing", scene, "en")
    assert "expected one of" in html


def test_without_models_a_frame_is_answered_with_how_to_get_one(tmp_path: Path) -> None:
    page = Page(Shelf(tmp_path), HaarFinder(), tmp_path, tmp_path, None, tmp_path, str)
    html, scene = seen(page, Picture(np.zeros((64, 64, 3), np.uint8), "frame"), None, Scene(), "en")
    assert "there is no model in" in html
    assert "ferox export" in html
    assert scene == Scene()
