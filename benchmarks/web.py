"""The page without a server beside Python: `python -m benchmarks.web MODEL.onnx...`.

Are they equal? Drawn pictures are read by both, and Python's own crops are given to the page. How large is a first
visit, how long until the page can be used, until a photo is answered, and how many frames of a camera are read?
"""

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import sync_playwright

from benchmarks.site_page import FLAGS, answer, draw_pictures, served
from data.commands import run_command
from data.errors import InputError
from demo.examples import draw_examples, face, toned
from demo.web.site import write_site
from inference.engine import Engine
from inference.photos.faces import HaarFinder
from inference.photos.pictures import read_picture
from inference.photos.reading import FacePrediction, predict_picture

NEAR_TIE = 0.02  # A label may differ where Python's own lead of first over second is below.
CAMERA_SECONDS = 6


def main() -> int:
    """Answer the questions on stdout."""
    args = _parser().parse_args()
    with tempfile.TemporaryDirectory(prefix="ferox-web-") as folder:
        site = Path(folder) / "site"
        write_site(site, args.models)
        _sizes(site, args.models[0])
        pictures = draw_pictures(Path(folder) / "pictures", args.pictures)
        with served(Path(folder)) as address, sync_playwright() as driver:
            camera = camera_file(Path(folder) / "camera.mjpeg")
            flags = [*FLAGS, f"--use-file-for-fake-video-capture={camera}"]
            browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
            page = browser.new_context(permissions=["camera"]).new_page()
            began = time.perf_counter()
            page.goto(f"{address}/site/")
            page.wait_for_selector("html[data-ready]")
            print(f"usable after {time.perf_counter() - began:.2f} s")
            for model in args.models:
                _choose(page, model)
                _equality(page, Engine.load(model, provider="cpu"), pictures, Path(folder))
            _choose(page, args.models[0])
            _speed(page, Path(folder))
            browser.close()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.web", description=__doc__, allow_abbrev=False)
    parser.add_argument("models", nargs="+", type=Path, help="exported .onnx files")
    parser.add_argument("--pictures", type=int, default=100, help="drawn pictures (default: 100)")
    return parser


def _sizes(site: Path, model: Path) -> None:
    """Print the bytes of a first visit with the first model alone: plain, and by the copies for each coding."""
    sizes = {"plain": 0, "gzip": 0, "brotli": 0}
    for path in site.rglob("*"):
        if path.is_dir() or path.suffix in (".gz", ".br") or (path.suffix == ".onnx" and path.name != model.name):
            continue
        coded = {coding: path.with_name(path.name + ending) for coding, ending in (("gzip", ".gz"), ("brotli", ".br"))}
        plain = path.stat().st_size
        gzipped = coded["gzip"].stat().st_size if coded["gzip"].exists() else plain
        sizes["plain"] += plain
        sizes["gzip"] += gzipped
        sizes["brotli"] += coded["brotli"].stat().st_size if coded["brotli"].exists() else gzipped
    print("first visit: " + ", ".join(f"{size / 1e6:.2f} MB {coding}" for coding, size in sizes.items()))


@dataclass
class Tally:
    """What was compared: differences of probabilities, of box sides in pixels, and of labels."""

    differences: list[float] = field(default_factory=list)
    sides: list[int] = field(default_factory=list)
    labels: int = 0
    ties: int = 0
    missed: int = 0

    def add(self, here: FacePrediction, there: dict[str, Any]) -> None:
        """Compare a face of Python's with the page's."""
        shares = np.array(list(there["probabilities"].values()))
        self.differences.append(float(np.abs(shares - here.probabilities).max()))
        box = there["box"]
        sides = [(here.box.x, "x"), (here.box.y, "y"), (here.box.width, "width"), (here.box.height, "height")]
        self.sides.append(max(abs(side - box[name]) for side, name in sides))
        if here.label != there["label"]:
            (_, first), (_, second), *_ = here.ranking
            self.ties += first - second < NEAR_TIE
            self.labels += 1

    def print(self, name: str) -> None:
        """Print what came of it."""
        found = np.array(self.differences)
        median, high = np.quantile(found, (0.5, 0.99))
        print(
            f"  {name}: {len(found)} faces, {self.missed} pictures with another count; largest difference of a box "
            f"{max(self.sides)} px; other labels {self.labels}, {self.ties} of them near ties; difference of "
            f"probabilities: median {median:.2g}, p99 {high:.2g}, largest {found.max():.2g}"
        )


