"""Faces for when there are none at hand: drawn from geometry, in FER2013's own form and proportions."""

import csv
import hashlib
import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data.drawing.expressions import sample_expression
from data.drawing.portrait import draw_portrait
from data.errors import InputError
from data.faceset import LABELS, SIDE, USAGES, FaceSet, face_set
from data.files import whole_file

CLASS_COUNTS = (4953, 547, 5121, 8989, 6077, 4002, 6198)  # FER2013's, in the order of LABELS,
USAGE_COUNTS = (28709, 3589, 3589)  # and in the order of USAGES.
LEAST_OF_A_CLASS = len(USAGES)
LEAST_COUNT = LEAST_OF_A_CLASS * len(LABELS)
BYTE_TEXT = tuple(map(str, range(256)))


def draw(count: int, seed: int) -> FaceSet:
    """Draw `count` faces in FER2013's class and Usage proportions, the same ones for the same arguments.

    Every class is in every Usage. Each face has its own random stream, from the seed and its place.

    Raises:
        InputError: `count` is under 21 (one face of each class in each Usage), or `seed` is negative.
    """
    if count < LEAST_COUNT:
        raise InputError(
            f"cannot draw {count} faces: each of the {len(LABELS)} classes needs one in each of the "
            f"{len(USAGES)} Usages; ask for {LEAST_COUNT} or more"
        )
    if seed < 0:
        raise InputError(f"cannot draw with seed {seed}: a whole number from 0 up is needed; give one")
    sizes = apportion(count, CLASS_COUNTS, LEAST_OF_A_CLASS)
    labels = np.repeat(np.arange(len(LABELS), dtype=np.uint8), sizes)
    usages = np.concatenate([_usages(size) for size in sizes.tolist()])
    pixels = np.empty((count, SIDE, SIDE), np.uint8)
    for index, label in enumerate(labels.tolist()):
        rng = np.random.default_rng((seed, index))
        pixels[index] = draw_portrait(sample_expression(label, rng), rng)
    return face_set(pixels, labels, usages, source=f"drawn-{count}-seed{seed}")


def _usages(size: int) -> NDArray[np.uint8]:
    return np.repeat(np.arange(len(USAGES), dtype=np.uint8), apportion(size, USAGE_COUNTS, 1))


def apportion(total: int, weights: tuple[int, ...], least: int) -> NDArray[np.int64]:
    """Split `total` in proportion to `weights` by largest remainder, then give each part at least `least`."""
    exact = total * np.array(weights) / sum(weights)
    parts = np.floor(exact).astype(np.int64)
    parts[np.argsort(parts - exact, kind="stable")[: total - parts.sum()]] += 1
    while parts.min() < least:
        parts[parts.argmin()] += 1
        parts[parts.argmax()] -= 1
    return parts


def recipe_digest() -> str:
    """The sha256, as 64 hex digits, over the program that draws: other drawings have another one."""
    sources = [Path(__file__), *sorted((Path(__file__).parent / "drawing").glob("*.py"))]
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()


def write_csv(faces: FaceSet, path: Path) -> None:
    """Write faces that have a Usage in the form of Kaggle's fer2013.csv, whole or not at all.

    Rows go by Usage, then by their place in the source.
    """
    records = faces.records[np.lexsort((faces.records["row"], faces.usages))]
    with whole_file(path) as whole, io.TextIOWrapper(whole, encoding="ascii", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(("emotion", "pixels", "Usage"))
        for record in records:
            pixels = " ".join([BYTE_TEXT[value] for value in record["pixels"].ravel().tolist()])
            table.writerow((record["label"], pixels, USAGES[record["usage"]]))
