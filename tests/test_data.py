"""Tables, folders, zips, the cache and the splits, on drawn faces written to disk."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.audit import audit
from data.draw import write_csv
from data.errors import InputError
from data.faceset import LABELS, USAGES, FaceSet, face_set
from data.load import load
from data.splits import SplitPlan, split
from data.table import read_table

GOOD = " ".join(["7"] * 2304)


@pytest.fixture(scope="module")
def table(drawn: FaceSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("table") / "fer2013.csv"
    write_csv(drawn, path)
    return path


@pytest.fixture(scope="module")
def folder(drawn: FaceSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("folder") / "images"
    for index in range(len(drawn)):
        usage = USAGES[drawn.usages[index]]
        emotion = root / ("train" if usage == "Training" else "test") / LABELS[drawn.labels[index]]
        emotion.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(emotion / f"{usage}_{index}.png"), drawn.pixels[index])
    return root


def write(path: Path, *rows: str, header: str = "emotion,pixels,Usage") -> Path:
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def test_table_folder_and_zip_give_the_same_faces_and_splits(drawn: FaceSet, table: Path, folder: Path) -> None:
    archive = Path(shutil.make_archive(str(folder.parent / "fer"), "zip", folder))
    for path in (table, folder, archive):
        faces = load(path)
        assert faces.fingerprint == drawn.fingerprint
        for plan in (SplitPlan(), SplitPlan("random"), SplitPlan("kfold", fold=2)):
            assert split(faces, plan).fingerprint == split(drawn, plan).fingerprint


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (f"0,{GOOD} 7,Training", "2305 pixels, expected 2304"),
        (f"0,{GOOD[:-4]},Training", "expected 2304"),
        (f"0,{GOOD[:-1]}300,Training", "300, expected whole numbers"),
        (f"0,{GOOD[:-1]}-1,Training", "'-1'"),
        (f"0,{GOOD[:-1]}nan,Training", "'nan'"),
        (f"0,{GOOD[:-1]}1.5,Training", "'1.5'"),
        (f"0,{GOOD[:-1]}1+2,Training", "'1+2'"),
        ("0,,Training", "0 pixels"),
        (f"7,{GOOD},Training", "the emotion is '7'"),
        (f"NaN,{GOOD},Training", "the emotion is 'NaN'"),
        (f"0,{GOOD},Validation", "the Usage is 'Validation'"),
        (f"0,{GOOD},Training,9", "4 fields, expected 3"),
        (f"0,{GOOD}", "2 fields, expected 3"),
    ],
)
def test_a_bad_row_is_refused_by_its_line_or_left_out_and_counted(tmp_path: Path, row: str, words: str) -> None:
    path = write(tmp_path / "bad.csv", f"1,{GOOD},Training", row)
    with pytest.raises(InputError, match=r"bad\.csv, line 3") as refused:
        read_table(path)
    assert words in str(refused.value)
    faces = read_table(path, skip_bad_rows=True)
    assert (len(faces), faces.skipped) == (1, 1)


def test_order_of_columns_extra_columns_bom_crlf_and_quotes_do_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "odd.csv"
    path.write_bytes(f'\ufeffUsage,note,"pixels",emotion\r\nPublicTest,"a, b","{GOOD}",4\r\n'.encode())
    faces = read_table(path)
    assert (faces.labels.tolist(), faces.usages.tolist(), faces.pixels.max()) == ([4], [1], 7)


@pytest.mark.parametrize("content", ["", "a,b\n1,2\n", "emotion,pixels,Usage\n", "emotion,emotion,pixels\n"])
def test_a_table_without_faces_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "none.csv"
    path.write_text(content)
    with pytest.raises(InputError, match=r"none\.csv"):
        read_table(path)


@settings(max_examples=60)
@given(st.binary(max_size=400))
def test_any_bytes_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "random.csv"
    path.write_bytes(b"emotion,pixels,Usage\n" + content)
    with pytest.raises(InputError):
        read_table(path)


def test_without_usage_only_the_official_protocol_is_refused(tmp_path: Path) -> None:
    rows = [f"{label},{GOOD[:-1]}{label}" for label in range(7)]
    faces = load(write(tmp_path / "plain.csv", *rows, header="emotion,pixels"))
    with pytest.raises(InputError, match="--protocol random"):
        split(faces, SplitPlan())
    assert split(faces, SplitPlan("random")).counts["test"] == 2


def test_a_folder_is_named_as_it_is_called_even_from_within(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert load(Path()).source == folder.name
    link = folder.with_name("faces of mine")
    link.symlink_to(folder)
    assert load(link).source == "faces of mine"


def test_a_truncated_zip_is_refused(folder: Path, tmp_path: Path) -> None:
    whole = Path(shutil.make_archive(str(tmp_path / "whole"), "zip", folder)).read_bytes()
    broken = tmp_path / "broken.zip"
    broken.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"broken\.zip is no whole zip"):
        load(broken)


def test_a_damaged_member_is_named(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "odd.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("train/happy/Training_1.jpg", b"no picture")
    with pytest.raises(InputError, match=r"Training_1\.jpg is no JPEG"):
        load(path)


def zipped(path: Path, content: bytes, name: str = "train/happy/Training_1.png") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return path


def png(pixels: np.ndarray) -> bytes:
    return bytes(cv2.imencode(".png", pixels)[1])


def test_names_in_a_zip_may_begin_with_a_dot(tmp_path: Path) -> None:
    face = np.random.default_rng(0).integers(0, 256, (48, 48), np.uint8)
    faces = load(zipped(tmp_path / "dotted.zip", png(face), "./train/happy/Training_1.png"))
    assert (faces.pixels == face).all()


def test_sixteen_bits_are_scaled_and_what_is_transparent_is_white(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65_535, 48 * 48).reshape(48, 48).astype(np.uint16)
    deep = load(zipped(tmp_path / "deep.zip", png(ramp)))
    assert np.abs(deep.pixels[0] - ramp / 257).max() <= 0.5
    clear = load(zipped(tmp_path / "clear.zip", png(np.zeros((48, 48, 4), np.uint8))))
    assert (clear.pixels == 255).all()


def test_a_member_whose_compressed_bytes_are_damaged_is_refused_or_left_out(tmp_path: Path) -> None:
    noise = png(np.random.default_rng(0).integers(0, 256, (48, 48), np.uint8))
    whole = zipped(tmp_path / "whole.zip", noise).read_bytes()
    start = whole.index(b".png") + 4
    for place in range(start, start + 60):
        broken = bytearray(whole)
        broken[place] ^= 0xFF
        (tmp_path / "broken.zip").write_bytes(bytes(broken))
        for skip in (False, True):
            with pytest.raises(InputError):
                load(tmp_path / "broken.zip", skip_bad_rows=skip)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (f"emotion,pixels,Usage\r0,{GOOD},Training\r", "lines that end with LF or CRLF"),
        (f'emotion,pixels,Usage\n0,"{GOOD}\r",Training\n', "line 2"),
    ],
)
def test_line_ends_of_old_macs_are_refused(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "mac.csv"
    path.write_bytes(content.encode())
    with pytest.raises(InputError, match=words):
        read_table(path)


def test_a_random_split_that_leaves_nothing_to_train_on_is_refused(drawn: FaceSet) -> None:
    few = face_set(drawn.pixels[:5], drawn.labels[:5], drawn.usages[:5], source="few")
    with pytest.raises(InputError, match=r"5 faces, of which a --test-share of 0\.9 leaves none"):
        split(few, SplitPlan("random", test_share=0.9))


def test_filling_the_cache_leaves_alone_what_another_process_is_writing(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEROX_CACHE", str(tmp_path))
    fresh, abandoned = tmp_path / ".partial-fresh.npy", tmp_path / ".partial-old.npy"
    for file in (fresh, abandoned):
        file.write_bytes(b"half")
    os.utime(abandoned, (0, 0))
    load(table)
    assert fresh.exists()
    assert not abandoned.exists()


@pytest.mark.parametrize("place", ["file/below.csv", "folder"])
def test_a_place_that_cannot_be_written_is_named_without_a_traceback(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    line = [sys.executable, "-m", "data", "draw", "--count", "21", str(tmp_path / place)]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith(f"error: {tmp_path / place.split('/')[0]}: ")
    assert "Traceback" not in done.stderr


def test_the_cache_notices_a_changed_source(table: Path, tmp_path: Path) -> None:
    path = tmp_path / "fer2013.csv"
    shutil.copy(table, path)
    first = load(path)
    assert isinstance(load(path).records, np.memmap)
    path.write_bytes(path.read_bytes() + f"0,{GOOD},Training\n".encode())
    assert len(load(path)) == len(first) + 1


def test_official_parts_follow_usage_and_random_is_scikit_learns(drawn: FaceSet) -> None:
    from sklearn.model_selection import train_test_split

    official = split(drawn, SplitPlan())
    assert (drawn.usages[official.test] == 2).all()
    train, test = train_test_split(np.arange(len(drawn)), test_size=0.2, random_state=42, shuffle=True)
    random = split(drawn, SplitPlan("random"))
    assert set(random.train) == set(train)
    assert set(random.test) == set(test)


def test_folds_cover_every_face_once(drawn: FaceSet) -> None:
    parts = [split(drawn, SplitPlan("kfold", folds=3, fold=fold)).test for fold in (1, 2, 3)]
    assert sorted(np.concatenate(parts)) == list(range(len(drawn)))


def test_duplicates_are_counted_and_the_copy_nearest_the_test_is_kept() -> None:
    pixels = np.zeros((4, 48, 48), np.uint8)
    pixels[3] = 9
    pixels[3, 0, 0] = 1
    faces = face_set(pixels, np.array([0, 0, 1, 2], np.uint8), np.array([0, 2, 1, 0], np.uint8), source="x")
    found = audit(faces)
    assert (found.copies, found.leaks, found.conflicting, found.blank) == (2, 2, 1, 3)
    kept = split(face_set(*_padded(faces), source="x"), SplitPlan(drop_duplicates=True))
    # Of three alike, in Training, PrivateTest and PublicTest, the second stays.
    assert kept.counts == {"train": 2, "validation": 1, "test": 2}


def _padded(faces: FaceSet) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    extra = np.random.default_rng(0).integers(0, 256, (3, 48, 48), dtype=np.uint8)
    pixels = np.concatenate([faces.pixels, extra])
    return pixels, np.append(faces.labels, [3, 3, 3]), np.append(faces.usages, [0, 1, 2])


@pytest.mark.parametrize("stage", ["data", "training", "export", "inference"])
def test_help_imports_nothing_heavy(stage: str) -> None:
    code = (
        f"import sys, runpy; sys.argv=['x','--help']\ntry: runpy.run_module('{stage}', run_name='__main__')\n"
        "except SystemExit: pass\n"
        "print([m for m in ('torch','cv2','sklearn','matplotlib','onnxruntime','pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_without_a_home_folder_faces_are_read_and_not_cached(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("FEROX_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    assert len(load(None)) == 2100
    assert "faces are not cached (this user has no home folder); set FEROX_CACHE" in capsys.readouterr().err


def test_counts_are_printed_where_no_contact_sheet_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    command = [sys.executable, "-m", "data", "info", "--out", str(tmp_path / "file" / "below")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "2,100 faces in drawn-2100-seed0" in done.stdout
    assert "warning: no contact sheet is written" in done.stderr
