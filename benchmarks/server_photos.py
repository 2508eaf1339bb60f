"""Photos by the server beside photos by `predict`: `python -m benchmarks.server_photos MODEL.onnx [--yunet FILE]`.

Photos of 1280 x 720 with one drawn face each, as JPEG. In every round, which begins with the one and with the other in
turn, clients post them all to `/v1/faces`, each over one connection, and `predict_files`, which `ferox predict` prints
the answers of, reads them all in this process. Both have started, and have read some, before.
"""

import argparse
import http.client
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

import cv2
import numpy as np

from benchmarks.server_load import served
from benchmarks.serving import draw_photo
from data.commands import run_command
from data.errors import InputError
from inference.engine import Engine
from inference.photos.faces import finder
from inference.photos.reading import predict_files

OK = 200
WAIT = 2.0  # Milliseconds that faces wait for others, as by default.
NOISE = 4.0  # Grey levels: a photo without any is decoded in half of the time.


def main() -> int:
    """Print the photos a second of both, and the ratios by round."""
    args = _parser().parse_args()
    engine, search = Engine.load(args.model, provider="cpu"), finder(args.yunet)
    yunet = ("--yunet", str(args.yunet)) if args.yunet else ()
    with tempfile.TemporaryDirectory(prefix="ferox-benchmark-") as folder:
        photos = noisy_photos(Path(folder), args.photos)
        contents = [photo.read_bytes() for photo in photos]
        with served(args.model, WAIT, *yunet) as address:
            ways: dict[str, Callable[[], object]] = {
                "served": lambda: _posted(address, args.model.stem, contents, args.clients),
                "predict": lambda: list(predict_files(engine, photos, search, "auto", keep_errors=False)),
            }
            seconds = in_turns(ways, args.rounds)
    for name, values in seconds.items():
        rates = [len(photos) / each for each in values]
        print(f"{name}: {median(rates):.1f} photos/s ({min(rates):.1f} to {max(rates):.1f})")
    ratios = [theirs / own for own, theirs in zip(seconds["served"], seconds["predict"], strict=True)]
    print(f"served / predict: {', '.join(f'{ratio:.2f}' for ratio in ratios)}; median {median(ratios):.2f}")
    return 0


def in_turns(ways: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Return the seconds that each way takes, round by round, after a first time that is not counted."""
    for way in ways.values():
        way()
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds):
        for name in sorted(ways, reverse=number % 2 == 1):
            began = time.perf_counter()
            ways[name]()
            seconds[name].append(time.perf_counter() - began)
    return seconds


def noisy_photos(folder: Path, count: int) -> list[Path]:
    """Draw so many photos into a folder, each with a noise of its own."""
    plain = cv2.imread(str(draw_photo(folder / "photo.png")))
    if plain is None:
        raise InputError(f"{folder} does not keep pictures; set TMPDIR to another folder")
    paths = []
    for seed in range(count):
        noise = np.random.default_rng(seed).normal(0, NOISE, plain.shape)
        paths.append(folder / f"{seed:05}.jpg")
        cv2.imwrite(str(paths[-1]), (plain + noise).clip(0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 90])
    return paths


def _posted(address: str, model: str, contents: Sequence[bytes], clients: int) -> None:
    with ThreadPoolExecutor(clients) as pool:
        for each in [pool.submit(_client, address, model, contents[start::clients]) for start in range(clients)]:
            each.result()


def _client(address: str, model: str, contents: Sequence[bytes]) -> None:
    connection = http.client.HTTPConnection(urlsplit(address).netloc)
    for content in contents:
        connection.request("POST", f"/v1/faces?model={model}", content, {"Content-Type": "image/jpeg"})
        answer = connection.getresponse()
        if answer.status != OK:
            raise InputError(f"the server answers {answer.status}: {answer.read()[:200]!r}, expected faces")
        answer.read()
    connection.close()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.server_photos", description=__doc__, allow_abbrev=False)
    parser.add_argument("model", type=Path)
    parser.add_argument("--yunet", type=Path, help="YuNet's model file (default: FEROX_YUNET, else Haar)")
    parser.add_argument("--photos", type=int, default=400, help="default: %(default)s")
    parser.add_argument("--clients", type=int, default=4, help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=5, help="default: %(default)s")
    return parser


if __name__ == "__main__":
    run_command(main)
