import contextlib
import io
import json
import struct
import subprocess
import sys
import threading
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from data.errors import InputError
from inference.photos import structure
from inference.photos.pictures import MAX_BYTES, file_name, read_picture

FIRST_FRAME = b",\0\0\0\0"  # Of a GIF: a comma, then the frame's left and top.
WHITE, RED, BLUE = (255, 255, 255), (255, 0, 0), (0, 0, 255)


def encoded(image: Image.Image, file_format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def noise(height: int = 20, width: int = 20) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8))


def pixels_of(image: Image.Image, file_format: str, **options: Any) -> NDArray[np.uint8]:
    return read_picture(encoded(image, file_format, **options)).pixels


def refusal(content: bytes, name: str = "photo.jpg") -> str:
    with pytest.raises(InputError) as caught:
        read_picture(content, name)
    message = str(caught.value)
    assert message.startswith(name)
    assert "\n" not in message
    assert len(message) < 300
    return message


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, *chunks: bytes) -> bytes:
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    rows = zlib.compress(bytes(65 * 64))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + png_chunk(b"IDAT", rows) + png_chunk(b"IEND", b"")


def tiff(*entries: tuple[int, int, int, int], body: bytes = b"") -> bytes:
    listed = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + listed + bytes(4) + body


def exif(orientation: int, order: str = "<") -> bytes:
    head = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(order + "IH", 8, 1)
    return b"Exif\0\0" + head + struct.pack(order + "HHIHH", 274, 3, 1, orientation, 0) + bytes(4)


ENCODINGS: dict[str, tuple[str, dict[str, Any]]] = {
    "jpeg": ("JPEG", {}),
    "progressive": ("JPEG", {"progressive": True}),
    "png": ("PNG", {}),
    "webp": ("WEBP", {}),
    "lossless": ("WEBP", {"lossless": True}),
    "gif": ("GIF", {}),
    "bmp": ("BMP", {}),
    "tiff": ("TIFF", {}),
    "lzw": ("TIFF", {"compression": "tiff_lzw"}),
    "ppm": ("PPM", {}),
}
FILES = {name: encoded(noise(), kind, **options) for name, (kind, options) in ENCODINGS.items()}


# --- what is not a picture


@pytest.mark.parametrize(
    "content",
    [
        b"hello, this is text",
        b"<!DOCTYPE html><html><img src=x></html>",
        b"<svg xmlns='http://www.w3.org/2000/svg' width='64' height='64'/>",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n",
        b"\x89PNG",
        b"\x00" * 100,
    ],
    ids=["text", "html", "svg", "eps", "four bytes of a png", "zeros"],
)
def test_what_is_no_picture_is_refused_whatever_its_name(content: bytes) -> None:
    assert "is not a picture that can be read" in refusal(content, "photo.png")


def test_an_empty_file_is_refused() -> None:
    assert "is empty" in refusal(b"")


def test_other_formats_that_pillow_knows_are_not_opened() -> None:
    assert "is not a picture" in refusal(encoded(noise(), "ICO"), "x.ico")
    assert "is not a picture" in refusal(encoded(noise(), "JPEG2000"), "x.jp2")
    assert "is not a picture" in refusal(encoded(noise(), "EPS"), "x.png")


