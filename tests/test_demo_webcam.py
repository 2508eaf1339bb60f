"""A camera's frames: what is remembered from one to the next, and what an empty one does."""

import csv
import io
import re
from base64 import b64encode
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from data.faceset import LABELS, FaceSet
from demo.state.camera import CameraMemory, StripMoment, remember
from inference.photos.faces import FaceBox, HaarFinder
from inference.photos.pictures import Picture
from inference.photos.reading import FacePrediction
from inference.video.timeline import COLUMNS

pytest.importorskip("gradio", reason="the page needs Gradio: install ferox[demo]")

from demo.page import Page
from demo.state.shelf import Shelf
from demo.tabs.webcam import frame, seen


def face(x: int, label: str, share: float = 1.0) -> FacePrediction:
    probabilities = np.full(len(LABELS), (1 - share) / 6, np.float32)
    probabilities[LABELS.index(label)] = share
    return FacePrediction(FaceBox(x, 50, 100, 100), probabilities, np.zeros((48, 48), np.uint8))


def camera(faces: list[FacePrediction], memory: CameraMemory, now: float) -> CameraMemory:
    return remember(memory, faces, np.zeros((8, 8, 3), np.uint8), now)


def test_the_strip_holds_half_a_minute_and_its_gaps() -> None:
    memory = CameraMemory()
    for second in range(50):
        memory = camera([] if second == 45 else [face(0, "happy")], memory, float(second))
    assert [moment.time for moment in memory.strip] == [float(second) for second in range(20, 50)]
    assert memory.strip[25] == StripMoment(45.0, None, 0.0)


def test_a_camera_s_timeline_has_the_columns_of_watch_and_counts_from_its_first_frame() -> None:
    memory = CameraMemory()
    for step in range(3):
        memory = camera([] if step == 1 else [face(0, "happy"), face(400, "sad")], memory, 100 + 0.5 * step)
    rows = list(csv.DictReader(io.StringIO(memory.timeline())))
    assert list(rows[0]) == list(COLUMNS)
    assert [(row["seconds"], row["track"], row["label"]) for row in rows] == [
        ("0.000000", "1", "happy"),
        ("0.000000", "2", "sad"),
        ("0.500000", "", ""),
        ("1.000000", "1", "happy"),
        ("1.000000", "2", "sad"),
    ]


def test_of_a_camera_s_timeline_the_oldest_rows_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("demo.state.camera.MOST_MOMENTS", 3)
    memory = CameraMemory()
    for step in range(5):
        memory = camera([face(0, "happy")], memory, float(step))
    assert [row.split(",")[0] for row in memory.rows] == ["2.000000", "3.000000", "4.000000"]
    assert memory.frames == 5


@pytest.fixture(scope="module")
def page(tiny_model: Path) -> Page:
    here = tiny_model.parent
    return Page(Shelf(here), HaarFinder(), here, here, None, here, str)


def test_an_empty_or_broken_frame_is_passed_over(page: Page, tiny_model: Path) -> None:
    for payload in (None, SimpleNamespace(url=None, path=None), SimpleNamespace(url="data:image/jpeg;base64,AAAA")):
        assert frame(payload) is None
    before = camera([face(0, "happy")], CameraMemory(), 0.0)
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
    html, memory = seen(page, picture, tiny_model.stem, CameraMemory(), "en")
    assert html.count("<article") == 1
    assert re.search(r"\d+ ms a frame", html)
    assert len(memory.scene.tracks) == len(memory.strip) == len(memory.rows) == 1
    html, _ = seen(page, picture, "missing", memory, "en")
    assert "expected one of" in html


def test_without_models_a_frame_is_answered_with_how_to_get_one(tmp_path: Path) -> None:
    page = Page(Shelf(tmp_path), HaarFinder(), tmp_path, tmp_path, None, tmp_path, str)
    html, memory = seen(page, Picture(np.zeros((64, 64, 3), np.uint8), "frame"), None, CameraMemory(), "en")
    assert "there is no model in" in html
    assert "ferox export" in html
    assert memory == CameraMemory()


def test_without_pyav_the_video_tab_says_what_to_install(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    import gradio as gr

    from demo.tabs import video
    from demo.view.words import say

    monkeypatch.setattr(video, "find_spec", lambda _: None)
    with gr.Blocks(analytics_enabled=False) as blocks:
        video.build(replace(page, text=lambda key: say("en", key)), None)  # type: ignore[arg-type]
    (shown,) = blocks.blocks.values()
    assert "install ferox with its extra video" in str(shown.value)
