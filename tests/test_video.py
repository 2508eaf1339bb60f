"""Films: what is decoded and when, what is refused, rows that go on after any end, and the answers beside them."""

import csv
import http.server
import json
import math
import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from benchmarks.films import DrawnFilm, write_film
from data.documents import read_document
from data.errors import InputError
from demo.view.film import FilmShown
from inference.engine import Engine
from inference.photos.faces import HaarFinder
from inference.video import EVERY_FRAME
from inference.video.camera import Camera
from inference.video.clock import Clock, is_due
from inference.video.film import Film
from inference.video.job import Reading, WatchOptions, run_watch
from inference.video.moments import watch
from inference.video.opening import open_film, without_password
from inference.video.page import clock
from inference.video.plan import watch_plan
from inference.video.sources import checked_every, open_source
from inference.video.summary import WatchSummary, totals
from inference.video.timeline import COLUMNS, timeline_moments
from inference.video.work import Work

av = pytest.importorskip("av", reason="films need PyAV: install ferox[video]")

ROOT = Path(__file__).parents[1]
Pixels = NDArray[np.uint8]


def numbered_frame(number: int, height: int = 48, width: int = 64) -> Pixels:
    """A frame whose grey says which it is."""
    return np.full((height, width, 3), 20 + 4 * (number % 55), np.uint8)


def which(pixels: Pixels) -> int:
    return round((float(pixels.mean()) - 20) / 4)


@pytest.fixture(scope="module")
def engine(tiny_model: Path) -> Engine:
    return Engine.load(tiny_model)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two persons for six seconds, with B-frames, and a keyframe a second."""
    path = tmp_path_factory.mktemp("film") / "two.mp4"
    drawn = DrawnFilm(2, 6, 2)
    write_film(path, (drawn.frame(number)[::2, ::2] for number in range(drawn.frames)), g="25", bf="2")
    return path


def write(path: Path, times: list[int], base: Fraction = Fraction(1, 1000), **options: Any) -> Path:
    """Write numbered frames at times of their own, in units of `base`."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"bf": "0", "crf": "1"} | options.get("codec", {}))
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.time_base = stream.codec_context.time_base = base
        if "rotation" in options:
            stream.set_display_rotation(options["rotation"])
        for number, when in enumerate(times):
            picture = av.VideoFrame.from_ndarray(options.get("draw", numbered_frame)(number), "rgb24")
            picture.pts, picture.time_base = when, base
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


def copied(film: Path, path: Path, **options: str) -> None:
    """Copy a film's pictures into another container."""
    with av.open(str(film)) as source, av.open(str(path), "w", options=options) as output:
        stream = output.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                output.mux(packet)


# What is decoded, and when


def test_a_frame_in_every_fifth_of_a_second_is_looked_at(tmp_path: Path) -> None:
    path = write(tmp_path / "even.mp4", [40 * number for number in range(50)])
    frames = list(open_film(path).frames(0.2))
    assert [frame.position.number for frame in frames] == list(range(0, 50, 5))
    assert [which(frame.pixels) for frame in frames] == list(range(0, 50, 5))
    assert [frame.position.seconds for frame in frames] == pytest.approx([0.2 * step for step in range(10)])
    assert len(list(open_film(path).frames(EVERY_FRAME))) == 50


def test_uneven_frames_keep_their_own_times(tmp_path: Path) -> None:
    times = [0, 10, 250, 260, 900, 1000, 1010, 1390, 1400]
    path = write(tmp_path / "uneven.mkv", times)
    frames = list(open_film(path).frames(0.2))
    assert [round(1000 * frame.position.seconds) for frame in frames] == [0, 250, 900, 1000, 1390, 1400]
    assert [which(frame.pixels) for frame in frames] == [0, 2, 4, 5, 7, 8]


def test_time_begins_with_the_film(tmp_path: Path) -> None:
    path = write(tmp_path / "late.ts", [90_000 * 5 + 3600 * number for number in range(10)], Fraction(1, 90_000))
    seconds = [frame.position.seconds for frame in open_film(path).frames(EVERY_FRAME)]
    assert seconds == pytest.approx([0.04 * number for number in range(10)])


def half(_: int) -> Pixels:
    pixels = np.zeros((48, 64, 3), np.uint8)
    pixels[:, :32] = 255
    return pixels


