import argparse
import json
import math
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from PIL import Image

from data.errors import InputError
from data.faceset import LABELS, FaceSet
from data.leftout import Tally
from inference import engine
from inference.engine import Engine
from inference.photos import reading
from inference.photos.faces import HaarFinder
from inference.photos.files import picture_files
from inference.photos.pictures import Picture
from inference.photos.reading import predict_files, predict_picture
from inference.predict import main


@pytest.fixture(scope="module")
def face(drawn: FaceSet) -> NDArray[np.uint8]:
    """One drawn face that the cascade takes for one."""
    for pixels in drawn.pixels:
        if len(HaarFinder().find(photo(pixels))) == 1:
            return np.array(pixels)
    raise AssertionError("the cascade finds none of the drawn faces")


def photo(*faces: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a colour photograph of faces side by side, each 200 pixels large."""
    canvas = np.full((400, 400 * max(1, len(faces)), 3), (150, 160, 140), np.uint8)
    for number, face in enumerate(faces):
        large = cv2.resize(face, (200, 200), interpolation=cv2.INTER_CUBIC)
        canvas[100:300, 400 * number + 100 : 400 * number + 300] = large[:, :, None]
    return canvas


def arguments(model: Path, *images: Path, **others: object) -> argparse.Namespace:
    defaults = {
        "faces": "auto",
        "yunet": None,
        "json": False,
        "min_confidence": 0.0,
        "decode_side": None,
        "provider": "auto",
        "threads": 1,
        "out": None,
        "format": None,
        "shard": None,
        "jobs": None,
        "ray": None,
    }
    return argparse.Namespace(model=model, images=list(images), **{**defaults, **others})


def saved(path: Path, pixels: NDArray[np.uint8]) -> Path:
    Image.fromarray(pixels).save(path)
    return path


def strict(text: str) -> list[dict[str, Any]]:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    records: list[dict[str, Any]] = json.loads(text, parse_constant=refuse)
    return records


# --- one picture


def test_a_picture_is_predicted_as_the_engine_predicts_its_crops(tiny_model: Path, face: NDArray[np.uint8]) -> None:
    engine = Engine.load(tiny_model, threads=1)
    prediction = predict_picture(engine, Picture(photo(face, face), "two.png"), HaarFinder(), "auto")
    assert prediction.name == "two.png"
    assert prediction.error is None
    assert len(prediction.faces) == 2
    for found in prediction.faces:
        assert found.crop.shape == (48, 48)
        assert found.probabilities.shape == (len(LABELS),)
        expected = engine.predict(found.crop[None])[0]
        assert np.allclose(found.probabilities, expected, atol=1e-6)
        assert found.label == LABELS[int(expected.argmax())]


def test_a_bare_crop_reaches_the_model_unchanged(tiny_model: Path, drawn: FaceSet) -> None:
    engine = Engine.load(tiny_model, threads=1)
    pixels = drawn.pixels[0]
    picture = Picture(np.repeat(pixels[:, :, None], 3, axis=2), "crop.png")
    (found,) = predict_picture(engine, picture, HaarFinder(), "auto").faces
    assert (found.crop == pixels).all()


def test_a_picture_without_faces_has_none(tiny_model: Path) -> None:
    prediction = predict_picture(Engine.load(tiny_model, threads=1), Picture(photo(), "x"), HaarFinder(), "auto")
    assert prediction.faces == ()
    assert prediction.error is None


# --- the command


def test_the_table_shows_each_face_with_its_label_and_runner_up(
    tiny_model: Path, face: NDArray[np.uint8], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = saved(tmp_path / "two.png", photo(face, face))
    assert main(arguments(tiny_model, path)) == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split() == ["file", "face", "box", "x,y", "w", "x", "h", "label", "confidence", "runner-up"]
    assert len(rows) == 2
    names = "|".join(LABELS)
    form = rf"{re.escape(str(path))} +\d +-?\d+,-?\d+ \d+ x \d+ +({names}) +[\d.]+ % +({names}) [\d.]+ %"
    for number, row in enumerate(rows, 1):
        assert re.fullmatch(form, row)
        assert row.removeprefix(str(path)).split()[0] == str(number)


def test_json_is_one_strict_list_with_an_object_a_picture(
    tiny_model: Path, face: NDArray[np.uint8], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [
        saved(tmp_path / "b.png", photo(face)),
        saved(tmp_path / "a.png", photo()),
        saved(tmp_path / "crop.png", face),
    ]
    assert main(arguments(tiny_model, *paths, json=True)) == 0
    one, none, crop = strict(capsys.readouterr().out)
    assert [record["file"] for record in (one, none, crop)] == [str(path) for path in paths]
    assert none == {"file": str(paths[1]), "notes": [], "error": None, "faces": []}
    assert len(one["faces"]) == 1
    assert crop["faces"][0]["box"] == {"x": 0, "y": 0, "width": 48, "height": 48, "score": None}
    for record in (one, crop):
        probabilities = record["faces"][0]["probabilities"]
        assert tuple(probabilities) == LABELS
        assert math.isclose(sum(probabilities.values()), 1, abs_tol=1e-5)
        assert record["faces"][0]["label"] == max(probabilities, key=probabilities.get)


def test_whole_takes_a_picture_without_a_face_as_one(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = saved(tmp_path / "plain.png", photo())
    assert main(arguments(tiny_model, path)) == 0
    assert "no face found" in capsys.readouterr().out
    assert main(arguments(tiny_model, path, faces="whole")) == 0
    assert "0,0 400 x 400" in capsys.readouterr().out


def test_what_was_not_taken_of_a_picture_is_said(
    tiny_model: Path, face: NDArray[np.uint8], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "moving.gif"
    Image.fromarray(face).save(path, save_all=True, append_images=[Image.fromarray(255 - face)])
    assert main(arguments(tiny_model, path)) == 0
    assert "note: an animation: its first frame was taken" in capsys.readouterr().out
    assert main(arguments(tiny_model, path, json=True)) == 0
    assert strict(capsys.readouterr().out)[0]["notes"] == ["an animation: its first frame was taken"]


def test_the_only_picture_being_unreadable_is_an_error(tiny_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "broken.jpg"
    path.write_bytes(b"text")
    for as_json in (False, True):
        with pytest.raises(InputError, match=r"broken\.jpg is not a picture"):
            main(arguments(tiny_model, path, json=as_json))


def test_the_only_picture_being_unreadable_is_its_record_where_errors_are_kept(
    tiny_model: Path, tmp_path: Path
) -> None:
    path = tmp_path / "broken.jpg"
    path.write_bytes(b"text")
    engine = Engine.load(tiny_model, threads=1)
    (kept,) = predict_files(engine, [path], HaarFinder(), "auto", keep_errors=True)
    assert (kept.name, kept.faces) == (str(path), ())
    assert "broken.jpg is not a picture" in str(kept.error)
    with pytest.raises(InputError, match=r"broken\.jpg is not a picture"):
        list(predict_files(engine, [path, path], HaarFinder(), "auto", keep_errors=False))


def test_an_unreadable_picture_among_several_is_reported_in_its_place_and_the_rest_go_on(
    tiny_model: Path, face: NDArray[np.uint8], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "b.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n")
    paths = [saved(tmp_path / "a.png", face), broken, saved(tmp_path / "c.png", face)]
    assert main(arguments(tiny_model, *paths)) == 2
    shown = capsys.readouterr()
    assert [row.split()[1] for row in shown.out.splitlines()[1:]] == ["1", "-", "1"]
    assert "not read: b.png is a damaged or truncated PNG file" in shown.out
    assert shown.err.endswith("error: 1 of 3 pictures could not be read\n")
    assert main(arguments(tiny_model, *paths, json=True)) == 2
    records = strict(capsys.readouterr().out)
    assert [record["error"] is None for record in records] == [True, False, True]
    assert [len(record["faces"]) for record in records] == [1, 0, 1]


def test_many_pictures_are_predicted_in_groups_as_they_are_alone(
    tiny_model: Path,
    drawn: FaceSet,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    paths = [saved(tmp_path / f"{number:02}.png", drawn.pixels[number]) for number in range(11)]
    monkeypatch.setattr(reading, "PICTURES_AT_ONCE", 4)
    assert main(arguments(tiny_model, tmp_path, json=True)) == 0
    records = strict(capsys.readouterr().out)
    expected = Engine.load(tiny_model, threads=1).predict(drawn.pixels[:11])
    assert [record["file"] for record in records] == [str(path) for path in paths]
    found = [list(record["faces"][0]["probabilities"].values()) for record in records]
    assert np.allclose(found, expected, atol=1e-6)


def test_a_jpeg_decoded_smaller_has_its_faces_where_they_are_in_the_file(
    tiny_model: Path, face: NDArray[np.uint8], tmp_path: Path
) -> None:
    large = saved(tmp_path / "large.jpg", np.asarray(cv2.resize(photo(face, face), (3200, 1600)), np.uint8))
    engine = Engine.load(tiny_model, threads=1)
    (exact,) = predict_files(engine, [large], HaarFinder(), "auto", keep_errors=False)
    for side, reduction in ((3200, 1), (1601, 1), (1600, 2), (800, 4)):
        (told,) = predict_files(engine, [large], HaarFinder(), "auto", keep_errors=False, decode_side=side)
        assert told.notes == ((f"decoded at 1/{reduction} of its sides",) if reduction > 1 else ())
        assert len(told.faces) == len(exact.faces) == 2
        # The searched copy has a fifth of the file's sides, so that a box moves by pixels of that.
        for box, expected in zip(
            *(sorted((f.box for f in p.faces), key=lambda b: b.x) for p in (told, exact)), strict=True
        ):
            assert abs(box.x - expected.x) <= 15
            assert abs(box.width - expected.width) <= 15


def test_a_decode_side_below_what_is_searched_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^--decode-side is 639, expected 640 or more"):
        main(arguments(tiny_model, tmp_path / "any.jpg", decode_side=639))


def test_the_provider_is_the_engines_matter(tiny_model: Path, face: NDArray[np.uint8], tmp_path: Path) -> None:
    with pytest.raises(InputError):
        main(arguments(tiny_model, saved(tmp_path / "a.png", face), provider="nonsense"))


# --- the engine's provider and threads


@pytest.fixture
def unusable_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """An onnxruntime that lists CUDA and cannot use it, which it says by raising, as where there is no GPU."""
    opened = onnxruntime.InferenceSession

    def session(content: bytes, options: Any, providers: list[str], **others: Any) -> Any:
        if providers == ["CUDAExecutionProvider"]:
            raise RuntimeError(
                "/source/cuda_call.cc:1 Call() CUDA failure 100: no CUDA-capable device is detected ; GPU=-1"
            )
        return opened(content, options, providers=providers, **others)

    listed = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: listed)
    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    engine._warn_of_processor.cache_clear()


def test_a_gpu_that_is_listed_but_unusable_leaves_the_processor_with_one_warning(
    unusable_cuda: None, tiny_model: Path, drawn: FaceSet, capsys: pytest.CaptureFixture[str]
) -> None:
    engines = [Engine.load(tiny_model, threads=1) for _ in range(2)]
    assert [one.providers for one in engines] == [("CPUExecutionProvider",)] * 2
    assert engines[0].predict(drawn.pixels[:1]).shape == (1, 7)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert len(shown.err.splitlines()) == 1
    assert "warning: onnxruntime lists CUDAExecutionProvider but cannot use it" in shown.err


def test_a_provider_that_is_named_is_used_or_refused(unusable_cuda: None, tiny_model: Path) -> None:
    with pytest.raises(InputError, match=r"no CUDA-capable device.*use --provider cpu"):
        Engine.load(tiny_model, provider="cuda", threads=1)


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_a_provider_that_onnxruntime_leaves_out_in_silence_is_noticed(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    listed = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: listed)
    engine._warn_of_processor.cache_clear()
    with pytest.raises(InputError, match="CUDAExecutionProvider was asked for, but onnxruntime fell back"):
        Engine.load(tiny_model, provider="cuda", threads=1)
    assert Engine.load(tiny_model, threads=1).providers == ("CPUExecutionProvider",)
    assert "cannot use it" in capsys.readouterr().err


@pytest.fixture
def preloaded(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """One entry for each time that onnxruntime is told to load CUDA, which it says on stdout that it cannot."""
    times = []

    def preload() -> None:
        times.append("preloaded")
        print("Failed to load libcublas.so.13: libcublas.so.13: no such file\nPlease follow a page")

    monkeypatch.setattr(onnxruntime, "preload_dlls", preload, raising=False)
    engine._load_cuda.cache_clear()
    yield times
    engine._load_cuda.cache_clear()


def test_what_cuda_lacks_is_said_and_not_on_stdout(
    preloaded: list[str], unusable_cuda: None, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with ThreadPoolExecutor(4) as pool:
        engines = list(pool.map(lambda _: Engine.load(tiny_model, threads=1), range(8)))
    assert {loaded.providers for loaded in engines} == {("CPUExecutionProvider",)}
    assert preloaded == ["preloaded"]
    with pytest.raises(InputError, match=r"a library of CUDA could not be loaded \(libcublas\.so\.13: no such file\)"):
        Engine.load(tiny_model, provider="cuda", threads=1)
    print("stdout is where it was")
    shown = capsys.readouterr()
    assert shown.out == "stdout is where it was\n"
    assert "cannot use it, since a library of CUDA could not be loaded (libcublas.so.13: no such file)" in shown.err


def test_cuda_is_not_loaded_for_the_processor(preloaded: list[str], unusable_cuda: None, tiny_model: Path) -> None:
    Engine.load(tiny_model, provider="cpu", threads=1)
    assert preloaded == []


def test_an_onnxruntime_that_cannot_preload_is_asked_for_cuda_as_it_is(
    unusable_cuda: None, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(onnxruntime, "preload_dlls", raising=False)
    engine._load_cuda.cache_clear()
    with pytest.raises(InputError, match="no CUDA-capable device is detected\\)"):
        Engine.load(tiny_model, provider="cuda", threads=1)


@pytest.mark.parametrize("threads", [0, -1])
def test_threads_below_one_are_refused(tiny_model: Path, threads: int) -> None:
    with pytest.raises(InputError, match=f"--threads is {threads}, expected 1 or more"):
        Engine.load(tiny_model, threads=threads)


# --- which files


def test_a_folder_gives_its_pictures_by_name_and_what_is_below_it(tmp_path: Path) -> None:
    for name in ("b.JPG", "a.png", "notes.txt", ".hidden.png", "below/c.webp"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    named = tmp_path / "notes.txt"
    found = picture_files([named, tmp_path], Tally())
    assert found == [named, tmp_path / "a.png", tmp_path / "b.JPG", tmp_path / "below" / "c.webp"]


def test_a_missing_path_an_empty_folder_and_nothing_at_all_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.png does not exist"):
        picture_files([tmp_path / "none.png"], Tally())
    with pytest.raises(InputError, match=r"holds no pictures: expected names ending in \.bmp"):
        picture_files([tmp_path], Tally())
    with pytest.raises(InputError, match="no pictures were given"):
        picture_files([], Tally())


def test_a_name_longer_than_the_system_takes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^x+ cannot be looked at \(File name too long\): expected a picture"):
        picture_files([tmp_path / ("x" * 300)], Tally())


def test_odd_file_names_neither_break_the_table_nor_the_json(
    tiny_model: Path, face: NDArray[np.uint8], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(face).save(tmp_path / "plain.png")
    for name in ("line\nbreak.png", "\x1b[2J.png", "\udcff.png"):
        (tmp_path / name).write_bytes((tmp_path / "plain.png").read_bytes())
    assert main(arguments(tiny_model, tmp_path)) == 0
    shown = capsys.readouterr().out
    assert len(shown.splitlines()) == 5
    assert "\x1b" not in shown
    assert shown.isascii()
    assert main(arguments(tiny_model, tmp_path, json=True)) == 0
    assert len(strict(capsys.readouterr().out)) == 4


# --- starting


def test_predicting_imports_no_more_than_it_needs() -> None:
    """Most of the time of a single prediction is spent on imports."""
    code = "import sys, inference.predict; print(*(name.partition('.')[0] for name in sys.modules))"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"sklearn", "scipy", "matplotlib", "pandas", "torch", "tensorflow", "paddle", "onnx", "gradio"}
    assert heavy.isdisjoint(child.stdout.split())