@pytest.mark.parametrize("encoding", sorted(FILES))
def test_the_content_decides_and_not_the_name(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "wrong.svg"
    path.write_bytes(FILES[encoding])
    picture = read_picture(path)
    assert picture.name == "wrong.svg"
    assert picture.notes == ()
    assert picture.pixels.shape == (20, 20, 3)
    assert picture.pixels.dtype == np.uint8
    if encoding in ("png", "lossless", "bmp", "tiff", "lzw", "ppm"):
        assert (picture.pixels == np.asarray(noise())).all()


def test_of_a_polyglot_only_the_pixels_are_taken() -> None:
    polyglot = FILES["png"] + b"<script>alert(1)</script>PK\x03\x04"
    assert (read_picture(polyglot).pixels == np.asarray(noise())).all()


# --- files and names


def test_a_missing_file_and_a_folder_are_refused_without_their_folders(tmp_path: Path) -> None:
    for path, found in ((tmp_path / "none.png", "does not exist"), (tmp_path, "is not a file")):
        with pytest.raises(InputError, match=found) as caught:
            read_picture(path)
        assert str(tmp_path.parent) not in str(caught.value)


def test_a_refused_file_is_named_without_its_folders(tmp_path: Path) -> None:
    path = tmp_path / "broken.png"
    path.write_bytes(FILES["png"][:200])
    with pytest.raises(InputError, match=r"^broken\.png is a damaged or truncated PNG file"):
        read_picture(path)


def test_a_path_with_a_null_byte_is_refused() -> None:
    with pytest.raises(InputError, match=r"cannot be read|does not exist"):
        read_picture(Path("a\0b.png"))


def test_a_file_over_ten_megabytes_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    with path.open("wb") as file:
        file.truncate(50 * MAX_BYTES)  # Sparse: reading it would be noticed only by its time.
    with pytest.raises(InputError, match=r"large\.png has 500\.0 MB: at most 10 MB"):
        read_picture(path)
    assert "at most 10 MB" in refusal(bytes(MAX_BYTES + 1))


@pytest.mark.parametrize(
    ("given_name", "shown"),
    [
        ("/srv/private/me.png", "me.png"),
        ("C:\\private\\me.png", "me.png"),
        ("a\x1b[31m\nb.png", "a?[31m?b.png"),
        ("caf\u00e9.png", "caf\u00e9.png"),
        ("\udcff.png", "?.png"),
        ("", "the picture"),
        ("/", "the picture"),
        ("x" * 1000, "x" * 100),
    ],
)
def test_names_are_shown_without_folders_and_control_characters(given_name: str, shown: str) -> None:
    assert file_name(given_name) == shown


# --- truncated and damaged


@pytest.mark.parametrize("encoding", sorted(set(FILES) - {"gif"}))
def test_a_file_cut_off_anywhere_is_refused(encoding: str) -> None:
    content = FILES[encoding]
    for length in range(1, len(content)):
        with pytest.raises(InputError):
            read_picture(content[:length])


def test_a_gif_cut_off_anywhere_is_refused_but_for_its_last_byte_which_says_nothing() -> None:
    content = FILES["gif"]
    for length in range(1, len(content) - 1):
        refusal(content[:length])
    assert (read_picture(content[:-1]).pixels == read_picture(content).pixels).all()


def test_truncated_files_are_refused_even_where_pillow_was_told_to_load_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("PIL.ImageFile.LOAD_TRUNCATED_IMAGES", True)
    for encoding in ("jpeg", "progressive", "png"):
        assert "truncated" in refusal(FILES[encoding][:-20])


@given(st.binary(max_size=400), st.sampled_from([content[:12] for content in FILES.values()] + [b""]))
@settings(max_examples=300)
def test_random_bytes_are_refused(content: bytes, start: bytes) -> None:
    with pytest.raises(InputError):
        read_picture(start + content)


@given(st.data())
@settings(max_examples=600)
def test_mutated_files_are_read_or_refused_and_nothing_else(data: st.DataObject) -> None:
    kinds = {**FILES, "exif": encoded(noise(), "JPEG", exif=exif(6)), "apng": ANIMATED["apng"]}
    content = bytearray(kinds[data.draw(st.sampled_from(sorted(kinds)))])
    # The first 100 bytes hold most of the structure.
    places = st.one_of(st.integers(0, 99), st.integers(0, len(content) - 1))
    for place, value in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), min_size=1, max_size=6)):
        content[place] = value
    cut = data.draw(st.integers(0, 3)) and len(content)
    end = cut or data.draw(st.integers(1, len(content)))
    with contextlib.suppress(InputError):
        picture = read_picture(bytes(content[:end]))
        height, width, channels = picture.pixels.shape
        assert channels == 3
        assert min(height, width) >= 16
        assert picture.pixels.dtype == np.uint8


@given(st.binary(max_size=300))
@settings(max_examples=300)
def test_the_structure_of_any_bytes_can_be_looked_at(content: bytes) -> None:
    for start in (b"", b"Exif\0\0", b"II*\0", b"MM\0*\0\0\0\x08", b"Exif\0\0II*\0\x08\0\0\0"):
        assert 1 <= structure.orientation(start + content) <= 8
        for kind, head in (
            ("JPEG", b"\xff\xd8\xff"),
            ("GIF", b"GIF89a" + bytes(7)),
            ("TIFF", start),
            ("PNG", b""),
        ):
            complaint = structure.complaint(kind, head + content)
            assert complaint is None or complaint.startswith("is ")