@pytest.mark.parametrize(
    ("degrees", "shape", "white"),
    [(0, (48, 64), (24, 8)), (90, (64, 48), (56, 24)), (-90, (64, 48), (8, 24)), (180, (48, 64), (24, 56))],
)
def test_a_film_is_turned_as_it_says(
    tmp_path: Path, degrees: int, shape: tuple[int, int], white: tuple[int, int]
) -> None:
    """FFmpeg's own player turns a film by as many degrees counterclockwise: its left side is then at the bottom."""
    path = write(tmp_path / "turned.mp4", [0, 40], rotation=degrees, draw=half)
    (frame, *_) = open_film(path).frames(EVERY_FRAME)
    assert frame.pixels.shape[:2] == shape
    assert frame.pixels[white].min() > 200
    assert frame.pixels[shape[0] - 1 - white[0], shape[1] - 1 - white[1]].max() < 60


@given(st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6), st.just(math.nan)), max_size=30), st.floats(0.01, 1))
def test_seconds_never_fall_whatever_times_a_film_has(times: list[float | None], usual: float) -> None:
    clock_ = Clock(None, usual)
    seconds = [clock_.seconds(time) for time in times]
    assert all(after >= before - 1e-3 for before, after in pairwise(seconds))


@given(st.lists(st.floats(0.001, 2), min_size=1, max_size=50), st.floats(0.05, 1))
def test_no_two_moments_are_in_one_stretch_of_time(steps: list[float], every: float) -> None:
    seconds, taken = 0.0, list[float]()
    for step in steps:
        if is_due(seconds, taken[-1] if taken else None, every):
            taken.append(seconds)
        seconds += step
    places = [int((each + 1e-6) / every) for each in taken]
    assert len(set(places)) == len(places)


# What is refused


def refusal(path: str | Path | int) -> str:
    with pytest.raises(InputError) as refused:
        list(open_source(path).frames(0.2))
    return str(refused.value)


def sound_alone(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16_000)
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        samples.rate = 16_000
        for number in range(10):
            samples.pts = 1024 * number
            container.mux(stream.encode(samples))
        container.mux(stream.encode(None))
    return path


def test_what_is_no_film_is_refused_in_one_sentence(tmp_path: Path, film: Path) -> None:
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "text.mp4").write_text("no film at all")
    (tmp_path / "cut.mp4").write_bytes(film.read_bytes()[:500])
    os.mkfifo(tmp_path / "pipe.mp4")
    assert "empty.mp4 is empty" in refusal(tmp_path / "empty.mp4")
    assert "text.mp4 is no film that can be read" in refusal(tmp_path / "text.mp4")
    assert "cut.mp4 is no film that can be read" in refusal(tmp_path / "cut.mp4")
    assert "pipe.mp4 is not a file" in refusal(tmp_path / "pipe.mp4")
    assert "missing.mp4 cannot be read (No such file or directory)" in refusal(tmp_path / "missing.mp4")
    assert "sound.mp4 has sound, but no pictures" in refusal(sound_alone(tmp_path / "sound.mp4"))
    assert "there is no camera 97" in refusal("97")
    assert "there is no camera 97" in refusal("/dev/video97")
    assert "file:// is no protocol of streams" in refusal(f"file://{film}")
    assert "concat:// is no protocol of streams" in refusal("concat://a|b")
    assert "is no address (Invalid IPv6 URL)" in refusal("http://[::1")


def test_a_film_is_known_by_its_content_and_not_by_its_ending(tmp_path: Path, film: Path) -> None:
    other = tmp_path / "film.txt"
    other.write_bytes(film.read_bytes())
    assert open_film(other).facts.codec == "h264"


@pytest.mark.parametrize("ending", ["mp4", "m3u8", "txt", "mpd", "sdp", "ffconcat"])
def test_a_playlist_reads_no_other_file(tmp_path: Path, film: Path, ending: str) -> None:
    playlists = (
        f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{film}\n#EXT-X-ENDLIST\n",
        f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile://{film}\n#EXT-X-ENDLIST\n",
        f"ffconcat version 1.0\nfile '{film}'\n",
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period><AdaptationSet>'
        f'<Representation id="1" bandwidth="1"><BaseURL>{film}</BaseURL></Representation></AdaptationSet></Period>'
        "</MPD>",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
    )
    path = tmp_path / f"playlist.{ending}"
    for text in playlists:
        path.write_text(text)
        assert f"playlist.{ending} is no film that can be read" in refusal(path)


