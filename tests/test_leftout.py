"""Nothing vanishes: what a reader does not take of a folder or a zip is counted and named, or refused."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from data.archives import open_archive
from data.classes import SKIP, SURE, SYNONYMS, ClassNames, parse_classes
from data.draw import draw
from data.errors import InputError
from data.faceset import LABELS, USAGES, FaceSet
from data.images import read_pictures
from data.leftout import LeftOut, Tally, sentence
from data.load import load
from data.walk import files_below
from inference.manifest import Parity
from inference.photos.files import picture_files
from inference.report.document import LeftOutFiles
from inference.report.writer import notes

THREE = dict(zip(USAGES, ("train", "validation", "test"), strict=True))


@pytest.fixture(scope="module")
def faces() -> FaceSet:
    return draw(105, 0)


def write(faces: FaceSet, root: Path, names: dict[str, str] | None = None, parts: dict[str, str] | None = None) -> Path:
    """Write faces as PNGs: `names` of the class folders, `parts` of those for the usages (None: in the file's name)."""
    for number, record in enumerate(faces.records):
        label, usage = LABELS[int(record["label"])], USAGES[int(record["usage"])]
        folder = root / (parts[usage] if parts else "train" if usage == "Training" else "test")
        folder = folder / (names or {}).get(label, label)
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(record["pixels"]).save(folder / f"{'' if parts else usage + '_'}{number:04d}.png")
    return root


def read_folder(path: Path, classes: ClassNames = SURE) -> FaceSet:
    with open_archive(path) as archive:
        assert archive is not None
        return read_pictures(archive, classes)


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", *map(str, arguments)], capture_output=True, text=True, check=False)


def test_sure_synonyms_are_read_in_any_case(faces: FaceSet, tmp_path: Path) -> None:
    names = {"angry": "Anger", "disgust": "DISGUSTED", "fear": "fearful", "happy": "joy", "sad": "sadness"}
    found = read_folder(write(faces, tmp_path, names | {"surprise": "surprised"}))
    assert found.fingerprint == faces.fingerprint
    assert found.left_out == ()


@pytest.mark.parametrize("name", ["contempt", "1", "angrily"])
def test_a_class_that_means_nothing_sure_is_refused_with_what_to_say(name: str, faces: FaceSet, tmp_path: Path) -> None:
    root = write(faces, tmp_path / "set", {"neutral": name})
    with pytest.raises(InputError) as error:
        read_folder(root)
    assert f"{name} (" in str(error.value)
    assert "expected angry, disgust" in str(error.value)
    assert f'--classes "{name}=skip"' in str(error.value)
    counted = faces.labels == LABELS.index("neutral")
    skipped = read_folder(root, parse_classes(f"{name}=skip"))
    assert len(skipped) == (~counted).sum()
    ((reason, count),) = [(one.reason, one.count) for one in skipped.left_out]
    assert reason == f"of the class {name}, skipped as --classes says"
    assert count == counted.sum()
    meant = read_folder(root, parse_classes(f"{name}=neutral"))
    assert meant.fingerprint == faces.fingerprint
    assert skipped.fingerprint != faces.fingerprint


def test_what_lies_beside_the_faces_is_counted_by_reason_and_named(faces: FaceSet, tmp_path: Path) -> None:
    root = write(faces, tmp_path)
    (root / "train" / "happy" / ".DS_Store").write_bytes(b"x")
    (root / "readme.txt").write_text("x")
    for number in range(5):
        (root / "train" / "sad" / f"{number}.heic").write_bytes(b"x")
    Image.new("L", (48, 48)).save(root / "train" / "cover.png")
    (root / "test" / "gone").symlink_to(root / "nowhere")
    (root / "test" / "loop").symlink_to(root / "test")
    os.mkfifo(root / "test" / "pipe.png")
    found = read_folder(root)
    assert found.fingerprint == faces.fingerprint
    assert {one.reason: (one.count, one.examples) for one in found.left_out} == {
        "ending in .heic": (5, tuple(f"train/sad/{number}.heic" for number in range(3))),
        "hidden": (1, ("train/happy/.DS_Store",)),
        "ending in .txt": (1, ("readme.txt",)),
        "in no folder of a class": (1, ("train/cover.png",)),
        "linked to nothing": (1, ("test/gone",)),
        "linked in a circle": (1, ("test/loop",)),
        "no regular file": (1, ("test/pipe.png",)),
    }
    assert sentence(found.left_out).startswith("11 left out: 5 ending in .heic (train/sad/0.heic, ")


def test_jpeg_s_other_endings_are_read(faces: FaceSet, tmp_path: Path) -> None:
    for place, ending in enumerate(("jpg", "jpe", "jfif", "pjpeg", "JPEG")):
        folder = tmp_path / "train" / "happy"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(faces.pixels[place]).save(folder / f"{place}.{ending}", "JPEG")
    found = read_folder(tmp_path)
    assert (len(found), found.left_out) == (5, ())


def test_a_link_that_leads_nowhere_is_counted_though_the_pictures_are_cached(faces: FaceSet, tmp_path: Path) -> None:
    root = write(faces, tmp_path / "set")
    assert load(root).left_out == ()
    (root / "train" / "happy" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    assert [one.count for one in load(root).left_out] == [1]


def test_names_of_classes_are_refused_where_faces_are_drawn() -> None:
    with pytest.raises(InputError, match="--classes is for folders of pictures"):
        load(None, "contempt=skip")


@pytest.mark.parametrize("parts", [THREE, dict(zip(USAGES, USAGES, strict=True)), THREE | {"PublicTest": "valid"}])
def test_three_folders_are_the_three_official_parts(parts: dict[str, str], faces: FaceSet, tmp_path: Path) -> None:
    found = read_folder(write(faces, tmp_path, parts=parts))
    assert found.has_usage
    assert (found.usages == faces.usages).all()


def test_a_test_folder_alone_may_be_either_test_part(faces: FaceSet, tmp_path: Path) -> None:
    parts = {"Training": "train", "PublicTest": "test", "PrivateTest": "test"}
    assert not read_folder(write(faces, tmp_path, parts=parts)).has_usage


def test_links_are_followed_as_if_their_target_lay_there(faces: FaceSet, tmp_path: Path) -> None:
    disk = write(faces, tmp_path / "disk")
    (tmp_path / "whole").mkdir()
    for part in ("train", "test"):
        (tmp_path / "whole" / part).symlink_to(disk / part)
    assert read_folder(tmp_path / "whole").fingerprint == faces.fingerprint
    happy = tmp_path / "disk" / "train" / "happy"
    happy.rename(tmp_path / "elsewhere")
    happy.symlink_to(tmp_path / "elsewhere")
    assert read_folder(disk).fingerprint == faces.fingerprint


def test_a_folder_that_nobody_may_look_into_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    scandir = os.scandir

    def refusing(path: Path) -> object:
        # The one that runs this may be root, to whom nothing is closed.
        if Path(path) == closed:
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(InputError, match=r"closed cannot be looked into \(Permission denied\)"):
        files_below(tmp_path, Tally())


def test_a_zip_counts_what_it_holds_besides(faces: FaceSet, tmp_path: Path) -> None:
    root = write(faces, tmp_path / "set")
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for file in sorted(root.rglob("*.png")):
            archive.write(file, file.relative_to(root))
            archive.writestr(f"__MACOSX/{file.relative_to(root)}", b"x")
        archive.writestr("readme.md", b"x")
    found = read_folder(tmp_path / "set.zip")
    assert found.fingerprint == faces.fingerprint
    assert {one.reason: one.count for one in found.left_out} == {"hidden": len(faces), "ending in .md": 1}


def test_what_was_left_out_is_said_again_from_the_cache_and_kept_by_a_training(faces: FaceSet, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed (ferox[torch])")
    root = write(faces, tmp_path / "set", {"neutral": "contempt"})
    (root / "notes.txt").write_text("x")
    refused = run("training", "--model", "mlp_4", "--epochs", 1, "--data", root, "--out", tmp_path / "runs")
    assert refused.returncode == 2
    assert '--classes "contempt=skip"' in refused.stderr
    assert not (tmp_path / "runs").exists()
    options = ["--data", root, "--classes", "contempt=skip", "--out", tmp_path / "runs"]
    trained = run("training", "--model", "mlp_4", "--epochs", 2, *options)
    assert trained.returncode == 0, trained.stderr
    skipped = int((faces.labels == LABELS.index("neutral")).sum())
    assert f"set: {skipped + 1} left out: {skipped} of the class contempt" in trained.stderr
    folder = Path(trained.stdout.splitlines()[-1])
    record = json.loads((folder / "run.json").read_text())
    assert record["classes"] == "contempt=skip"
    assert record["left_out"]["ending in .txt"] == 1
    first, again = (load(root, "contempt=skip") for _ in range(2))
    assert first.left_out == again.left_out != ()
    info = run("data", "info", root, "--classes", "contempt=skip", "--json", "--out", tmp_path / "info")
    assert json.loads(info.stdout)["left_out"][0]["count"] == skipped
    # The run's own faces are read again as it read them.
    assert run("training", "--resume", folder).returncode == 2
    exported = run("export", folder, "--out", tmp_path / "models")
    assert "holds pictures in folders named" not in exported.stderr


def test_predict_says_what_of_a_folder_it_does_not_look_at(tiny_model: Path, faces: FaceSet, tmp_path: Path) -> None:
    album = tmp_path / "album"
    album.mkdir()
    Image.fromarray(faces.pixels[0]).save(album / "a.jfif", "JPEG")
    for name in ("b.heic", "c.heic", "d", ".hidden.png"):
        (album / name).write_bytes(b"x")
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "album").symlink_to(album)
    done = run("inference", "predict", tiny_model, tmp_path / "linked", "--faces", "whole", "--json")
    assert done.returncode == 0, done.stderr
    assert [Path(one["file"]).name for one in json.loads(done.stdout)] == ["a.jfif"]
    assert "4 left out: 2 ending in .heic (album/b.heic, album/c.heic); 1 hidden" in done.stderr
    assert "1 without an ending (album/d)" in done.stderr
    tally = Tally()
    assert [file.name for file in picture_files([album], tally)] == ["a.jfif"]
    assert sum(one.count for one in tally.sorted()) == 4


@pytest.mark.parametrize(
    "text", ["contempt", "contempt=", "=skip", "contempt=joyous", "a=skip,a=angry", "contempt=skip;b=sad"]
)
def test_classes_of_another_form_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="expected NAME=LABEL once for each name"):
        parse_classes(text)


def test_classes_that_no_folder_has_are_refused_and_so_are_those_of_a_table(faces: FaceSet, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--classes names contemt, but set has no such folder"):
        read_folder(write(faces, tmp_path / "set"), parse_classes("contemt=skip"))
    table = tmp_path / "fer2013.csv"
    table.write_text("emotion,pixels,Usage\n")
    with pytest.raises(InputError, match=r"fer2013\.csv is a table; leave it out"):
        load(table, "contempt=skip")


@given(st.dictionaries(st.text("abcxyz0123 -_", min_size=1).map(str.strip), st.sampled_from([*SYNONYMS, SKIP])))
def test_classes_are_read_as_they_are_written(given_classes: dict[str, str]) -> None:
    given_classes.pop("", None)
    text = ", ".join(f" {name} = {meaning} " for name, meaning in given_classes.items())
    wanted = {name: SYNONYMS.get(meaning, SKIP) for name, meaning in given_classes.items()}
    assert parse_classes(text) == ClassNames(tuple(wanted.items()))


def test_control_characters_of_names_do_not_reach_the_terminal() -> None:
    assert sentence([LeftOut("hidden", 1, ("a\x1b[2Jb\n",))]) == "1 left out: 1 hidden (a?[2Jb?)"


def test_a_report_says_what_of_the_data_was_not_read() -> None:
    on: Any = SimpleNamespace(
        **{"same_faces": True, "trained_on": 0, "selected_on": 0, "copies": 0, "skipped_rows": 0, "faces": "a"},
        left_out=(LeftOutFiles("hidden", 1200), LeftOutFiles("ending in .txt", 1)),
    )
    manifest: Any = SimpleNamespace(
        parity=Parity(passed=True), learned=(), precision="fp32", corrections=None, adoption=None
    )
    summary: Any = SimpleNamespace(classes=())
    said = notes(manifest, on, summary)
    assert said == ["Of the data's files some were not read: 1,200 hidden, 1 ending in .txt."]
