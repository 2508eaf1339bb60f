"""Many pictures at once: what zips may hold, and what becomes of what they hold."""

import csv
import io
import re
import zipfile
from base64 import b64decode
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from data.errors import InputError
from data.faceset import FaceSet
from data.leftout import Tally

pytest.importorskip("gradio", reason="the page needs Gradio: install ferox[demo]")

from demo.intake.archive import sources
from demo.intake.uploads import Upload
from demo.page import Page
from demo.state.shelf import Shelf
from demo.tabs.folder import OTHERS, Desk, Work, answered
from inference.photos.faces import HaarFinder
from inference.photos.pictures import MAX_BYTES
from inference.photos.reading import PicturePrediction


@pytest.fixture(scope="module")
def page(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Page:
    folder = tmp_path_factory.mktemp("empty")
    return Page(Shelf(tiny_model.parent), HaarFinder(), folder, folder, None, folder, str)


def png(pixels: Any) -> bytes:
    content = io.BytesIO()
    Image.fromarray(np.asarray(pixels)).save(content, "PNG")
    return content.getvalue()


def zipped(path: Path, members: dict[str, bytes]) -> Upload:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return Upload(path, path.name)


def refused(sent: Upload) -> str:
    """Return why an uploaded file, as the one source that it is, cannot be read."""
    with sources([sent], Tally()) as (source,), pytest.raises(InputError) as error:
        source.read()
    return str(error.value)


def table(html: str) -> list[dict[str, str]]:
    found = re.search(r"data:text/csv;base64,([^\"]+)\"", html)
    assert found is not None
    return list(csv.DictReader(io.StringIO(b64decode(found.group(1)).decode("utf-8-sig"))))


def test_each_crop_of_a_zip_is_one_face_and_an_unreadable_file_has_its_own_row(
    page: Page, drawn: FaceSet, tmp_path: Path, tiny_model: Path
) -> None:
    faces = {f"a/{number}.png": png(drawn.pixels[number]) for number in range(5)}
    sent = zipped(tmp_path / "faces.zip", faces | {"b/broken.png": b"no picture", "readme.txt": b"hello"})
    *progress, html = answered(page, [sent], tiny_model.stem, "en")
    assert "0 of 6 pictures" in progress[0]
    assert "6 pictures · 5 faces · 1 not read" in html
    rows = table(html)
    assert [row["file"] for row in rows] == [*faces, "b/broken.png"]
    expected = page.shelf.engine(tiny_model.stem).predict(drawn.pixels[:5])
    for row, probabilities in zip(rows, expected, strict=False):
        assert float(row["happy"]) == pytest.approx(float(probabilities[3]), abs=1e-6)
    assert "is not a picture" in rows[-1]["error"]


def test_a_folder_that_is_stopped_keeps_what_was_read(
    page: Page, drawn: FaceSet, tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("demo.tabs.folder.EVERY", 0.0)
    sent = zipped(tmp_path / "faces.zip", {f"{number}.png": png(drawn.pixels[number]) for number in range(5)})
    work = Work()
    going: Any = answered(page, [sent], tiny_model.stem, "en", work)
    assert "0 of 5 pictures" in next(going)
    assert "1 of 5 pictures" in next(going)
    assert "2 of 5 pictures" in next(going)
    going.close()
    html = work.shown("en")
    assert "Stopped after 2 of 5 pictures" in html
    assert [row["file"] for row in table(html)] == ["0.png", "1.png"]
    *_, whole = answered(page, [sent], tiny_model.stem, "en")
    assert "Stopped" not in whole


def test_what_was_read_is_there_to_ask_for_though_others_have_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk()
    first = desk.begin("first", 0.0)
    assert desk.of("first") is None
    first.total = 9
    second = desk.begin("second", 0.0)
    assert (desk.of("first"), desk.of("first"), desk.of("second")) == (first, first, None)
    second.total = 1
    second.predictions.append(PicturePrediction("a.png", (), (), None))
    desk.begin("third", 0.0)
    assert (desk.of("first"), desk.of("second")) == (first, second)
    again = desk.begin("first", 0.0)
    assert desk.of("first") is None
    again.total = 2
    for number in range(OTHERS + 1):
        desk.begin(str(number), 0.0).total = 9
    assert [desk.of(str(number)) is None for number in range(OTHERS + 1)] == [False] * (OTHERS + 1)
    assert desk.of("second") is None
    monkeypatch.setattr("demo.tabs.folder.KEPT_SECONDS", 0.0)
    desk.forget_old()
    assert desk.of("0") is None


def test_files_and_zips_mix_and_names_cannot_inject_markup(
    page: Page, drawn: FaceSet, tmp_path: Path, tiny_model: Path
) -> None:
    plain = tmp_path / "one.png"
    plain.write_bytes(png(drawn.pixels[0]))
    sent = [Upload(plain, "<b>one.png"), zipped(tmp_path / "two.zip", {"<img src=x>.png": png(drawn.pixels[1])})]
    *_, html = answered(page, sent, tiny_model.stem, "en")
    assert "<b>one" not in html
    assert "<img src=x>" not in html
    assert [row["file"] for row in table(html)] == ["<b>one.png", "<img src=x>.png"]


def test_no_bad_file_stops_the_others(page: Page, drawn: FaceSet, tmp_path: Path, tiny_model: Path) -> None:
    fine = tmp_path / "fine.png"
    fine.write_bytes(png(drawn.pixels[0]))
    cut = zipped(tmp_path / "cut.zip", {"a.png": b"x" * 1000})
    cut.path.write_bytes(cut.path.read_bytes().replace(b"PK\1\2", b"PK\1\\9"))
    sent = [
        Upload(tmp_path / "removed.png", "removed.png"),
        cut,
        zipped(tmp_path / "texts.zip", {"a.txt": b"x"}),
        damaged(tmp_path / "lzma.zip", zipfile.ZIP_LZMA),
        damaged(tmp_path / "deflated.zip", zipfile.ZIP_DEFLATED),
        damaged(tmp_path / "bz2.zip", zipfile.ZIP_BZIP2),
        Upload(fine, "fine.png"),
    ]
    *_, html = answered(page, sent, tiny_model.stem, "en")
    rows = table(html)
    names = ["removed.png", "cut.zip", "texts.zip", "lzma.png", "deflated.png", "bz2.png", "fine.png"]
    assert [row["file"] for row in rows] == names
    assert "kept for an hour; send it again" in rows[0]["error"]
    assert all(row["error"] for row in rows[:-1])
    assert (rows[-1]["error"], rows[-1]["face"]) == ("", "1")


def damaged(path: Path, method: int) -> Upload:
    """A zip whose table of contents is whole, with one picture whose compressed bytes are not."""
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr(f"{path.stem}.png", bytes(range(256)) * 40)
    with zipfile.ZipFile(path) as archive:
        (member,) = archive.infolist()
    begin = member.header_offset + 30 + len(member.filename)
    content = bytearray(path.read_bytes())
    content[begin : begin + member.compress_size] = b"\xff" * member.compress_size
    path.write_bytes(content)
    return Upload(path, path.name)


def test_a_zip_that_is_removed_meanwhile_stops_no_other(drawn: FaceSet, tmp_path: Path) -> None:
    picture = png(drawn.pixels[0])
    sent = [zipped(tmp_path / name, {"a.png": picture}) for name in ("gone.zip", "other.zip")]
    with sources(sent, Tally()) as (lost, fine):
        sent[0].path.unlink()
        with pytest.raises(InputError, match=r"gone\.zip is no longer here"):
            lost.read()
        assert fine.read() == picture


def test_a_zip_is_opened_once_for_all_its_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Any] = []

    class Counted(zipfile.ZipFile):
        def __init__(self, *values: Any) -> None:
            opened.append(values)
            super().__init__(*values)

    members = [{f"{place}{number}.bmp": bytes([place, number]) for number in range(20)} for place in range(2)]
    sent = [zipped(tmp_path / f"{place}.zip", content) for place, content in enumerate(members)]
    monkeypatch.setattr(zipfile, "ZipFile", Counted)
    with sources(sent, Tally()) as found:
        assert [source.read() for source in found] == [value for content in members for value in content.values()]
    assert len(opened) == 4  # Each once to be listed and once to be read.


def test_too_many_pictures_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("demo.intake.archive.MOST_PICTURES", 3)
    sent = zipped(tmp_path / "many.zip", {f"{number}.png": b"x" for number in range(4)})
    assert "many.zip holds 4 pictures: at most 3 are taken" in refused(sent)
    plain = [Upload(tmp_path / "a.png", "a.png")] * 4
    with pytest.raises(InputError, match="more than 3 pictures"), sources(plain, Tally()):
        pass


def test_names_that_climb_out_of_a_zip_write_nothing(drawn: FaceSet, tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    names = (str(tmp_path / "escaped.png"), "a/../../escaped.png", "..\\escaped.png")
    sent = zipped(tmp_path / "deep" / "x.zip", dict.fromkeys(names, png(drawn.pixels[0])))
    with sources([sent], Tally()) as found:
        assert [source.read() for source in found] == [png(drawn.pixels[0])]
    assert list(tmp_path.rglob("*escaped.png")) == []


def test_a_member_that_expands_too_far_is_refused_unread(tmp_path: Path) -> None:
    sent = zipped(tmp_path / "bomb.zip", {"bomb.png": bytes(50_000_000), "ok.bmp": b"BM"})
    with sources([sent], Tally()) as (bomb, fine):
        with pytest.raises(InputError, match="expands 200 times"):
            bomb.read()
        assert fine.read() == b"BM"


def test_a_zip_that_unpacks_to_too_much_altogether_is_refused(tmp_path: Path) -> None:
    sent = zipped(tmp_path / "large.zip", {"a.png": b"x"})
    content = bytearray(sent.path.read_bytes())
    place = content.rfind(b"PK\1\2")
    content[place + 24 : place + 28] = (3_000_000_000).to_bytes(4, "little")
    sent.path.write_bytes(content)
    assert "unpacks to 3.0 GB" in refused(sent)


@pytest.fixture(scope="module")
def long_list() -> bytes:
    """A zip whose table of contents has 17 MB."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for number in range(260):
            member = zipfile.ZipInfo(f"{number}.png")
            member.comment = bytes(65_535)
            archive.writestr(member, b"x")
    return content.getvalue()


def test_a_table_of_contents_too_long_to_hold_is_refused_before_it_is_read(long_list: bytes, tmp_path: Path) -> None:
    sent = Upload(tmp_path / "many.zip", "many.zip")
    sent.path.write_bytes(long_list)
    assert "many.zip lists too many files" in refused(sent)
    # What Python ignores, the number of this disk, reads as the beginning of a record with a table of no length.
    sent.path.write_bytes(long_list[:-18] + b"PK\5\6" + long_list[-14:])
    with zipfile.ZipFile(sent.path) as archive:
        assert len(archive.namelist()) == 260
    assert "many.zip lists too many files" in refused(sent)


def test_a_table_of_contents_longer_than_its_file_is_damage(tmp_path: Path) -> None:
    sent = zipped(tmp_path / "many.zip", {"a.png": b"x"})
    content = bytearray(sent.path.read_bytes())
    place = content.rfind(b"PK\5\6")
    content[place + 12 : place + 16] = (100_000_000).to_bytes(4, "little")
    sent.path.write_bytes(content)
    assert "many.zip is a damaged zip" in refused(sent)


def test_a_64_bit_zip_is_read(tmp_path: Path) -> None:
    sent = Upload(tmp_path / "a.zip", "a.zip")
    with zipfile.ZipFile(sent.path, "w") as archive, archive.open("a.png", "w", force_zip64=True) as member:
        member.write(b"x")
    content = sent.path.read_bytes()
    place = content.rfind(b"PK\5\6")
    count, size, start = content[place + 10 : place + 12], content[place + 12 : place + 16], content[place + 16 : -2]
    wide = count.ljust(8, b"\0") * 2 + size.ljust(8, b"\0") + start.ljust(8, b"\0")
    record = b"PK\6\6" + (44).to_bytes(8, "little") + bytes(12) + wide
    locator = b"PK\6\7" + bytes(4) + place.to_bytes(8, "little") + (1).to_bytes(4, "little")
    sent.path.write_bytes(content[:place] + record + locator + content[place:])
    with sources([sent], Tally()) as (source,):
        assert (source.name, source.read()) == ("a.png", b"x")


def test_a_zip_without_pictures_and_a_damaged_one_are_named(tmp_path: Path) -> None:
    texts = zipped(tmp_path / "texts.zip", {"a.txt": b"x", ".hidden.png": b"x", "__MACOSX/a.png": b"x"})
    assert "texts.zip holds no pictures" in refused(texts)
    cut = zipped(tmp_path / "cut.zip", {"a.png": b"x" * 1000})
    content = cut.path.read_bytes()
    cut.path.write_bytes(content.replace(b"PK\1\2", b"PK\1\\9"))
    assert "cut.zip is a damaged zip" in refused(cut)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 400), value=st.binary(min_size=1, max_size=4))
def test_a_zip_with_any_bytes_changed_is_read_or_refused_but_never_breaks(
    tmp_path: Path, place: int, value: bytes
) -> None:
    sent = zipped(tmp_path / "changed.zip", {"a.png": b"x" * 200, "b/b.png": bytes(range(256))})
    content = bytearray(sent.path.read_bytes())
    content[place % len(content) : place % len(content) + len(value)] = value
    sent.path.write_bytes(content)
    # Whatever else is raised fails the test.
    with suppress(InputError), sources([sent], Tally()) as found:
        for source in found:
            assert len(source.read()) <= MAX_BYTES + 1


def test_no_files_and_no_model_are_said(page: Page, tmp_path: Path) -> None:
    assert "Give pictures" in "".join(answered(page, [], None, "en"))
    path = tmp_path / "a.png"
    path.write_bytes(b"x")
    # What the page sends where no model is chosen.
    assert "the model is None, expected one of" in "".join(answered(page, [Upload(path, "a.png")], None, "en"))
    empty = replace(page, shelf=Shelf(tmp_path))
    assert "there is no model in" in "".join(answered(empty, [Upload(path, "a.png")], None, "en"))


def named_as(path: Path, name: bytes, content: bytes) -> Upload:
    """A zip with one picture whose name is these bytes, of an encoding that is not said."""
    place = b"x" * len(name)
    sent = zipped(path, {place.decode(): content})
    path.write_bytes(path.read_bytes().replace(place, name))
    return sent


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("照片/高兴.png".encode("gbk"), "照片/高兴.png"),
        ("照片/高兴.png".encode(), "照片/高兴.png"),
        ("café.png".encode("cp437"), "café.png"),
        (b"plain.png", "plain.png"),
    ],
)
def test_names_in_a_zip_that_state_no_encoding_are_read_as_they_were_written(
    page: Page, drawn: FaceSet, tmp_path: Path, tiny_model: Path, name: bytes, shown: str
) -> None:
    sent = named_as(tmp_path / "x.zip", name, png(drawn.pixels[0]))
    (row,) = table([*answered(page, [sent], tiny_model.stem, "zh")][-1])
    assert (row["file"], row["face"]) == (shown, "1")
    with sources([named_as(tmp_path / "bad.zip", name, b"no picture")], Tally()) as (source,):
        assert (source.name, source.read()) == (shown, b"no picture")


@pytest.mark.parametrize("name", [b"\xd5\xd5/.\xc6\xac.png", b"__MACOSX/\xd5\xd5.png", b"\xd5\xd5.txt"])
def test_names_in_another_encoding_are_looked_at_as_others_are(tmp_path: Path, name: bytes) -> None:
    assert "holds no pictures" in refused(named_as(tmp_path / "x.zip", name, b"x"))


def test_the_table_is_marked_as_utf_8_for_spreadsheets(
    page: Page, drawn: FaceSet, tmp_path: Path, tiny_model: Path
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png(drawn.pixels[0]))
    *_, html = answered(page, [Upload(path, "高兴.png")], tiny_model.stem, "zh")
    found = re.search(r"data:text/csv;base64,([^\"]+)\"", html)
    assert found is not None
    assert b64decode(found.group(1)).startswith(b"\xef\xbb\xbffile,")
    assert table(html)[0]["file"] == "高兴.png"


def test_a_picture_with_a_zip_behind_it_is_a_picture(drawn: FaceSet, tmp_path: Path) -> None:
    sent = zipped(tmp_path / "photo.png", {"hidden.png": b"x"})
    both = png(drawn.pixels[0]) + sent.path.read_bytes()
    sent.path.write_bytes(both)
    assert zipfile.is_zipfile(sent.path)
    with sources([sent], Tally()) as (source,):
        assert (source.name, source.read()) == ("photo.png", both)


@pytest.mark.parametrize(
    ("size", "shown"),
    [((48, 48), (48, 48)), ((200, 100), (200, 100)), ((300, 150), (200, 100)), ((900, 90), (200, 20))],
)
def test_thumbnails_are_shrunk_only_from_what_is_larger(
    page: Page, tmp_path: Path, tiny_model: Path, size: tuple[int, int], shown: tuple[int, int]
) -> None:
    path = tmp_path / "a.png"
    Image.new("RGB", size, "gray").save(path)
    *_, html = answered(page, [Upload(path, "a.png")], tiny_model.stem, "en")
    found = re.search(r"data:image/jpeg;base64,([^\"]+)\"", html)
    assert found is not None
    assert Image.open(io.BytesIO(b64decode(found.group(1)))).size == shown


def test_no_error_becomes_a_formula_in_a_spreadsheet() -> None:
    from demo.view.downloads import as_csv

    error = "=HYPERLINK(1).png is empty"
    (row,) = csv.DictReader(io.StringIO(as_csv([("m", PicturePrediction("=x", (), (), error))])))
    assert (row["file"], row["error"]) == ("'=x", f"'{error}")


def test_predictions_without_faces_keep_their_row() -> None:
    from demo.view.downloads import as_csv

    blank = ("m", PicturePrediction("x.png", (), ()))
    (row,) = csv.DictReader(io.StringIO(as_csv([blank])))
    assert (row["file"], row["face"], row["label"], row["error"]) == ("x.png", "", "", "")