# --- sizes


@pytest.mark.parametrize("size", [(1, 1), (15, 15), (15, 400), (400, 15), (65_000, 1), (65_000, 16)])
def test_tiny_and_absurdly_long_pictures_are_refused(size: tuple[int, int]) -> None:
    message = refusal(encoded(Image.new("L", size), "PNG"))
    assert f"{size[0]} x {size[1]} pixels" in message


def test_pictures_at_the_limits_are_read() -> None:
    assert pixels_of(Image.new("L", (16, 16)), "PNG").shape == (16, 16, 3)
    assert pixels_of(Image.new("L", (512, 16)), "PNG").shape == (16, 512, 3)
    assert pixels_of(Image.new("L", (5000, 5000)), "PNG").shape == (5000, 5000, 3)


def test_pillows_warnings_about_large_or_odd_pictures_do_not_leak() -> None:
    odd = tiff((256, 4, 1, 20), (257, 4, 1, 20), (270, 2, 500, 9000), body=bytes(4000))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert "144.0" not in refusal(png(12_000, 12_000))
        refusal(odd)
    assert caught == []


def hostile_files() -> dict[str, bytes]:
    """Small files that would take much memory or time; each must be refused before it does."""
    texts = [png_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(900_000))) for _ in range(60)]
    overlapping = [(1000 + number, 1, 60_000, 8) for number in range(5000)]
    gif = encoded(Image.new("P", (64, 64)), "GIF")
    comments = (b"!\xfe\x01a\0") * 400_000
    jpeg = encoded(Image.new("L", (64, 64), 128), "JPEG", progressive=True)
    last_scan = jpeg[jpeg.rindex(b"\xff\xda") : -2]
    size = ((256, 4, 1, 64), (257, 4, 1, 64), (258, 3, 1, 8), (262, 3, 1, 1))
    return {
        "png header": png(13_000, 13_000),
        "png of the largest size": png(2**31 - 1, 2**31 - 1),
        "gif header": gif[:6] + b"\xff\xff\xff\xff" + gif[10:],
        "jpeg header": jpeg[: jpeg.index(b"\xff\xc2") + 5] + b"\xff\xdc\xff\xdc" + jpeg[jpeg.index(b"\xff\xc2") + 9 :],
        "bmp header": b"BM" + struct.pack("<IIIIiiHHIIiiII", 0, 0, 54, 40, 40_000, 40_000, 1, 24, 0, 0, 0, 0, 0, 0),
        "ppm header": b"P6 30000 30000 255\n" + bytes(1000),
        "webp header": encoded(Image.new("RGB", (16_383, 2000)), "WEBP", lossless=True, method=0),
        "tiff header": tiff((256, 4, 1, 40_000), (257, 4, 1, 40_000), (262, 3, 1, 1), (273, 4, 1, 8)),
        "one zTXt": png(64, 64, png_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(60_000_000)))),
        "many zTXt": png(64, 64, *texts),
        "iCCP": png(64, 64, png_chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(60_000_000)))),
        "tiff tags over one another": tiff(*size, *overlapping, body=bytes(1000)),
        "tiff of a million strips": tiff(*size, (273, 4, 1_000_000, 100), body=bytes(4_000_200)),
        "tiff in one huge tile": tiff(*size, (322, 4, 1, 40_000), (323, 4, 1, 40_000), (324, 4, 1, 8)),
        "gif of comments": gif.replace(FIRST_FRAME, comments + FIRST_FRAME),
        "jpeg of scans": jpeg[:-2] + last_scan * 20_000 + b"\xff\xd9",
    }


