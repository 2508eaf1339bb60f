"""The Python interface: what `ferox.__all__` names."""

import inspect
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import ferox
from benchmarks.films import write_film
from data.draw import write_csv
from data.faceset import FaceSet
from demo.examples import draw_examples
from ferox.reader import Photo
from inference.report.document import read_report

ROOT = Path(__file__).parents[1]
HEAVY = ("torch", "tensorflow", "paddle", "gradio", "onnxruntime", "cv2", "pandas", "matplotlib", "sklearn")
# All that people may rely on. A name that is taken away or added is a decision, to be made here and in CHANGELOG.md.
PUBLIC = [
    *("LABELS", "Compared", "Evaluated", "FaceBox", "FaceExplanation", "FacePrediction", "HeatMap", "InputError"),
    *("KnownModel", "Moment", "PicturePrediction", "Reader", "WatchedFace", "compare", "evaluate", "load", "models"),
]


@pytest.fixture(scope="module")
def drawn_photos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The page's examples by name: `group.jpg`, `portrait.jpg`, `crop.png` and `nobody.jpg`."""
    return {path.name: path for path in draw_examples(tmp_path_factory.mktemp("photos"))}


@pytest.fixture(scope="module")
def reader(tiny_model: Path) -> ferox.Reader:
    return ferox.load(tiny_model, threads=1)


