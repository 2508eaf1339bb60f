"""Drawn faces stand in for FER2013 everywhere, so they have its form, its proportions and no accidents."""

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from data.draw import CLASS_COUNTS, LEAST_COUNT, USAGE_COUNTS, apportion, draw, recipe_digest, write_csv
from data.drawing.expressions import MANNERS
from data.errors import InputError
from data.faceset import LABELS, SIDE, USAGES, FaceSet, face_set
from data.sheet import EMPTY, TILE, contact_sheet, sheet_size

COUNT = 150


@pytest.fixture(scope="module")
def faces() -> FaceSet:
    return draw(COUNT, 3)


def test_same_count_and_seed_draw_the_same_faces(faces: FaceSet) -> None:
    again = draw(COUNT, 3)
    assert np.array_equal(again.records, faces.records)
    assert again.fingerprint == faces.fingerprint
    assert faces.source == f"drawn-{COUNT}-seed3"


def test_another_seed_draws_other_faces(faces: FaceSet) -> None:
    other = draw(COUNT, 4)
    assert not {bytes(face) for face in faces.pixels} & {bytes(face) for face in other.pixels}
    assert np.array_equal(np.bincount(other.labels), np.bincount(faces.labels))


def test_no_two_drawn_faces_are_alike_and_none_is_blank(faces: FaceSet) -> None:
    assert faces.pictures.max() + 1 == len(faces) == COUNT
    assert faces.pixels.shape == (COUNT, SIDE, SIDE)
    assert faces.pixels.dtype == np.uint8
    assert faces.pixels.std(axis=(1, 2)).min() > 4


def test_classes_stand_in_the_proportions_of_fer2013(faces: FaceSet) -> None:
    expected = COUNT * np.array(CLASS_COUNTS) / sum(CLASS_COUNTS)
    assert np.abs(np.bincount(faces.labels, minlength=7) - expected).max() < 1
    assert np.array_equal(apportion(35887, CLASS_COUNTS, 3), CLASS_COUNTS)


def test_usages_stand_in_the_proportions_of_fer2013_within_each_class(faces: FaceSet) -> None:
    for label in range(len(LABELS)):
        usages = faces.usages[faces.labels == label]
        counts = np.bincount(usages, minlength=len(USAGES))
        expected = len(usages) * np.array(USAGE_COUNTS) / sum(USAGE_COUNTS)
        assert counts.min() >= 1
        assert np.abs(counts - expected).max() < 2


def test_the_fewest_faces_are_one_of_each_class_in_each_usage() -> None:
    fewest = draw(LEAST_COUNT, 0)
    pairs = {(int(label), int(usage)) for label, usage in zip(fewest.labels, fewest.usages, strict=True)}
    assert len(fewest) == len(pairs) == len(LABELS) * len(USAGES)


@pytest.mark.parametrize("count", [LEAST_COUNT - 1, 0, -5])
def test_too_few_faces_are_refused(count: int) -> None:
    with pytest.raises(InputError, match=rf"cannot draw {count} faces.*ask for 21 or more"):
        draw(count, 0)


def test_negative_seed_is_refused() -> None:
    with pytest.raises(InputError, match="cannot draw with seed -1"):
        draw(LEAST_COUNT, -1)


@given(st.integers(LEAST_COUNT, 100_000))
def test_apportioned_parts_sum_to_the_total_and_none_is_below_the_least(total: int) -> None:
    parts = apportion(total, CLASS_COUNTS, 3)
    assert parts.sum() == total
    assert parts.min() >= 3


def test_every_label_has_its_own_manners() -> None:
    assert len(MANNERS) == len(LABELS)
    assert len({manner for manners in MANNERS for manner in manners}) == sum(map(len, MANNERS))


def test_recipe_digest_is_a_sha256() -> None:
    assert len(bytes.fromhex(recipe_digest())) == 32


def test_written_table_has_the_form_of_fer2013_and_holds_the_same_faces(faces: FaceSet, tmp_path: Path) -> None:
    path = tmp_path / "drawn.csv"
    write_csv(faces, path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["drawn.csv"]
    with path.open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["emotion", "pixels", "Usage"]
    pixels = np.array([row[1].split(" ") for row in rows]).astype(np.uint8).reshape(-1, SIDE, SIDE)
    labels = np.array([row[0] for row in rows]).astype(np.uint8)
    usages = np.array([USAGES.index(row[2]) for row in rows], np.uint8)
    assert (np.diff(usages.astype(int)) >= 0).all()
    read = face_set(pixels, labels, usages, source="drawn.csv")
    for column in ("pixels", "label", "usage"):
        assert np.array_equal(read.records[column], faces.records[column])


def test_contact_sheet_is_a_png_of_the_announced_size(faces: FaceSet, tmp_path: Path) -> None:
    path = tmp_path / "new" / "sheet.png"
    contact_sheet(faces, path, per_class=4, seed=1)
    with Image.open(path) as sheet:
        sheet.load()
        assert (sheet.format, sheet.size) == ("PNG", sheet_size(4))
    again = tmp_path / "again.png"
    contact_sheet(faces, again, per_class=4, seed=1)
    assert again.read_bytes() == path.read_bytes()


def test_contact_sheet_leaves_the_row_of_a_class_without_faces_empty(tmp_path: Path) -> None:
    happy = LABELS.index("happy")
    white = np.full((2, SIDE, SIDE), 255, np.uint8)
    contact_sheet(
        face_set(white, np.full(2, happy, np.uint8), source="a name too long for the sheet " * 9),
        tmp_path / "sheet.png",
        per_class=2,
    )
    with Image.open(tmp_path / "sheet.png") as sheet:
        colours = np.asarray(sheet)
    empty = tuple(bytes.fromhex(EMPTY[1:]))
    assert (colours == 255).all(axis=2).sum() == 2 * TILE**2
    assert (colours == empty).all(axis=2).sum() == 2 * TILE**2 * (len(LABELS) - 1)