def test_a_film_that_names_another_file_for_its_pictures_does_not_read_it(tmp_path: Path, film: Path) -> None:
    """QuickTime's data references may name files; FFmpeg would open them."""
    content = film.read_bytes()
    place = content.index(b"url \x00\x00\x00\x01")
    named = bytearray(content)
    named[place + 4 : place + 8] = b"\x00\x00\x00\x00"
    path = tmp_path / "named.mov"
    path.write_bytes(bytes(named))
    opened: list[str] = []
    audit = [True]
    sys.addaudithook(lambda event, args: opened.append(str(args[0])) if audit[0] and event == "open" else None)
    with suppress(InputError):
        list(open_film(path).frames(1.0))
    audit[0] = False
    assert {name for name in opened if name.endswith((".mp4", ".mov"))} <= {str(path)}


def test_frames_larger_than_pictures_may_be_are_refused_before_they_are_decoded(tmp_path: Path) -> None:
    large = tmp_path / "8k.mp4"
    write_film(large, iter([np.zeros((4320, 7680, 3), np.uint8)]), preset="ultrafast")
    assert "8k.mp4 is 7680 x 4320 pixels: at most 25 megapixels" in refusal(large)


def test_a_film_without_frames_is_refused(tmp_path: Path, film: Path) -> None:
    """The table of contents stands before the pictures, and these are missing."""
    copied(film, tmp_path / "whole.mp4", movflags="+faststart")
    content = (tmp_path / "whole.mp4").read_bytes()
    (tmp_path / "none.mp4").write_bytes(content[: content.index(b"mdat") + 8])
    assert "none.mp4 has no frame that can be decoded" in refusal(tmp_path / "none.mp4")
    (tmp_path / "half.mp4").write_bytes(content[: len(content) // 2])
    half_film = open_film(tmp_path / "half.mp4")
    frames = list(half_film.frames(0.2))
    assert 5 < len(frames) < 29
    assert "half.mp4 breaks off at" in str(half_film.trouble())


def test_a_damaged_film_gives_what_can_be_decoded_and_says_so(tmp_path: Path, film: Path) -> None:
    content = bytearray(film.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 3000] = np.random.default_rng(1).bytes(3000)
    path = tmp_path / "damaged.mp4"
    path.write_bytes(bytes(content))
    damaged = open_film(path)
    assert len(list(damaged.frames(0.2))) > 15
    assert damaged.trouble() is not None


def test_without_pyav_it_is_said_how_to_get_it(film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    for source in (film, "rtsp://camera.example/live"):
        assert "PyAV is not installed; expected it to read films and streams; run " in refusal(source)


def test_a_film_whose_time_stands_still_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inference.video.film.MOST_IDLE", 10)
    monkeypatch.setattr("inference.video.film.MOST_RATE", 10)
    path = write(tmp_path / "still.mkv", [0, *(1000 + number // 20 for number in range(200))])
    still = open_film(path)
    assert len(list(still.frames(0.2))) == 2
    assert "still.mkv breaks off at 1.0 s (its time stands still)" in str(still.trouble())


@pytest.mark.parametrize("limit", [0.0, -1.0, math.nan, math.inf])
def test_a_limit_is_some_seconds(film: Path, engine: Engine, tmp_path: Path, limit: float) -> None:
    with pytest.raises(InputError, match="expected more than 0 seconds"):
        run_watch(open_film(film), engine, HaarFinder(), options(tmp_path, limit=limit))


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "often", ""])
def test_every_is_seconds_or_frame(value: str) -> None:
    with pytest.raises(InputError, match="expected seconds"):
        checked_every(value)
    assert checked_every("frame") == EVERY_FRAME


def test_passwords_of_streams_are_told_nobody() -> None:
    shown = without_password("rtsp://user:secret@camera.example:554/live?token=hidden")
    assert shown == "rtsp://camera.example:554/live"


# Streams


@pytest.fixture(scope="module")
def served(film: Path) -> Iterator[tuple[str, Path]]:
    """A folder below an address of this machine."""
    folder = film.parent
    copied(film, folder / "two.mkv")
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    handler.func.log_message = lambda *_: None  # type: ignore[attr-defined]
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", folder
        server.shutdown()
        thread.join()


def test_a_stream_is_read_from_its_address_up_to_a_limit(
    served: tuple[str, Path], engine: Engine, tmp_path: Path
) -> None:
    address, _ = served
    stream = open_source(f"{address}/two.mkv?key=secret")
    summary = run_watch(stream, engine, HaarFinder(), options(tmp_path, limit=2.0))
    assert (summary.kind, summary.finished, summary.trouble, summary.moments) == ("stream", True, None, 10)
    assert (summary.width, summary.height) == (640, 360)
    assert "secret" not in (tmp_path / "summary.json").read_text() + (tmp_path / "watch.json").read_text()


def test_a_stream_s_playlist_reads_no_file_of_this_machine(served: tuple[str, Path], film: Path) -> None:
    address, folder = served
    for number, entry in enumerate((f"file://{film}", str(film), f"concat:{film}")):
        text = f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{entry}\n#EXT-X-ENDLIST\n"
        (folder / f"{number}.m3u8").write_text(text)
        assert f"/{number}.m3u8" in refusal(f"{address}/{number}.m3u8")


def test_a_stream_that_is_not_there_is_said(served: tuple[str, Path]) -> None:
    address, _ = served
    assert "/missing.mp4 cannot be opened (" in refusal(f"{address}/missing.mp4")


# Cameras


class FakeCamera:
    """A camera that gives some frames, of which one cannot be read."""

    def __init__(self, frames: int) -> None:
        self.left = frames

    def isOpened(self) -> bool:  # noqa: N802
        return True

    def grab(self) -> bool:
        self.left -= 1
        return self.left >= 0

    def retrieve(self) -> tuple[bool, Any]:
        return True, np.full((48, 64, 3), (255, 0, 0), np.uint8)

    def release(self) -> None:
        self.left = -1


def test_a_camera_is_read_by_the_clock_in_rgb_and_given_back() -> None:
    times = iter(0.1 * step for step in range(100))
    held = FakeCamera(21)
    camera = Camera(0, opening=lambda _: held, clock=lambda: next(times))
    frames = list(camera.frames(0.5))
    assert [frame.position.number for frame in frames] == [0, 4, 9, 14, 19]
    assert frames[0].pixels[0, 0].tolist() == [0, 0, 255]
    assert held.left == -1
    assert "camera 0 gives no more frames" in str(camera.trouble())
    assert (camera.facts.width, camera.facts.height) == (64, 48)


# Rows that go on


def options(out: Path, **others: Any) -> WatchOptions:
    return WatchOptions(out=out, **{"every": 0.2} | others)


def rows_of(out: Path) -> bytes:
    return (out / "timeline.csv").read_bytes()


@pytest.fixture(scope="module")
def whole(film: Path, engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film that was watched without an interruption."""
    out = tmp_path_factory.mktemp("whole")
    run_watch(open_film(film), engine, HaarFinder(), options(out))
    return out


def test_the_timeline_has_a_row_a_face_and_one_for_each_moment_without(whole: Path, film: Path) -> None:
    with (whole / "timeline.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == list(COLUMNS)
    assert sorted({int(row["frame"]) for row in rows}) == list(range(0, 150, 5))
    found = [row for row in rows if row["track"]]
    assert len(found) > 30
    for row in found:
        assert sum(float(row[label]) for label in list(COLUMNS)[-7:]) == pytest.approx(1, abs=1e-5)
        assert float(row[row["label"]]) == pytest.approx(float(row["confidence"]))
    assert not (whole / ".work").exists()


def test_the_summary_adds_up_the_rows(whole: Path) -> None:
    summary = read_document(WatchSummary, whole / "summary.json", "")
    assert (summary.finished, summary.trouble, summary.kind, summary.moments) == (True, None, "film", 30)
    assert {track.track for track in summary.tracks} == {1, 2}
    for track in summary.tracks:
        assert sum(track.shares.values()) == pytest.approx(1, abs=1e-4)
        assert track.first <= track.last <= summary.seconds
        assert 0 < track.seconds_seen <= 6.01
        labels = [change.label for change in track.changes]
        assert all(before != after for before, after in pairwise(labels))
    assert totals(timeline_moments(whole / "timeline.csv")).tracks == summary.tracks


def test_below_the_least_confidence_a_moment_is_unsure(whole: Path, film: Path, engine: Engine, tmp_path: Path) -> None:
    always = [face for moment in timeline_moments(whole / "timeline.csv") for face in moment.faces]
    least = float(np.median([face.confidence for face in always]))
    summary = run_watch(open_film(film), engine, HaarFinder(), options(tmp_path, min_confidence=least, annotate=True))
    faces = [face for moment in timeline_moments(tmp_path / "timeline.csv") for face in moment.faces]
    assert [face.label for face in faces] == [face.guess if face.confidence >= least else None for face in always]
    assert 0 < sum(face.label is None for face in faces) < len(faces)
    assert np.array_equal([face.probabilities for face in faces], [face.probabilities for face in always])
    assert summary.min_confidence == least
    assert sum(track.unsure for track in summary.tracks) > 0
    for track in summary.tracks:
        assert sum(track.shares.values()) + track.unsure == pytest.approx(1, abs=1e-4)
    assert f"unsure below {least:g}" in (tmp_path / "timeline.html").read_text()
    with pytest.raises(InputError, match="min_confidence"):
        run_watch(open_film(film), engine, HaarFinder(), options(tmp_path))
    shown = FilmShown(None)
    for moment in watch(film, engine, HaarFinder(), 0.2, None, "auto", 1.0):
        shown.add(moment)
    assert not shown.lanes


class _Killed(BaseException):
    pass


@pytest.mark.parametrize("after", [1, 7, 20, 29])
def test_what_was_killed_anywhere_goes_on_to_the_same_rows(
    film: Path, engine: Engine, whole: Path, tmp_path: Path, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows and pictures behind the last state, half a row included, are what a killed process leaves."""
    monkeypatch.setattr("inference.video.work.SAVED_EVERY", 0.0 if after % 2 else 0.05)
    source, given_options = open_film(film), options(tmp_path)
    run = Reading(source, given_options, Work(tmp_path))
    for count, _ in enumerate(run.moments(engine, HaarFinder()), 1):
        if count == after:
            break
    run.work._file.write(b"5.0,torn")
    run.work._file.flush()
    run_watch(open_film(film), engine, HaarFinder(), given_options)
    assert rows_of(tmp_path) == rows_of(whole)
    mine, other = ((folder / "timeline.html").read_text() for folder in (tmp_path, whole))
    assert mine == other


def test_a_film_that_cannot_be_sought_in_goes_on_all_the_same(
    film: Path, engine: Engine, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inference.video.work.SAVED_EVERY", 0.0)
    run = Reading(open_film(film), options(tmp_path), Work(tmp_path))
    for count, _ in enumerate(run.moments(engine, HaarFinder()), 1):
        if count == 12:
            break
    run.work._file.close()
    monkeypatch.setattr(Film, "_sought", lambda *_: None)
    run_watch(open_film(film), engine, HaarFinder(), options(tmp_path))
    assert rows_of(tmp_path) == rows_of(whole)


def test_rows_do_not_depend_on_how_far_ahead_frames_are_read(
    film: Path, engine: Engine, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inference.video.moments.available_cpus", lambda: 1)
    monkeypatch.setattr("inference.video.moments.AHEAD", 0)
    run_watch(open_film(film), engine, HaarFinder(), options(tmp_path))
    assert rows_of(tmp_path) == rows_of(whole)


def test_a_folder_of_another_film_or_with_other_settings_is_refused(film: Path, engine: Engine, tmp_path: Path) -> None:
    given_options = options(tmp_path, limit=0.5)
    summary = run_watch(open_film(film), engine, HaarFinder(), given_options)
    assert (summary.finished, summary.moments, summary.trouble) == (True, 3, None)
    before = rows_of(tmp_path)
    with pytest.raises(InputError, match="holds a job with other every"):
        run_watch(open_film(film), engine, HaarFinder(), replace(given_options, every=0.1))
    run_watch(open_film(film), engine, HaarFinder(), given_options)
    assert rows_of(tmp_path) == before


def test_a_folder_in_which_nothing_was_begun_is_free(film: Path, engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no camera 97"):
        run_watch(open_source("97"), engine, HaarFinder(), options(tmp_path))
    assert run_watch(open_film(film), engine, HaarFinder(), options(tmp_path, limit=0.5)).moments == 3


def test_a_camera_that_was_stopped_keeps_what_it_gave_and_is_not_read_twice(engine: Engine, tmp_path: Path) -> None:
    def ended(_: int) -> FakeCamera:
        held = FakeCamera(10)
        grab, count = held.grab, iter(range(100))

        def interrupted() -> bool:
            if next(count) == 6:
                raise KeyboardInterrupt
            return grab()

        held.grab = interrupted  # type: ignore[method-assign]
        return held

    times = iter(0.25 * step for step in range(1000))
    camera = Camera(0, opening=ended, clock=lambda: next(times))
    with pytest.raises(KeyboardInterrupt):
        run_watch(camera, engine, HaarFinder(), options(tmp_path))
    summary = read_document(WatchSummary, tmp_path / "summary.json", "")
    assert (summary.finished, summary.kind) == (False, "camera")
    assert 0 < summary.moments <= 6
    assert "Stopped at" in (tmp_path / "timeline.html").read_text()
    with pytest.raises(InputError, match="is not read twice"):
        run_watch(Camera(0), engine, HaarFinder(), options(tmp_path))
    with pytest.raises(InputError, match="--annotate reads a film once more"):
        run_watch(Camera(0), engine, HaarFinder(), options(tmp_path / "other", annotate=True))


# Other answers


def test_the_copy_is_what_browsers_play_with_all_frames_and_the_sound(
    film: Path, engine: Engine, tmp_path: Path
) -> None:
    noisy = tmp_path / "noisy.mp4"
    add_sound(film, noisy)
    run_watch(open_film(noisy), engine, HaarFinder(), options(tmp_path / "out", annotate=True, parquet=True))
    copy = tmp_path / "out" / "annotated.mp4"
    content = copy.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")
    with av.open(str(copy)) as container:
        (stream,) = container.streams.video
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
        assert [track.codec_context.name for track in container.streams.audio] == ["aac"]
        frames = list(container.decode(video=0))
    assert len(frames) == 150
    assert frames[-1].time == pytest.approx(149 / 25, abs=0.01)
    plain = next(iter(open_film(film).frames(EVERY_FRAME))).pixels.astype(int)
    assert np.abs(frames[0].to_ndarray(format="rgb24").astype(int) - plain).max() > 100


def add_sound(film: Path, path: Path) -> None:
    with av.open(str(film)) as source, av.open(str(path), "w") as output:
        pictures = output.add_stream_from_template(source.streams.video[0])
        sound = output.add_stream("aac", rate=16_000)
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        samples.rate = 16_000
        for number in range(90):
            samples.pts = 1024 * number
            output.mux(sound.encode(samples))
        output.mux(sound.encode(None))
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = pictures
                output.mux(packet)


def test_parquet_has_the_rows_of_the_csv(film: Path, engine: Engine, whole: Path, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="Parquet needs pyarrow: install ferox[parquet]")
    run_watch(open_film(film), engine, HaarFinder(), options(tmp_path, parquet=True))
    rows = parquet.read_table(tmp_path / "timeline.parquet").to_pylist()
    with (tmp_path / "timeline.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert len(rows) == len(lines)
    for row, line in zip(rows, lines, strict=True):
        assert row["frame"] == int(line["frame"])
        assert row["track"] == (int(line["track"]) if line["track"] else None)
        assert row["label"] == (line["label"] or None)
        if line["happy"]:
            assert np.float32(row["happy"]) == np.float32(line["happy"])


def test_the_page_is_bounded_and_needs_no_network(whole: Path) -> None:
    page = (whole / "timeline.html").read_text()
    assert "http" not in page.replace("http-equiv", "")
    stills = json.loads(page.split('id="stills">')[1].split("</script>")[0])
    assert len(stills) == 30
    assert all(picture.startswith("data:image/jpeg;base64,") for _, picture, _ in stills)


def test_the_page_escapes_the_film_s_name(film: Path, engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "<script>alert(1)<!--.mp4"
    path.write_bytes(film.read_bytes())
    run_watch(open_film(path), engine, HaarFinder(), options(tmp_path / "out", limit=0.5))
    assert "<script>alert" not in (tmp_path / "out" / "timeline.html").read_text()


@pytest.mark.parametrize(("seconds", "shown"), [(0.0, "0:00"), (59.96, "1:00"), (65.4, "1:05"), (3723, "1:02:03")])
def test_times_are_written_as_people_read_them(seconds: float, shown: str) -> None:
    assert clock(seconds) == shown
    assert clock(65.44, 1) == "1:05.4"


def test_pictures_and_points_are_bounded_for_any_length(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inference.video.thumbnails.MOST", 8)
    monkeypatch.setattr("inference.video.page.MOST_POINTS", 10)
    path = write(tmp_path / "long.mp4", [200 * number for number in range(100)])
    run_watch(open_film(path), engine, HaarFinder(), options(tmp_path / "out", faces="whole"))
    page = (tmp_path / "out" / "timeline.html").read_text()
    stills = json.loads(page.split('id="stills">')[1].split("</script>")[0])
    assert [round(seconds, 1) for seconds, _, _ in stills] == [0.0, 3.2, 6.4, 9.6, 12.8, 16.0, 19.2]
    assert "Each chart has 10 points" in page
    first = page.split('<path d="M')[1].split("Z")[0]
    assert len(first.split()) <= 2 * 11


# The command


def started(*words: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "ferox", "watch", *words],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def appeared(path: Path, process: "subprocess.Popen[str]") -> Iterator[None]:
    for _ in range(600):
        if path.exists() or process.poll() is not None:
            break
        time.sleep(0.05)
    yield


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_a_command_that_is_ended_goes_on_to_the_same_rows(
    film: Path, tiny_model: Path, whole: Path, tmp_path: Path, number: int, status: int
) -> None:
    words = [str(film), "--model", str(tiny_model), "--out", str(tmp_path), "--threads", "1"]
    process = started(*words)
    for _ in appeared(tmp_path / ".work" / "thumbnails" / "000000003.jpg", process):
        process.send_signal(number)
    said = process.communicate(timeout=60)[1]
    if process.returncode != 0:  # It may have been faster than the signal.
        assert process.returncode == status, said
        if number != signal.SIGKILL:
            assert (tmp_path / "timeline.csv").exists()
            assert read_document(WatchSummary, tmp_path / "summary.json", "").finished is False
    assert "Traceback" not in said
    process = started(*words)
    out, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert out.strip() == str(tmp_path)
    assert rows_of(tmp_path) == rows_of(whole)


@pytest.mark.slow
@pytest.mark.parametrize("words", [[], ["--limit", "0.5"]])
def test_a_terminal_sees_how_far_and_how_fast(film: Path, tiny_model: Path, tmp_path: Path, words: list[str]) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "ferox", "watch", str(film), "--model", str(tiny_model), "--out", str(tmp_path)]
    with subprocess.Popen([*command, *words], cwd=ROOT, stdout=subprocess.PIPE, stderr=theirs) as process:
        os.close(theirs)
        said = b""
        with suppress(OSError):  # The terminal's end.
            while piece := os.read(ours, 4096):
                said += piece
        assert process.wait() == 0, said
    os.close(ours)
    assert re.search(rb"two.mp4: +\d+% \|.*\| \d+ of \d+ s, \d+\.\d times real time", said), said


def test_a_film_that_breaks_off_is_kept_and_the_status_says_so(film: Path, engine: Engine, tmp_path: Path) -> None:
    broken = tmp_path / "broken.mkv"
    copied(film, broken)
    broken.write_bytes(broken.read_bytes()[: broken.stat().st_size // 2])
    summary = run_watch(open_film(broken), engine, HaarFinder(), options(tmp_path / "out"))
    assert summary.finished
    assert "broken.mkv breaks off at" in str(summary.trouble)
    assert 5 < summary.moments < 28
    again = run_watch(open_film(broken), engine, HaarFinder(), options(tmp_path / "out"))
    assert again.trouble == summary.trouble


def test_the_plan_holds_no_folder_of_this_machine(film: Path, engine: Engine) -> None:
    plan = watch_plan(open_film(film), engine, HaarFinder(), "auto", 0.2, None)
    assert plan.source == "two.mp4"
    assert str(film.parent) not in repr(plan)
