"""What `ferox predict --decode-side` costs and saves: `python -m benchmarks.reduced_decoding --data fer2013.csv`.

Each picture is a JPEG of 4000 x 3000 with one face of the validation part before a drawn background. It is read as it
is, and with each of the sides asked for, in turns; told are the time from file to answer, the faces found and the boxes
without a face, and of faces found either way how far their boxes and probabilities move, and how many labels differ.
"""

import argparse
import io
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from data.commands import run_command
from data.load import load
from data.splits import SplitPlan, split
from inference.catalogue import DEFAULT, find_model
from inference.engine import Engine
from inference.photos.faces import FaceBox, Finder, finder
from inference.photos.pictures import read_picture
from inference.photos.reading import FacePrediction, predict_picture

WIDTH, HEIGHT = 4000, 3000
SIDES = (100, 150, 250, 500, 1000)  # Pixels of a face.
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Scene:
    """A picture as a JPEG, and where its one face is, in pixels."""

    jpeg: bytes
    face: FaceBox


@dataclass(frozen=True)
class Reading:
    """What was told of a scene: its face where it was found, the number of other boxes, and seconds to the answer."""

    face: FacePrediction | None
    others: int
    seconds: float


def main() -> int:
    """Print a line for each decode side and each size of face; return 0."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True, help="faces: fer2013.csv, image folder or archive")
    parser.add_argument("--model", type=Path, default=Path(DEFAULT))
    parser.add_argument("--yunet", type=Path)
    parser.add_argument("--pictures", type=int, default=100)
    parser.add_argument("--decode-sides", type=int, nargs="+", default=[2000, 1280, 640])
    args = parser.parse_args()
    engine, search = Engine.load(find_model(args.model)), finder(args.yunet)
    readings: dict[int | None, list[Reading]] = defaultdict(list)
    sizes = []
    for scene in scenes(args.data, args.pictures):
        sizes.append(scene.face.width)
        for side in (None, *args.decode_sides):
            readings[side].append(_read(engine, search, scene, side))
    exact = readings.pop(None)
    print(f"as it is: {_summary(exact, sizes)}")
    for side, told in readings.items():
        print(f"--decode-side {side}: {_summary(told, sizes)}, {_moved(told, exact)}")
    return 0


def scenes(data: Path, count: int) -> Iterator[Scene]:
    """Yield pictures, each with another face of the validation part."""
    faces = load(data)
    chosen = np.random.default_rng(0).permutation(split(faces, SplitPlan()).validation)[:count]
    for number, index in enumerate(chosen):
        rng = np.random.default_rng(number)
        pixels, side = background(rng), SIDES[number % len(SIDES)]
        left, top = int(rng.integers(0, WIDTH - side)), int(rng.integers(0, HEIGHT - side))
        face = cv2.resize(faces.pixels[index], (side, side), interpolation=cv2.INTER_CUBIC)
        pixels[top : top + side, left : left + side] = face[:, :, None]
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=90)
        yield Scene(file.getvalue(), FaceBox(left, top, side, side))


def background(rng: np.random.Generator) -> Pixels:
    """Return uint8[HEIGHT, WIDTH, 3]: a soft ground with shapes on it, and noise."""
    ground = rng.integers(60, 200, (9, 12, 3)).astype(np.uint8)
    canvas = np.asarray(cv2.resize(ground, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC), np.uint8)
    for _ in range(60):
        colour = tuple(map(int, rng.integers(0, 255, 3)))
        x, y, size = int(rng.integers(0, WIDTH)), int(rng.integers(0, HEIGHT)), int(rng.integers(8, WIDTH // 8))
        match int(rng.integers(0, 3)):
            case 0:
                cv2.rectangle(canvas, (x, y), (x + size, y + size // 2), colour, -1)
            case 1:
                cv2.circle(canvas, (x, y), size // 2, colour, -1)
            case _:
                cv2.line(canvas, (x, y), (x + size, y + size), colour, 3)
    noise = cv2.resize(rng.normal(0, 4, (HEIGHT // 4, WIDTH // 4)).astype(np.float32), (WIDTH, HEIGHT))
    return np.asarray(np.clip(canvas + noise[:, :, None], 0, 255), np.uint8)


def _read(engine: Engine, search: Finder, scene: Scene, side: int | None) -> Reading:
    begun = time.perf_counter()
    told = predict_picture(engine, read_picture(scene.jpeg, decode_side=side), search, "auto")
    seconds = time.perf_counter() - begun
    hits = [face for face in told.faces if _is_it(face.box, scene.face)]
    return Reading(hits[0] if hits else None, len(told.faces) - len(hits), seconds)


def _is_it(box: FaceBox, face: FaceBox) -> bool:
    x, y = box.x + (box.width - face.width) / 2 - face.x, box.y + (box.height - face.height) / 2 - face.y
    near = abs(x) < 0.35 * face.width and abs(y) < 0.4 * face.height
    return near and 0.4 * face.width < max(box.width, box.height) < 1.8 * face.width


def _summary(told: list[Reading], sizes: list[int]) -> str:
    found = ", ".join(
        f"{sum(one.face is not None for one, size in zip(told, sizes, strict=True) if size == each)} of "
        f"{sizes.count(each)} of {each} px"
        for each in SIDES
    )
    others, milliseconds = sum(one.others for one in told), 1000 * np.median([one.seconds for one in told])
    return f"median {milliseconds:.0f} ms; found {found}; {others} boxes without a face"


def _moved(told: list[Reading], exact: list[Reading]) -> str:
    pairs = [(a.face, b.face) for a, b in zip(told, exact, strict=True) if a.face and b.face]
    if not pairs:
        return "no face found both ways"
    moved = [max(abs(a.box.x - b.box.x), abs(a.box.y - b.box.y)) / b.box.width for a, b in pairs]
    grown = [abs(a.box.width - b.box.width) / b.box.width for a, b in pairs]
    differ = [float(np.abs(a.probabilities - b.probabilities).max()) for a, b in pairs]
    labels = sum(a.guess != b.guess for a, b in pairs)
    return (
        f"of {len(pairs)} found both ways {labels} other labels; boxes moved by {np.median(moved):.1%} of their side "
        f"(p99 {np.percentile(moved, 99):.1%}), width by {np.median(grown):.1%} ({np.percentile(grown, 99):.1%}); "
        f"largest difference of a probability {np.median(differ):.3f} ({np.percentile(differ, 99):.3f})"
    )


if __name__ == "__main__":
    run_command(main)
