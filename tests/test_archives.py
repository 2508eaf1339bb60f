"""Tables and pictures as people have them: in folders, zips and tars, packed by anybody's program."""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from test_leftout import write

from data import archives
from data.archives import open_archive
from data.draw import draw, write_csv
from data.errors import InputError
from data.faceset import FaceSet
from data.load import load


@pytest.fixture(scope="module")
def faces() -> FaceSet:
    return draw(21, 0)


@pytest.fixture
def table(faces: FaceSet, tmp_path: Path) -> Path:
    """A folder with the table and what Kaggle puts beside it."""
    folder = tmp_path / "fer2013"
    folder.mkdir()
    write_csv(faces, folder / "fer2013.csv")
    (folder / "README").write_text("readme")
    return folder


def tarred(folder: Path, path: Path, mode: str) -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        archive.add(folder, folder.name)
    return path


def zipped(folder: Path, path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, file.relative_to(folder.parent))
    return path


FORMS: dict[str, Callable[[Path, Path], Path]] = {
    "folder": lambda folder, out: folder,
    "zip": lambda folder, out: zipped(folder, out / "archive.zip"),
    "tar": lambda folder, out: tarred(folder, out / "fer2013.tar", "w"),
    "tar without its ending": lambda folder, out: tarred(folder, out / "download", "w"),
    "tar.gz": lambda folder, out: tarred(folder, out / "fer2013.tar.gz", "w:gz"),
    "tar.bz2": lambda folder, out: tarred(folder, out / "fer2013.tar.bz2", "w:bz2"),
    "tar.xz": lambda folder, out: tarred(folder, out / "fer2013.tar.xz", "w:xz"),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_table_is_read_however_it_is_packed(form: str, table: Path, faces: FaceSet, tmp_path: Path) -> None:
    read = load(FORMS[form](table, tmp_path))
    assert read.fingerprint == faces.fingerprint
    assert {(left.reason, left.count) for left in read.left_out} == {("beside the table", 1)}


@pytest.mark.parametrize("form", FORMS)
def test_pictures_are_read_however_they_are_packed(form: str, faces: FaceSet, tmp_path: Path) -> None:
    folder = write(faces, tmp_path / "pictures")
    assert load(FORMS[form](folder, tmp_path)).fingerprint == faces.fingerprint


@pytest.mark.parametrize(("ending", "pack"), [("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress)])
def test_a_compressed_table_is_read(
    ending: str, pack: Callable[[bytes], bytes], table: Path, faces: FaceSet, tmp_path: Path
) -> None:
    path = tmp_path / f"fer2013.csv.{ending}"
    path.write_bytes(pack((table / "fer2013.csv").read_bytes()))
    assert load(path).fingerprint == faces.fingerprint


def test_a_zip_from_windows_has_paths(faces: FaceSet, tmp_path: Path) -> None:
    folder = write(faces, tmp_path / "pictures")
    with zipfile.ZipFile(tmp_path / "windows.zip", "w") as archive:
        for file in sorted(folder.rglob("*.png")):
            member = zipfile.ZipInfo()
            member.filename = "\\".join(file.relative_to(tmp_path).parts)
            archive.writestr(member, file.read_bytes())
    assert load(tmp_path / "windows.zip").fingerprint == faces.fingerprint


def test_of_several_tables_the_named_one_is_read_and_others_are_asked_about(table: Path, faces: FaceSet) -> None:
    write_csv(draw(21, 1), table / "icml_face_data.csv")
    assert load(table).fingerprint == faces.fingerprint
    (table / "fer2013.csv").rename(table / "faces.csv")
    with pytest.raises(InputError, match=r"holds 2 tables \(faces\.csv, icml_face_data\.csv\).*name the table itself"):
        load(table)


def test_links_in_a_tar_are_counted_and_lead_nowhere(faces: FaceSet, tmp_path: Path) -> None:
    folder = write(faces, tmp_path / "pictures")
    path = tarred(folder, tmp_path / "set.tar", "w")
    with tarfile.open(path, "a") as archive:
        member = tarfile.TarInfo("pictures/train/happy/passwd.png")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(member)
    read = load(path)
    assert read.fingerprint == faces.fingerprint
    assert [(left.reason, left.count) for left in read.left_out] == [("a link or device in a tar", 1)]


def test_a_name_that_stands_twice_is_counted(faces: FaceSet, tmp_path: Path) -> None:
    folder = write(faces, tmp_path / "pictures")
    path = zipped(folder, tmp_path / "set.zip")
    name = next(name for name in zipfile.ZipFile(path).namelist() if name.endswith(".png"))
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, (folder.parent / name).read_bytes())
    read = load(path)
    assert len(read) == len(faces)
    assert [(left.reason, left.count) for left in read.left_out] == [("twice under one name", 1)]


@pytest.mark.parametrize("form", ["zip", "tar", "tar.gz", "tar.xz"])
def test_an_archive_that_was_cut_off_is_refused(form: str, faces: FaceSet, tmp_path: Path) -> None:
    path = FORMS[form](write(faces, tmp_path / "pictures"), tmp_path)
    content = path.read_bytes()
    for share in (0.2, 0.5, 0.9):
        path.write_bytes(content[: int(len(content) * share)])
        with pytest.raises(InputError, match="fetch it again"):
            load(path)


def test_what_unpacks_beyond_the_limit_is_refused(table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = FORMS["tar.gz"](table, tmp_path)
    monkeypatch.setattr(archives, "LARGEST_TAR", 10_000)
    with pytest.raises(InputError, match="unpacks to over"):
        load(path)
    monkeypatch.setattr(archives, "MOST_MEMBERS", 1)
    for form in ("zip", "tar"):
        with pytest.raises(InputError, match="lists over 1 files"):
            load(FORMS[form](table, tmp_path))


def test_what_is_no_archive_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"emotion,pixels\n")
    (tmp_path / "empty").write_bytes(b"")
    for name in ("plain", "empty"):
        with open_archive(tmp_path / name) as archive:
            assert archive is None
    (tmp_path / "noise.gz").write_bytes(gzip.compress(io.BytesIO(b"\x00\x01" * 500).getvalue()))
    with pytest.raises(InputError, match=r"not a text table|no column"):
        load(tmp_path / "noise.gz")