METER = """
import json, pathlib, re, sys, time
from data.errors import InputError
from inference.photos.pictures import read_picture
def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", pathlib.Path("/proc/self/status").read_text())[1]) / 1024
read_picture(pathlib.Path(sys.argv[1]))
for name in sys.argv[2:]:
    content = pathlib.Path(name).read_bytes()
    before, start, refused = peak(), time.perf_counter(), False
    try:
        read_picture(content)
    except InputError:
        refused = True
    print(json.dumps([refused, peak() - before, time.perf_counter() - start]))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of a process's memory is read from /proc")
def test_bombs_are_refused_at_once_and_without_memory(tmp_path: Path) -> None:
    """Measured in a process of its own: Pillow's memory is not Python's, and a peak never falls again."""
    honest = {"small": encoded(noise(), "PNG"), "large": encoded(Image.new("RGB", (5000, 4000)), "PNG")}
    files = {**hostile_files(), **honest}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        assert len(content) < MAX_BYTES
    order = [tmp_path / name for name in ("small", *hostile_files(), "large")]
    child = subprocess.run([sys.executable, "-c", METER, *order], capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in child.stdout.splitlines()]
    *bombs, (refused, growth, _) = lines
    assert not refused
    assert growth > 50, "the meter does not see an honest picture of 20 megapixels"
    for name, (refused, growth, seconds) in zip(hostile_files(), bombs, strict=True):
        assert refused, name
        assert growth < 50, f"{name}: {growth:.0f} MB"
        assert seconds < 3, f"{name}: {seconds:.1f} s"


def test_files_built_to_cost_much_are_turned_away_before_pillow_sees_them() -> None:
    hostile = hostile_files()
    for kind, name, reason in (
        ("TIFF", "tiff tags over one another", "claim more bytes than the file has"),
        ("TIFF", "tiff of a million strips", "a tag of 1,000,000 values"),
        ("TIFF", "tiff in one huge tile", "tiles of 40000 x 40000 pixels"),
        ("GIF", "gif of comments", "bytes of comments"),
        ("JPEG", "jpeg of scans", "scans, where 100 is the limit"),
    ):
        complaint = structure.complaint(kind, hostile[name])
        assert complaint is not None, name
        assert reason in complaint
    for encoding, (kind, _) in ENCODINGS.items():
        assert structure.complaint(kind, FILES[encoding]) is None


def test_exif_whose_tags_lie_over_one_another_costs_nothing() -> None:
    block = tiff(*[(1000 + number, 1, 60_000, 8) for number in range(5000)], (274, 3, 1, 6))
    content = encoded(noise(20, 30), "JPEG", exif=b"Exif\0\0" + block)
    assert read_picture(content[:2] + content[20:]).pixels.shape == (30, 20, 3)


# --- what the pixels mean


ANIMATED = {
    "gif": encoded(
        Image.new("RGB", (32, 32), RED),
        "GIF",
        save_all=True,
        append_images=[Image.new("RGB", (32, 32), BLUE)],
    ),
    "webp": encoded(
        Image.new("RGB", (32, 32), RED),
        "WEBP",
        lossless=True,
        save_all=True,
        append_images=[Image.new("RGB", (32, 32), BLUE)],
    ),
    "apng": encoded(
        Image.new("RGB", (32, 32), RED),
        "PNG",
        save_all=True,
        append_images=[Image.new("RGB", (32, 32), BLUE)],
    ),
}


@pytest.mark.parametrize("kind", sorted(ANIMATED))
def test_of_an_animation_the_first_frame_is_taken_and_said(kind: str) -> None:
    picture = read_picture(ANIMATED[kind])
    assert picture.notes == ("an animation: its first frame was taken",)
    assert (picture.pixels == RED).all()


def test_of_a_document_the_first_page_is_taken_and_said() -> None:
    pages = [Image.new("RGB", (32, 32), colour) for colour in (BLUE, RED)]
    for options in ({}, {"compression": "tiff_deflate"}):
        picture = read_picture(encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:], **options))
        assert picture.notes == ("several pages: the first one was taken",)
        assert (picture.pixels == BLUE).all()


def test_a_still_gif_with_comments_is_no_animation() -> None:
    content = FILES["gif"]
    first = content.index(FIRST_FRAME)
    commented = content[:first] + b"!\xfe\x05hello\0" + content[first:-1] + b"!\xfe\x05again\0;"
    assert read_picture(commented).notes == ()


def test_cmyk_pictures_have_the_right_colours() -> None:
    cmyk = Image.new("CMYK", (32, 32), (0, 255, 255, 0))
    assert np.abs(pixels_of(cmyk, "JPEG", quality=95).astype(int) - RED).max() <= 6
    assert (pixels_of(cmyk, "TIFF") == RED).all()


def test_what_is_transparent_lies_over_white() -> None:
    clear_red, half_black = (255, 0, 0, 0), (0, 0, 0, 128)
    for kind in ("PNG", "TIFF"):
        assert (pixels_of(Image.new("RGBA", (20, 20), clear_red), kind) == WHITE).all()
        assert (pixels_of(Image.new("RGBA", (20, 20), half_black), kind) == 127).all()
        assert (pixels_of(Image.new("LA", (20, 20), (0, 0)), kind) == WHITE).all()
        assert (pixels_of(Image.new("LA", (20, 20), (90, 255)), kind) == 90).all()
    assert (pixels_of(Image.new("RGBA", (20, 20), clear_red), "WEBP", lossless=True, exact=True) == WHITE).all()


def test_one_transparent_colour_lies_over_white() -> None:
    rgb = Image.new("RGB", (20, 20), RED)
    rgb.paste(BLUE, (0, 0, 10, 20))
    pixels = pixels_of(rgb, "PNG", transparency=RED)
    assert (pixels[:, :10] == BLUE).all()
    assert (pixels[:, 10:] == WHITE).all()
    for mode, dark in (("L", 40), ("1", 0)):
        assert (pixels_of(Image.new(mode, (20, 20), dark), "PNG", transparency=dark) == WHITE).all()


def test_palettes_give_their_colours_and_their_transparency() -> None:
    paletted = Image.new("P", (20, 20), 0)
    paletted.putpalette([*BLUE, *RED])
    paletted.paste(1, (0, 0, 10, 20))
    for kind in ("PNG", "GIF", "BMP", "TIFF"):
        pixels = pixels_of(paletted, kind)
        assert (pixels[:, :10] == RED).all(), kind
        assert (pixels[:, 10:] == BLUE).all(), kind
    for kind in ("PNG", "GIF"):
        assert (pixels_of(paletted, kind, transparency=0)[:, 10:] == WHITE).all()
    assert (pixels_of(paletted, "PNG", transparency=b"\x80\xff")[:, 10:] == (127, 127, 255)).all()


def test_bitmaps_and_grey_pictures_become_rgb() -> None:
    for kind in ("PNG", "TIFF", "PPM", "BMP"):
        assert (pixels_of(Image.new("1", (20, 20), 1), kind) == WHITE).all()
        assert (pixels_of(Image.new("L", (20, 20), 77), kind) == 77).all()


SIXTEEN = np.tile(np.array([0, 128, 129, 257, 25_700, 32_768, 65_278, 65_535] * 2, np.uint16), (16, 1))
EIGHT = [0, 0, 1, 1, 100, 128, 254, 255] * 2


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_16_bit_grey_is_divided_by_257(kind: str) -> None:
    pixels = pixels_of(Image.fromarray(SIXTEEN), kind)
    assert (pixels == np.array(EIGHT)[None, :, None]).all()


def test_big_endian_and_compressed_16_bit_tiffs_are_read_alike() -> None:
    big = Image.fromarray(SIXTEEN.astype(">u2"))
    assert big.mode == "I;16B"
    assert (pixels_of(big, "TIFF")[0, :, 0] == EIGHT).all()
    assert (pixels_of(Image.fromarray(SIXTEEN), "TIFF", compression="tiff_deflate")[0, :, 0] == EIGHT).all()


def test_12_bit_grey_and_white_as_zero_are_refused() -> None:
    strip = (
        (256, 3, 1, 16),
        (257, 3, 1, 16),
        (277, 3, 1, 1),
        (278, 3, 1, 16),
        (279, 4, 1, 512),
        (273, 4, 1, 200),
    )
    twelve = tiff(*strip, (258, 3, 1, 12), (262, 3, 1, 1), body=bytes(1000))
    inverted = tiff(*strip, (258, 3, 1, 16), (262, 3, 1, 0), body=bytes(1000))
    for content in (twelve, inverted):
        assert "is grey of 12 bits, or with 0 for white" in refusal(content)


def test_floating_point_and_32_bit_pictures_are_refused() -> None:
    assert "floating-point" in refusal(encoded(Image.new("F", (20, 20), 0.5), "TIFF"))
    assert "floating-point" in refusal(b"Pf\n20 20\n-1.0\n" + bytes(1600))
    assert "32-bit" in refusal(encoded(Image.new("I", (20, 20), 70_000), "TIFF"))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(kind: str, orientation: int) -> None:
    upright = np.zeros((24, 40, 3), np.uint8)
    upright[:12, :20] = 255  # White in the upper left only: no turn or mirror image is the same.
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    tag = Image.Exif()
    tag[274] = orientation
    options = {"quality": 95} if kind in ("JPEG", "WEBP") else {}
    pixels = pixels_of(Image.fromarray(np.ascontiguousarray(stored)), kind, exif=tag, **options)
    assert pixels.shape == (24, 40, 3)
    assert np.abs(pixels.astype(int) - upright)[::4, ::4].max() < 40


def test_exif_of_either_byte_order_and_behind_the_pixels_is_found() -> None:
    for order in "<>":
        assert pixels_of(noise(20, 30), "JPEG", exif=exif(6, order)).shape == (30, 20, 3)
    content = encoded(noise(20, 30), "PNG")
    late = content[:-12] + png_chunk(b"eXIf", exif(6).removeprefix(b"Exif\0\0")) + content[-12:]
    assert read_picture(late).pixels.shape == (30, 20, 3)


@pytest.mark.parametrize(
    "block", [exif(0), exif(9), b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0junk" * 9]
)
def test_senseless_exif_leaves_the_picture_as_it_is(block: bytes) -> None:
    assert pixels_of(noise(20, 30), "JPEG", exif=block).shape == (20, 30, 3)


def test_an_ordinary_png_with_texts_and_a_profile_is_read() -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", "hello " * 10_000, zip=True)
    info.add_itxt("XML:com.adobe.xmp", "<x/>" * 10_000, zip=True)
    assert (pixels_of(noise(), "PNG", pnginfo=info, icc_profile=bytes(500_000)) == np.asarray(noise())).all()


def test_several_threads_read_at_once() -> None:
    expected = {name: read_picture(content).pixels for name, content in FILES.items()}
    wrong: list[str] = []

    def read_all() -> None:
        for name, content in FILES.items():
            if not (read_picture(content).pixels == expected[name]).all():
                wrong.append(name)

    threads = [threading.Thread(target=read_all) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_jpeg_is_decoded_smaller_as_long_as_its_longer_side_keeps_what_was_asked_for(mode: str) -> None:
    tall = encoded(Image.new(mode, (1001, 2001), 90 if mode == "L" else (90,) * len(mode)), "JPEG")
    for asked, reduction in ((None, 1), (2001, 1), (1001, 1), (1000, 2), (640, 2), (500, 4), (100, 8)):
        picture = read_picture(tall, decode_side=asked)
        assert picture.reduction == reduction
        assert picture.pixels.shape == (-(-2001 // reduction), -(-1001 // reduction), 3)
        assert np.ptp(picture.pixels) <= 1
        assert picture.notes == (() if reduction == 1 else (f"decoded at 1/{reduction} of its sides",))


def test_an_upright_jpeg_is_upright_when_decoded_smaller() -> None:
    wide = Image.new("RGB", (2000, 1000), RED)
    wide.paste(BLUE, (1000, 0, 2000, 1000))
    # Its left half, red, is above once it is turned by a quarter to the right.
    turned = read_picture(encoded(wide, "JPEG", exif=exif(6)), decode_side=640)
    assert turned.pixels.shape == (1000, 500, 3)
    assert turned.pixels[10, 100, 0] > 200
    assert turned.pixels[-10, 100, 2] > 200


@pytest.mark.parametrize("kind", ["PNG", "WebP", "BMP"])
def test_others_than_jpegs_are_decoded_as_they_are(kind: str) -> None:
    picture = read_picture(encoded(Image.new("RGB", (2000, 1000)), kind), decode_side=640)
    assert (picture.reduction, picture.notes, picture.pixels.shape) == (1, (), (1000, 2000, 3))