def _choose(page: Any, model: Path) -> None:
    """Choose a model; the page then reads the last picture again."""
    page.select_option("#model", model.stem)
    page.wait_for_selector("#photo-answer:not([aria-busy])")


def _equality(page: Any, engine: Engine, pictures: Sequence[Path], folder: Path) -> None:
    print(f"{engine.path.stem}, {len(pictures)} pictures")
    finder, tallies, crops = HaarFinder(), {".png": Tally(), ".jpg": Tally()}, []
    for picture in pictures:
        faces = predict_picture(engine, read_picture(picture), finder, "auto").faces
        crops += [seen.crop for seen in faces]
        found = page_faces(page, picture)
        tally = tallies[picture.suffix]
        if len(found) != len(faces):
            tally.missed += 1
            continue
        for here, there in zip(faces, found, strict=True):
            tally.add(here, there)
    for suffix, tally in tallies.items():
        tally.print(suffix[1:].upper())
    _given_crops(page, engine, crops, folder / "crop.png")


def page_faces(page: Any, picture: Path) -> list[dict[str, Any]]:
    """Return the faces that the page finds in a picture, with what the first of the chosen models says of them.

    Raises:
        InputError: the page refuses the picture.
    """
    records = answer(page, picture)
    if isinstance(records, list):
        faces: list[dict[str, Any]] = records[0]["faces"]
        return faces
    if not records.startswith("No face"):
        raise InputError(f"the page refuses {picture.name}: {records}")
    return []


def _given_crops(page: Any, engine: Engine, crops: Sequence[NDArray[np.uint8]], file: Path) -> None:
    worst = []
    for crop, expected in zip(crops, engine.predict(np.stack(crops)), strict=True):
        Image.fromarray(crop).save(file)
        (seen,) = page_faces(page, file)
        worst.append(float(np.abs(np.array(list(seen["probabilities"].values())) - expected).max()))
    print(f"  Python's own {len(crops)} crops: largest difference of a probability {max(worst):.2g}")


def _speed(page: Any, folder: Path) -> None:
    group = next(path for path in draw_examples(folder / "examples") if path.name == "group.jpg")
    page_faces(page, group)
    said = [_milliseconds(page, lambda: page_faces(page, group)) for _ in range(15)]
    print(f"a photo of 1280 x 720, four faces: median {np.median(said):.0f} ms, least {min(said):.0f} ms")
    page.click("#tab-webcam")
    page.click("#webcam-start")
    page.wait_for_selector("#webcam-answer .fx-card")
    time.sleep(CAMERA_SECONDS)
    print(f"camera of 640 x 480: {page.inner_text('.fx-latency')}")


def _milliseconds(page: Any, read: Callable[[], object]) -> float:
    read()
    return float(page.inner_text("#photo-answer .fx-head > span").split(" · ")[1].split()[0])


def camera_file(path: Path) -> Path:
    """Draw a second of a camera, in which a face moves, as Motion JPEG."""
    with path.open("wb") as file:
        for step in range(30):
            frame = np.full((480, 640), 200, np.uint8)
            left = 200 + 2 * abs(step - 15)
            frame[100:380, left : left + 280] = face(5, 280, 200)
            Image.fromarray(toned(frame)).save(file, "JPEG", quality=92)
    return path


if __name__ == "__main__":
    run_command(main)
