"""The page under load: `python -m benchmarks.serving MODEL.onnx --yunet FILE`.

Three questions. How long from a decoded photo to its answer, detection included, with each face finder (they take
turns)? What do many clients at once get: an answer, a refusal, or nothing? Does the server's memory grow over many
requests? The photo is drawn: 1280 x 720, one face.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from gradio_client.utils import QueueError
from PIL import Image

from data.commands import run_command
from demo.examples import face, toned
from inference.engine import Engine
from inference.photos.faces import finder
from inference.photos.pictures import read_picture
from inference.photos.reading import predict_picture

WARM_UP = 10
# By then every pool and cache is filled.
SETTLED = 300


def main() -> int:
    """Answer the three questions on stdout."""
    args = _parser().parse_args()
    with tempfile.TemporaryDirectory(prefix="ferox-serving-") as folder:
        photo = draw_photo(Path(folder) / "photo.png")
        _time_answers(args.model, photo, args.yunet, args.runs)
        models = Path(folder) / "models"
        models.mkdir()
        shutil.copy(args.model, models)
        with _served(models) as (address, process):
            _crowd(address, photo, args.clients)
            _memory(address, photo, args.requests, process)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=__doc__, allow_abbrev=False)
    parser.add_argument("model", type=Path, help="an exported .onnx")
    parser.add_argument("--yunet", type=Path, help="YuNet's model file, to time it beside Haar")
    parser.add_argument("--runs", type=int, default=200, help="timed answers with each finder")
    parser.add_argument("--clients", type=int, default=32, help="clients at once")
    parser.add_argument("--requests", type=int, default=2000, help="requests over which memory is watched")
    return parser


def draw_photo(path: Path) -> Path:
    """Draw a photo of 1280 x 720 pixels with one face into `path`."""
    canvas = np.full((720, 1280), 205, np.uint8)
    canvas[120:600, 400:880] = face(17, 480)
    Image.fromarray(toned(np.asarray(cv2.GaussianBlur(canvas, (0, 0), 1), np.uint8))).save(path)
    return path


def _time_answers(model: Path, photo: Path, yunet: Path | None, runs: int) -> None:
    engine, picture = Engine.load(model, provider="cpu"), read_picture(photo)
    finders = {"Haar": finder(None)} | ({"YuNet": finder(yunet)} if yunet else {})
    taken: dict[str, list[float]] = {name: [] for name in finders}
    for _ in range(WARM_UP + runs):
        for name, search in finders.items():
            began = time.perf_counter()
            found = predict_picture(engine, picture, search, "auto")
            taken[name].append(1000 * (time.perf_counter() - began))
            if len(found.faces) != 1:
                print(f"{name} finds {len(found.faces)} faces in the photo, expected 1", file=sys.stderr)
    for name, times in taken.items():
        p50, p95, p99 = np.percentile(times[WARM_UP:], [50, 95, 99])
        print(f"photo to answer with {name}: p50 {p50:.1f} ms, p95 {p95:.1f} ms, p99 {p99:.1f} ms, {runs} runs")


@contextmanager
def _served(models: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The page's address and process, on any free port."""
    options = ["--models", str(models), "--runs", str(models / "runs"), "--reports", str(models / "reports")]
    process = subprocess.Popen([sys.executable, "-m", "demo", *options], stdout=subprocess.PIPE, text=True)
    try:
        yield _address(process), process
    finally:
        process.terminate()
        process.wait()


def _address(process: subprocess.Popen[str]) -> str:
    for line in process.stdout or ():
        if found := re.search(r"http://\S+", line):
            return found.group()
    raise RuntimeError("the page ended before it said its address")


def _crowd(address: str, photo: Path, count: int) -> None:
    clients = [Client(address, verbose=False) for _ in range(count)]

    def ask(client: Client) -> tuple[str, float]:
        began = time.perf_counter()
        try:
            answer = client.predict(handle_file(photo), api_name="/predict")
            said = "answered" if answer["faces"] else "answered without a face"
        except (AppError, QueueError) as error:
            said = f"refused: {error}"
        return said, time.perf_counter() - began

    with ThreadPoolExecutor(count) as pool:
        replies = list(pool.map(ask, clients))
    slowest = max(seconds for _, seconds in replies)
    print(f"{count} clients at once, the last one served after {slowest:.2f} s:")
    for said, number in Counter(said for said, _ in replies).most_common():
        print(f"  {number:3} {said}")


def _memory(address: str, photo: Path, requests: int, process: subprocess.Popen[str]) -> None:
    client, before, began = Client(address, verbose=False), 0.0, time.perf_counter()
    for number in range(SETTLED + requests):
        if number == SETTLED:
            before = _resident(process.pid)
            began = time.perf_counter()
        client.predict(handle_file(photo), api_name="/predict")
    after, seconds = _resident(process.pid), time.perf_counter() - began
    print(
        f"memory over {requests} requests ({requests / seconds:.1f} a second), after the first {SETTLED}: "
        f"{before:.0f} MB to {after:.0f} MB ({after / before - 1:+.1%})"
    )


def _resident(pid: int) -> float:
    (line,) = re.findall(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(line) / 1000


if __name__ == "__main__":
    run_command(main)