@pytest.fixture(scope="module")
def table(portraits: FaceSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "fer2013.csv"
    write_csv(portraits, path)
    return path


def test_what_is_public_is_listed_and_documented() -> None:
    assert sorted(ferox.__all__) == sorted(PUBLIC)
    assert set(PUBLIC) <= set(dir(ferox))
    for name in PUBLIC:
        value = getattr(ferox, name)
        assert isinstance(value, tuple) or inspect.getdoc(value), name
    with pytest.raises(AttributeError, match="no attribute 'lod'"):
        ferox.lod  # noqa: B018


def test_importing_it_loads_nothing_heavy() -> None:
    code = f"import sys, ferox; print([name for name in {HEAVY!r} if name in sys.modules], ferox.LABELS[0])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "[] angry\n"


def test_reading_needs_neither_a_framework_nor_gradio(drawn_photos: dict[str, Path]) -> None:
    code = (
        "import sys, ferox; print(len(ferox.load().read(sys.argv[1])), "
        "[name for name in ('torch', 'tensorflow', 'paddle', 'gradio', 'pandas') if name in sys.modules])"
    )
    words = [sys.executable, "-c", code, str(drawn_photos["portrait.jpg"])]
    assert subprocess.run(words, capture_output=True, text=True, check=True, cwd=ROOT).stdout == "1 []\n"


def test_without_a_name_the_default_model_is_loaded() -> None:
    assert ferox.load().engine.path == ferox.models()[0].path


def test_every_form_of_a_photo_gives_the_same_faces(reader: ferox.Reader, drawn_photos: dict[str, Path]) -> None:
    path = drawn_photos["group.jpg"]
    pixels = np.asarray(Image.open(path))
    forms: list[Photo] = [str(path), path, path.read_bytes(), Image.open(path), pixels]
    expected = reader.read(path)
    assert len(expected) == 4
    for form in forms:
        for face, known in zip(reader.read(form), expected, strict=True):
            assert (face.box, face.label) == (known.box, known.label)
            assert (face.crop == known.crop).all()
            assert (face.probabilities == known.probabilities).all()


def test_a_face_has_what_programs_ask_for(reader: ferox.Reader, drawn_photos: dict[str, Path]) -> None:
    (face,) = reader.read(drawn_photos["portrait.jpg"])
    assert face.label == reader.labels[int(face.probabilities.argmax())] == face.ranking[0][0]
    assert face.confidence == pytest.approx(face.probabilities.max())
    assert face.probabilities.sum() == pytest.approx(1, abs=1e-5)
    assert face.crop.shape == (48, 48)
    assert min(face.box.width, face.box.height) > 48
    assert (reader.predict(face.crop[None])[0] == face.probabilities).all()


def test_a_grey_array_and_a_turned_picture_are_taken(reader: ferox.Reader, drawn_photos: dict[str, Path]) -> None:
    upright = Image.open(drawn_photos["portrait.jpg"]).convert("L")
    grey = np.asarray(upright)
    turned = upright.transpose(Image.Transpose.ROTATE_90)
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.info["exif"] = exif.tobytes()
    (face,), (same,) = reader.read(grey), reader.read(turned)
    assert face.box == same.box


def test_a_crop_is_a_face_and_whole_takes_any_picture(
    reader: ferox.Reader, drawn: FaceSet, drawn_photos: dict[str, Path]
) -> None:
    (face,) = reader.read(drawn.pixels[0])
    assert (face.crop == drawn.pixels[0]).all()
    assert reader.read(drawn_photos["nobody.jpg"]) == ()
    assert len(reader.read(drawn_photos["nobody.jpg"], faces="whole")) == 1


@pytest.mark.parametrize(
    ("photo", "said"),
    [
        (np.zeros((64, 64, 3), np.float32), r"float32\[64, 64, 3\], expected uint8\[H, W, 3\]"),
        (np.zeros((64, 64, 4), np.uint8), r"uint8\[64, 64, 4\]"),
        (np.zeros((8, 64), np.uint8), "64 x 8 pixels: at least 16"),
        (np.zeros((6000, 6000), np.uint8), "at most 25 megapixels"),
        ([1, 2], "is a list, expected a path"),
        (b"no picture", "not a picture"),
        ("missing.jpg", "missing.jpg does not exist"),
    ],
)
def test_what_is_no_picture_is_refused(reader: ferox.Reader, photo: Photo, said: str) -> None:
    with pytest.raises(ferox.InputError, match=said):
        reader.read(photo)


def test_many_pictures_stream_and_one_that_is_broken_stops_none(
    reader: ferox.Reader, drawn_photos: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    given: list[str | Path] = [drawn_photos["group.jpg"], tmp_path / "broken.jpg", str(drawn_photos["nobody.jpg"])]
    first, broken, last = reader.read_many(iter(given))
    assert [len(picture.faces) for picture in (first, broken, last)] == [4, 0, 0]
    assert broken.error is not None
    assert first.error is last.error is None
    assert first.name == str(given[0])


def test_a_reader_serves_several_threads(reader: ferox.Reader, drawn_photos: dict[str, Path]) -> None:
    alone = [(face.box, face.label) for face in reader.read(drawn_photos["group.jpg"])]
    with ThreadPoolExecutor(4) as pool:
        answers = pool.map(lambda _: reader.read(drawn_photos["group.jpg"]), range(12))
        assert all([(face.box, face.label) for face in faces] == alone for faces in answers)


def test_an_evaluation_is_a_document_and_tables(artifacts: dict[str, Path], table: Path, tmp_path: Path) -> None:
    measured = ferox.evaluate(artifacts["cnn_1.torch.published-official"], table, out=tmp_path)
    assert measured.folder is not None
    assert read_report(measured.folder) == measured.report
    assert (
        measured.accuracy
        == measured.report.figures.accuracy
        == (measured.labels == measured.probabilities.argmax(1)).mean()
    )
    assert measured.confusion.to_numpy().tolist() == [list(row) for row in measured.report.figures.confusion]
    assert measured.confusion.loc["happy"].sum() == measured.classes.loc["happy", "support"]
    assert len(measured.faces) == measured.report.evaluated_on.count
    assert (measured.faces["true"] == measured.faces["answered"]).mean() == pytest.approx(measured.accuracy)
    assert ferox.evaluate(artifacts["cnn_1.torch.published-official"], table).folder is None


def test_a_comparison_is_a_document_and_tables(artifacts: dict[str, Path], table: Path, tmp_path: Path) -> None:
    models = [artifacts["cnn_1.torch.published-official"], artifacts["mlp_1.torch.published-official"]]
    compared = ferox.compare(models, table, robustness=False, latency_seconds=0.02, out=tmp_path)
    assert compared.folder == tmp_path / "comparison"
    assert set(compared.models["name"]) == {path.stem for path in models}
    assert compared.models["accuracy"].is_monotonic_decreasing
    (pair,) = compared.pairs.to_dict("records")
    assert pair["difference"] == pytest.approx(compared.models["accuracy"][0] - compared.models["accuracy"][1])
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["comparison", *(path.stem for path in models)])


def test_a_comparison_without_a_folder_writes_nothing(
    artifacts: dict[str, Path], table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    models = [artifacts["cnn_1.torch.published-official"], artifacts["mlp_1.torch.published-official"]]
    compared = ferox.compare(models, table, robustness=False, latency=False)
    assert compared.folder is None
    assert list(tmp_path.iterdir()) == []
    assert compared.models["milliseconds"].isna().all()


def python_examples(document: Path) -> list[str]:
    """The Python programs of a document that use the interface."""
    blocks = re.findall(r"```python\n(.*?)```", document.read_text(), re.DOTALL)
    return [block for block in blocks if "import ferox" in block]


@pytest.mark.parametrize("document", ["README.md", "README.zh-CN.md", "docs/python.md"])
def test_documented_examples_run(document: str, drawn_photos: dict[str, Path], table: Path, tmp_path: Path) -> None:
    examples = python_examples(ROOT / document)
    assert examples
    for path in drawn_photos.values():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "photo.jpg").write_bytes(drawn_photos["group.jpg"].read_bytes())
    (tmp_path / "fer2013.csv").write_bytes(table.read_bytes())
    write_film(tmp_path / "film.mp4", iter([np.asarray(Image.open(drawn_photos["group.jpg"]))] * 10))
    for example in examples:
        words = [sys.executable, "-c", example]
        paths = os.environ | {"PYTHONPATH": str(ROOT)}
        done = subprocess.run(words, cwd=tmp_path, env=paths, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout
