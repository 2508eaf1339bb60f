import io
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from data.draw import draw
from data.errors import InputError
from data.faceset import FaceSet
from inference.photos import faces
from inference.photos.faces import (
    FaceBox,
    HaarFinder,
    YuNetFinder,
    crop,
    distinct,
    face_crops,
    finder,
    grey,
    is_ready,
    search,
    whole,
)
from inference.photos.pictures import read_picture
from inference.photos.yunet import YuNet

BACKGROUND = 150


class NoFinder:
    """For policies that must not search."""

    margin = 0.0

    def find(self, pixels: NDArray[np.uint8]) -> list[FaceBox]:
        raise AssertionError("searched")


def photo(
    size: tuple[int, int], *placed: tuple[NDArray[np.uint8], int, int, int], background: int = BACKGROUND
) -> NDArray[np.uint8]:
    """Return a picture of (height, width), RGB, with faces enlarged and put at (face, x, y, side)."""
    canvas = np.full(size, background, np.uint8)
    for face, x, y, side in placed:
        canvas[y : y + side, x : x + side] = cv2.resize(face, (side, side), interpolation=cv2.INTER_CUBIC)
    return np.repeat(canvas[:, :, None], 3, axis=2)


@pytest.fixture(scope="module")
def haar() -> HaarFinder:
    return HaarFinder()


@pytest.fixture(scope="module")
def yunet() -> YuNetFinder:
    return YuNetFinder(yunet_path())


def yunet_path() -> Path:
    named = os.environ.get(faces.YUNET_VARIABLE)
    shared = Path(__file__).resolve().parents[2] / "shared" / "data"
    for path in [Path(named)] if named else sorted(shared.glob("face_detection_yunet*.onnx")):
        return path
    pytest.skip(f"no YuNet model: {faces.YUNET_VARIABLE} names none, and there is none in {shared}")


@pytest.fixture(scope="module")
def found_faces(haar: HaarFinder) -> list[NDArray[np.uint8]]:
    """Drawn faces that look enough like faces to the cascade; about three in four do."""
    drawn = draw(42, seed=1).pixels
    seen = [face for face in drawn if len(haar.find(photo((400, 400), (face, 100, 100, 200)))) == 1]
    assert len(seen) >= 15
    return seen


def near(box: FaceBox, x: int, y: int, side: int) -> bool:
    """Whether a box is about the square at (x, y)."""
    middle = (box.x + box.width / 2 - x - side / 2, box.y + box.height / 2 - y - side / 2)
    return max(map(abs, middle)) < 0.25 * side and 0.6 * side < max(box.width, box.height) < 1.4 * side


# --- finding


def test_haar_finds_faces_largest_first(haar: HaarFinder, found_faces: list[NDArray[np.uint8]]) -> None:
    first, second, third = found_faces[:3]
    picture = photo((480, 640), (first, 20, 20, 100), (second, 300, 100, 240), (third, 60, 250, 150))
    boxes = haar.find(picture)
    assert len(boxes) == 3
    assert near(boxes[0], 300, 100, 240)
    assert near(boxes[1], 60, 250, 150)
    assert near(boxes[2], 20, 20, 100)
    assert all(box.score is None for box in boxes)


@pytest.mark.parametrize("scale", [1, 2.5, 5])
def test_boxes_are_in_pixels_of_the_picture_whatever_its_size(
    scale: float, haar: HaarFinder, found_faces: list[NDArray[np.uint8]]
) -> None:
    x, y, side = (round(value * scale) for value in (120, 60, 160))
    picture = photo((round(400 * scale), round(600 * scale)), (found_faces[0], x, y, side))
    (box,) = haar.find(picture)
    assert near(box, x, y, side)


@pytest.mark.parametrize("kind", ["haar", "yunet"])
@pytest.mark.parametrize("width", [1280, 1281, 1300, 1396, 1600, 1706, 1707, 1920])
def test_boxes_are_where_faces_are_in_pictures_a_bit_large(
    width: int, kind: str, found_faces: list[NDArray[np.uint8]], request: pytest.FixtureRequest
) -> None:
    finder = request.getfixturevalue(kind)
    sure = [face for face in found_faces[:12] if finder.find(photo((900, 1280), (face, 700, 500, 300)))]
    assert len(sure) >= 6
    seen = [finder.find(photo((900, width), (face, 700, 500, 300))) for face in sure]
    assert sum(len(boxes) == 1 and near(boxes[0], 700, 500, 300) for boxes in seen) >= 0.8 * len(sure)


def test_a_plain_picture_has_no_faces(haar: HaarFinder) -> None:
    assert haar.find(photo((300, 400))) == []
    assert face_crops(photo((300, 400)), haar) == ()
    assert haar.find(photo((16, 16))) == haar.find(photo((16, 500))) == []


def test_one_haar_finder_serves_several_threads(haar: HaarFinder, found_faces: list[NDArray[np.uint8]]) -> None:
    pictures = [photo((200, 200), (face, 40, 40, 120)) for face in found_faces[:6]]
    expected = [haar.find(picture) for picture in pictures]
    wrong: list[int] = []

    def find_all() -> None:
        for number, picture in enumerate(pictures * 3):
            if haar.find(picture) != expected[number % len(pictures)]:
                wrong.append(number)

    threads = [threading.Thread(target=find_all) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_yunet_finds_faces_with_scores(yunet: YuNetFinder, found_faces: list[NDArray[np.uint8]]) -> None:
    seen = 0
    for face in found_faces[:12]:
        boxes = yunet.find(photo((800, 1000), (face, 500, 200, 400)))
        seen += len(boxes) == 1 and near(boxes[0], 500, 200, 400)
        assert all(box.score is not None and 0.7 <= box.score <= 1 for box in boxes)
    assert seen >= 6
    assert yunet.find(photo((300, 400))) == []


@pytest.mark.parametrize("least", [0.7, 0.03])
def test_yunet_answers_as_opencv_s_own_detector_does(least: float, found_faces: list[NDArray[np.uint8]]) -> None:
    network, seen = YuNet(yunet_path().read_bytes(), "yunet.onnx"), 0
    for number, face in enumerate(found_faces[:12]):
        height, width = 32 * (10 + number), 32 * (20 - number)
        other = (found_faces[number - 1], 20, height - 160, 60 + 8 * number)
        picture = photo((height, width), (face, width - 210, 10, 130 + 5 * number), other, background=10 * number)
        detector = cv2.FaceDetectorYN.create(str(yunet_path()), "", (width, height), score_threshold=least)
        _, detections = detector.detect(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        expected = np.empty((0, 5)) if detections is None else detections[:, [0, 1, 2, 3, 14]]
        assert network.detect(picture, least) == pytest.approx(expected, abs=0.01)
        seen += len(expected)
    assert seen >= 12


def test_a_yunet_that_names_one_size_of_picture_finds_the_same_in_every_size(
    yunet: YuNetFinder, found_faces: list[NDArray[np.uint8]], tmp_path: Path
) -> None:
    model = onnx.load(yunet_path())
    for side, dimension in zip((640, 640), model.graph.input[0].type.tensor_type.shape.dim[2:], strict=True):
        dimension.Clear()
        dimension.dim_value = side
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")
    fixed = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    assert [side.dim_value for side in fixed.graph.output[0].type.tensor_type.shape.dim] == [1, 6400, 1]
    assert len(fixed.graph.value_info) > 50
    onnx.save(fixed, tmp_path / "fixed.onnx")
    finder_of_one_size = YuNetFinder(tmp_path / "fixed.onnx")
    sides = range(300, 900, 99)
    pictures = [photo((side, side + 60), (found_faces[0], side // 4, side // 4, side // 2)) for side in sides]
    expected = [yunet.find(picture) for picture in pictures]
    assert [finder_of_one_size.find(picture) for picture in pictures] == expected
    assert any(expected)


def test_one_yunet_serves_several_threads(yunet: YuNetFinder, found_faces: list[NDArray[np.uint8]]) -> None:
    sides = range(300, 620, 40)
    pictures = [photo((side, side), (found_faces[0], side // 4, side // 4, side // 2)) for side in sides]
    alone = [YuNetFinder(yunet_path()).find(picture) for picture in pictures]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(yunet.find, [*pictures, *reversed(pictures)]))
    assert together == [*alone, *reversed(alone)]
    assert any(alone)


def test_without_a_model_the_finder_is_haar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(faces.YUNET_VARIABLE, raising=False)
    assert isinstance(finder(), HaarFinder)
    monkeypatch.setenv(faces.YUNET_VARIABLE, "")
    assert isinstance(finder(None), HaarFinder)


def test_a_model_is_taken_from_the_option_or_else_from_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = yunet_path()
    monkeypatch.setenv(faces.YUNET_VARIABLE, str(path))
    assert isinstance(finder(), YuNetFinder)
    monkeypatch.setenv(faces.YUNET_VARIABLE, "/missing/model.onnx")
    assert isinstance(finder(path), YuNetFinder)


def test_a_missing_model_is_refused_and_haar_does_not_stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(faces.YUNET_VARIABLE, "/missing/folder/model.onnx")
    with pytest.raises(InputError, match=r"the YuNet model model\.onnx cannot be read") as caught:
        finder()
    assert "/missing" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"text", b"\x08\x0a" * 500])
def test_a_file_that_is_no_yunet_model_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "other.onnx"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"other\.onnx is not a YuNet model"):
        finder(path)


def test_a_model_of_another_kind_is_refused(tiny_model: Path) -> None:
    with pytest.raises(InputError, match="is not a YuNet model"):
        finder(tiny_model)


def test_a_truncated_yunet_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "half.onnx"
    path.write_bytes(yunet_path().read_bytes()[:100_000])
    with pytest.raises(InputError, match="is not a YuNet model"):
        finder(path)


# --- boxes


def test_of_boxes_of_one_face_the_largest_stays() -> None:
    outer, inner, shifted = FaceBox(10, 10, 100, 100), FaceBox(30, 30, 40, 40), FaceBox(40, 20, 90, 90)
    other = FaceBox(200, 10, 50, 50)
    assert distinct([inner, other, shifted, outer]) == [outer, other]


boxes = st.builds(FaceBox, *[st.integers(-50, 300)] * 2, *[st.integers(1, 200)] * 2)


@given(st.lists(boxes, max_size=12))
def test_distinct_boxes_are_some_of_those_given_by_falling_area(given_boxes: list[FaceBox]) -> None:
    kept = distinct(given_boxes)
    areas = [box.width * box.height for box in kept]
    assert set(kept) <= set(given_boxes)
    assert areas == sorted(areas, reverse=True)
    assert bool(kept) == bool(given_boxes)
    assert distinct(kept) == kept


# --- crops


def test_grey_pictures_keep_their_values() -> None:
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    assert (grey(ramp) == ramp[:, :, 0]).all()


def test_grey_weighs_colours_as_bt_601_does() -> None:
    colours = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8)
    assert grey(colours).tolist() == [[76, 150, 29]]


def test_a_face_of_48_pixels_is_taken_as_it_is() -> None:
    face = draw(21, seed=2).pixels[3]
    (found,) = face_crops(photo((48, 48), (face, 0, 0, 48)), NoFinder())
    assert (found.pixels == face).all()
    assert found.box == FaceBox(0, 0, 48, 48)


@pytest.mark.parametrize("side", [16, 30, 64])
def test_small_grey_squares_are_faces_already(side: int) -> None:
    face = draw(21, seed=2).pixels[3]
    picture = photo((side, side), (face, 0, 0, side))
    (found,) = face_crops(picture, NoFinder())
    assert found.pixels.shape == (48, 48)
    assert found.pixels.dtype == np.uint8
    enlarged = cv2.resize(found.pixels, (48, 48)).astype(int)
    assert np.corrcoef(enlarged.ravel(), face.ravel().astype(int))[0, 1] > 0.85


def test_colour_larger_and_oblong_pictures_are_searched() -> None:
    coloured = photo((48, 48))
    # Beyond what a lossy format in colour makes of grey.
    coloured[0, 0] = (150, 150, 159)
    for picture in (coloured, photo((65, 65)), photo((48, 49)), photo((15, 15))):
        assert not is_ready(picture)
        with pytest.raises(AssertionError, match="searched"):
            face_crops(picture, NoFinder())


def test_whole_takes_all_of_the_picture_undistorted() -> None:
    picture = photo((100, 200), background=40)
    picture[:, 100:] = 200
    (found,) = face_crops(picture, NoFinder(), "whole")
    assert found.box == FaceBox(0, 0, 200, 100)
    assert (found.pixels[:, :24] == 40).all()
    assert (found.pixels[:, 24:] == 200).all()
    ball = cv2.circle(np.zeros((300, 100), np.uint8), (50, 150), 40, 255, -1)
    lit = whole(np.asarray(ball, np.uint8)) > 127
    assert lit.any(axis=0).sum() == lit.any(axis=1).sum() == pytest.approx(80 / 300 * 48, abs=1)


@pytest.mark.parametrize("size", [(16, 512), (28_000, 880), (16, 16), (48, 48), (47, 49), (1, 1)])
def test_whole_gives_48_pixels_for_every_shape(size: tuple[int, int]) -> None:
    assert whole(np.full(size, 7, np.uint8)).tolist() == np.full((48, 48), 7).tolist()


def test_a_crop_is_the_square_around_the_box_with_its_margin() -> None:
    plain = np.random.default_rng(0).integers(0, 256, (200, 200), np.uint8)
    assert (crop(plain, FaceBox(60, 70, 48, 48)) == plain[70:118, 60:108]).all()
    assert (crop(plain, FaceBox(64, 70, 40, 48)) == plain[70:118, 60:108]).all()
    assert (crop(plain, FaceBox(64, 74, 40, 40), margin=0.1) == plain[70:118, 60:108]).all()
    assert (crop(plain, FaceBox(60, 70, 96, 96)) == cv2.resize(plain[70:166, 60:156], (48, 48), interpolation=3)).all()


def test_beyond_the_borders_their_pixels_are_repeated() -> None:
    plain = np.random.default_rng(0).integers(0, 256, (100, 100), np.uint8)
    corner = crop(plain, FaceBox(-24, -24, 48, 48))
    assert (corner[24:, 24:] == plain[:24, :24]).all()
    assert (corner[:24, :24] == plain[0, 0]).all()
    assert (corner[:24, 24:] == plain[0, :24]).all()
    assert (crop(plain, FaceBox(76, 80, 48, 48))[:20, 24:] == plain[80:, 99:]).all()


@given(boxes, st.floats(0, 0.5))
@settings(max_examples=100)
def test_any_box_gives_48_grey_pixels(box: FaceBox, margin: float) -> None:
    cut = crop(np.full((60, 90), 9, np.uint8), box, margin)
    assert cut.shape == (48, 48)
    assert cut.dtype == np.uint8
    assert (cut == 9).all()


def test_a_face_gives_the_same_crop_in_a_small_and_in_a_large_photograph(
    haar: HaarFinder, found_faces: list[NDArray[np.uint8]]
) -> None:
    likenesses = []
    for face in found_faces[:9]:
        (small,) = face_crops(photo((480, 640), (face, 200, 100, 192)), haar)
        (large,) = face_crops(photo((1920, 2560), (face, 800, 400, 768)), haar)
        likenesses.append(np.corrcoef(small.pixels.ravel(), large.pixels.ravel())[0, 1])
    assert np.median(likenesses) > 0.95


@pytest.mark.parametrize("form", ["JPEG", "WEBP"])
def test_a_crop_that_was_saved_in_colour_with_losses_is_a_crop(drawn: FaceSet, form: str) -> None:
    for pixels in drawn.pixels[:20]:
        content = io.BytesIO()
        Image.fromarray(np.stack([pixels] * 3, axis=-1)).save(content, form, quality=30)
        assert is_ready(read_picture(content.getvalue()).pixels)


def test_a_small_square_in_colour_is_searched() -> None:
    pixels = np.full((48, 48, 3), 120, np.uint8)
    pixels[10:20, 10:20] = (200, 150, 120)
    assert not is_ready(pixels)


@pytest.mark.parametrize("kind", ["haar", "yunet"])
def test_a_face_of_100_pixels_is_found_in_twelve_megapixels(
    kind: str, found_faces: list[NDArray[np.uint8]], request: pytest.FixtureRequest
) -> None:
    finder = request.getfixturevalue(kind)
    sure = [face for face in found_faces[:12] if finder.find(photo((480, 640), (face, 250, 200, 100)))]
    assert len(sure) >= 6
    boxes = [finder.find(photo((3000, 4000), (face, 2700, 1600, 100))) for face in sure]
    assert sum(len(seen) == 1 and near(seen[0], 2700, 1600, 100) for seen in boxes) >= 0.9 * len(sure)


@given(st.integers(1, 12_000), st.integers(16, 500))
def test_tiles_cover_a_side_and_overlap(side: int, overlap: int) -> None:
    starts, length = faces.tiles(side, overlap)
    assert starts[0] == 0
    assert starts[-1] + length == side
    assert length <= faces.TILE_SIDE
    # A face of `overlap` pixels lies whole in a tile, wherever it is.
    assert all(after - before <= length - overlap for before, after in pairwise(starts))


def test_only_large_pictures_are_searched_a_second_time() -> None:
    asked: list[tuple[int, ...]] = []

    def detect(copy: NDArray[np.uint8], smallest: int, largest: int) -> list[FaceBox]:
        asked.append(copy.shape)
        return []

    for height, width in ((720, 1280), (1440, 2560)):
        search(np.zeros((height, width), np.uint8), HaarFinder.fine, detect, detect)
    assert asked == [(360, 640), (360, 640), (660, 1173)]


def test_what_is_only_suspected_is_no_face_until_it_is_seen_again() -> None:
    suspected, picture = FaceBox(400, 300, 30, 30), np.zeros((3000, 4000), np.uint8)
    seen = search(picture, HaarFinder.fine, lambda *_: [], lambda *_: [suspected])
    assert seen == []
    middle = FaceBox(53, 53, 53, 53)
    seen = search(
        picture,
        HaarFinder.fine,
        lambda copy, *_: [middle] if copy.shape == (160, 160) else [],
        lambda *_: [suspected],
    )
    assert len(seen) == 1
    factor = faces.LOOKED_FOR / HaarFinder.fine.face
    assert near(seen[0], round(400 * factor), round(300 * factor), round(30 * factor))


def test_a_face_of_the_small_copy_is_none_unless_both_second_looks_see_it() -> None:
    picture, found = np.zeros((3000, 4000), np.uint8), FaceBox(200, 200, 64, 64)

    def faces_seen_in(sizes: tuple[int, ...]) -> list[FaceBox]:
        def detect(copy: NDArray[np.uint8], *_: int) -> list[FaceBox]:
            third = copy.shape[0] // 3
            if copy.shape == (480, 640):
                return [found]
            return [FaceBox(third, third, third, third)] if copy.shape[0] in sizes else []

        return search(picture, HaarFinder.fine, detect, lambda *_: [])

    assert [faces_seen_in(sizes) for sizes in ((), (160,), (180,))] == [[], [], []]
    assert faces_seen_in((160, 180)) == [FaceBox(1250, 1250, 400, 400)]
