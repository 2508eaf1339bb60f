"""The page without a server in Chromium: a site that is served as any host would, and pictures given to its page."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from demo.examples import face, toned
from inference.benchmark.chromium import FLAGS as BROWSER_FLAGS

# The camera is Chromium's own test picture, or a file.
FLAGS = (*BROWSER_FLAGS, "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream")
SIZES = ((640, 480), (1280, 720), (700, 900), (500, 333), (900, 1600), (320, 240))
FACES = 40  # Different ones that are drawn.
ORIENTATION = 274  # The tag of EXIF.
ANSWERED = "#photo-answer .fx-head, #photo-answer .fx-notice"


# The same server with the headers that isolate a page from those of other origins.
ISOLATING = """
import functools, http.server, sys
class Handler(http.server.SimpleHTTPRequestHandler):
    def end_headers(self):
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=sys.argv[1]))
print("port", server.server_port)
server.serve_forever()
"""


@contextmanager
def served(folder: Path, *, isolated: bool = False) -> Iterator[str]:
    """Serve a folder as `python -m http.server` does, on a free port of this machine; yield its address."""
    plain = ["-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", str(folder)]
    command = [sys.executable, "-u", *(["-c", ISOLATING, str(folder)] if isolated else plain)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        port = re.search(r"port (\d+)", process.stdout.readline())
        assert port is not None
        yield f"http://127.0.0.1:{port[1]}"
    finally:
        process.terminate()
        process.communicate(timeout=30)


def answer(page: Any, picture: Path) -> list[dict[str, Any]] | str:
    """Give a picture to the page; return what its link to JSON saves, or the sentence that it shows instead."""
    page.evaluate("document.querySelector('#photo-answer').replaceChildren()")
    page.set_input_files("#photo-file", picture)
    page.wait_for_selector(ANSWERED)
    link = page.query_selector('#photo-answer a[download="faces.json"]')
    if link is None:
        return str(page.inner_text("#photo-answer"))
    records: list[dict[str, Any]] = json.loads(unquote(link.get_attribute("href").partition(",")[2]))
    return records


def draw_pictures(folder: Path, count: int) -> list[Path]:
    """Draw pictures of 1 to 6 faces, PNG and JPEG in turn: colour or grey, some transparent, some turned by EXIF."""
    folder.mkdir(parents=True, exist_ok=True)
    return [_draw(folder, number) for number in range(count)]


def _draw(folder: Path, number: int) -> Path:
    rng = np.random.default_rng((11, number))
    width, height = SIZES[number % len(SIZES)]
    scene = _scene(rng, width, height, faces=1 + number % 6)
    image = Image.fromarray(scene if number % 5 == 4 else toned(scene))
    exif = Image.Exif()
    if number % 3 == 2:
        exif[ORIENTATION] = 2 + number % 7
        image = image.transpose(_STORED[exif[ORIENTATION]])
    if number % 2:
        path = folder / f"{number:03d}.jpg"
        image.save(path, quality=80 + number % 15, exif=exif)
        return path
    if number % 4 == 2:
        image = image.convert("RGBA")
        image.putalpha(
            Image.fromarray(
                np.linspace(160, 255, image.height * image.width).reshape(image.height, -1).astype(np.uint8)
            )
        )
    path = folder / f"{number:03d}.png"
    image.save(path, exif=exif)
    return path


# How pixels lie in a file that says it has an orientation: the inverse of what makes it upright.
_STORED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def _scene(rng: np.random.Generator, width: int, height: int, faces: int) -> NDArray[np.uint8]:
    """Draw faces in places of their own on a soft background: uint8[height, width]."""
    noise = rng.integers(120, 230, (height // 60 + 2, width // 60 + 2)).astype(np.uint8)
    scene = np.array(cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)
    columns = min(faces, 3 if width > height else 2)
    rows = -(-faces // columns)
    cell = min(width // columns, height // rows)
    for index in range(faces):
        side = int(rng.integers(max(60, 2 * cell // 3), max(61, cell)))
        left = index % columns * (width // columns) + int(rng.integers(0, width // columns - side + 1))
        top = index // columns * (height // rows) + int(rng.integers(0, height // rows - side + 1))
        scene[top : top + side, left : left + side] = face(int(rng.integers(0, FACES)), side)
    return scene
