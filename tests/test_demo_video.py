"""The Video tab: a film is read in a real browser, stopped, refused; and what the page says without PyAV."""

import csv
import io
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT, page_address

from benchmarks.films import DrawnFilm, write_film
from data.faceset import LABELS
from inference.engine import Engine
from inference.photos.faces import HaarFinder
from inference.video.job import WatchOptions, run_watch
from inference.video.opening import open_film

pytest.importorskip("gradio", reason="the page needs Gradio: install ferox[demo]")
pytest.importorskip("av", reason="films need PyAV: install ferox[video]")


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("film") / "two <persons>.mp4"
    drawn = DrawnFilm(2, 3, 1)
    write_film(path, (drawn.frame(5 * number) for number in range(15)), rate=5)
    return path


@pytest.fixture(scope="module")
def server(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("page")
    words = ["--models", str(tiny_model.parent), "--runs", str(folder), "--reports", str(folder), "--film-size", "2"]
    with page_address([sys.executable, "-m", "demo", *words], ROOT, os.environ) as address:
        yield address


@pytest.fixture
def tab(visit: Callable[..., Any]) -> Callable[..., Any]:
    """Open the tab."""

    def opened(**options: Any) -> Any:
        page = visit(**options)
        page.click("#tabs button[role=tab]:has-text('Video'), #tabs button[role=tab]:has-text('视频')")
        page.wait_for_selector("#video-run")
        return page

    return opened


def give(page: Any, film: Path) -> None:
    page.set_input_files("#video-film input[type=file]", film)
    page.wait_for_selector(f"#video-film >> text={film.name[:3]}")


def test_a_film_becomes_a_timeline_files_and_a_copy_that_plays(tab: Callable[..., Any], film: Path) -> None:
    page = tab()
    give(page, film)
    page.click("#video-run")
    frame = page.frame_locator("#video-answer iframe")
    frame.locator("h1", has_text="two <persons>.mp4").wait_for()
    assert "15 moments" in page.inner_text("#video-answer .fx-head")
    lane = frame.locator(".lane").first
    before = frame.locator("#told").inner_text()
    lane.click(position={"x": 300, "y": 20})
    assert frame.locator("#told").inner_text() != before
    page.wait_for_selector("#video-copy video")
    page.wait_for_function("() => document.querySelector('#video-copy video').readyState >= 2")
    assert page.evaluate("() => document.querySelector('#video-copy video').videoWidth") == 1280
    with page.expect_download() as coming:
        page.click("#video-files a:has-text('timeline.csv'), #video-files a[download='timeline.csv']")
    rows = list(csv.DictReader(io.StringIO(coming.value.path().read_text())))
    assert {row["frame"] for row in rows} == {str(number) for number in range(15)}
    assert {row["label"] for row in rows if row["track"]} <= set(LABELS)


@pytest.mark.parametrize("width", [390, 1280])
def test_a_timeline_opens_from_a_disk_and_shows_the_frame_that_is_clicked(
    browser: Any, film: Path, tiny_model: Path, tmp_path: Path, width: int
) -> None:
    run_watch(open_film(film), Engine.load(tiny_model), HaarFinder(), WatchOptions(out=tmp_path, every=0.2))
    context = browser.new_context(viewport={"width": width, "height": 900}, offline=True)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto((tmp_path / "timeline.html").as_uri())
    first = page.get_attribute("#frame", "src")
    lane = page.locator(".lane").first
    lane.scroll_into_view_if_needed()
    lane.click(position={"x": lane.bounding_box()["width"] * 0.5, "y": 20})
    assert page.get_attribute("#frame", "src") != first
    assert page.locator("#told b").inner_text() == "0:01.4"
    page.press("#slider", "ArrowRight")
    assert page.locator("#told b").inner_text() == "0:01.6"
    assert page.evaluate("() => document.documentElement.scrollWidth") == width
    context.close()
    assert errors == []


def test_a_film_that_is_stopped_keeps_what_was_read(tab: Callable[..., Any], film: Path, tmp_path: Path) -> None:
    page = tab(width=390)
    long = tmp_path / "long.mp4"
    write_film(long, iter([np.full((240, 320, 3), 127, np.uint8)] * 3000), rate=5)
    give(page, long)
    page.click("#video-run")
    page.wait_for_selector("#video-progress >> text=times real time")
    page.click("#video-stop")
    page.wait_for_selector("#video-answer >> text=Stopped after")
    assert page.locator("#video-copy video").count() == 0
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 390


def test_a_film_that_was_withdrawn_is_not_read_in_the_place_of_the_next(
    tab: Callable[..., Any], film: Path, tmp_path: Path
) -> None:
    long = tmp_path / "long.mp4"
    write_film(long, iter([np.full((240, 320, 3), 127, np.uint8)] * 3000), rate=5)
    first, second = tab(), tab()
    give(first, long)
    first.click("#video-run")
    first.wait_for_selector("#video-progress >> text=times real time")
    give(second, long)
    second.click("#video-run")
    second.wait_for_selector("#video-progress >> text=/queue: 1/")
    second.click("#video-stop")
    second.click("#video-film [aria-label='Clear'], #video-film [aria-label='Remove this file']")
    give(second, film)
    second.click("#video-run")
    second.wait_for_timeout(1000)
    first.click("#video-stop")
    second.frame_locator("#video-answer iframe").locator("h1", has_text="two <persons>.mp4").wait_for()
    assert "15 moments" in second.inner_text("#video-answer .fx-head")


def test_what_is_no_film_or_too_large_is_refused_in_one_sentence(tab: Callable[..., Any], tmp_path: Path) -> None:
    page = tab()
    (tmp_path / "notes.mp4").write_text("no film")
    give(page, tmp_path / "notes.mp4")
    page.click("#video-run")
    said = page.wait_for_selector("#video-progress .fx-error").inner_text()
    assert said.startswith("notes.mp4 is no film that can be read")
    assert str(tmp_path) not in said


def test_the_tab_speaks_chinese(tab: Callable[..., Any]) -> None:
    page = tab(locale="zh-CN")
    assert page.inner_text("#video-run") == "开始识别"
