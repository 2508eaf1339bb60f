"""One program that reads a photo, or a folder of them, in an environment of its own.

What runs in another environment than ours imports nothing of ferox but the conversation with whoever measures.
"""

import importlib.metadata
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from inference.benchmark.contender import serve, turn
from inference.benchmark.messages import Answer, Ready, Request, Turn

JOB = "ferox-predict"
# The version of a program, and what reads a photo's file and gives a label for each of its faces.
Reader = tuple[str, Callable[[Path], list[str]]]


def main() -> None:
    """Serve the program, the photo or the folder, the face finder's file (or nothing), and the threads."""
    program, place, yunet, threads = sys.argv[1:]
    serve(lambda: _begin(program, Path(place), Path(yunet) if yunet else None, int(threads)))


def _begin(
    program: str, place: Path, yunet: Path | None, threads: int
) -> tuple[Ready, Callable[[Request], Answer | Turn]]:
    import cv2

    cv2.setNumThreads(threads)
    if program == JOB:
        return _job(place)
    version, read = _ferox(yunet, threads) if program == "ferox" else OTHERS[program]()
    photos = sorted(place.iterdir()) if place.is_dir() else [place]
    found = read(photos[0])

    def work(request: Request) -> Turn:
        return turn(lambda: [read(photo) for photo in photos], request.seconds, warm_up=len(photos) == 1)

    remark = f"finds {len(found)} faces" if len(found) != 1 and len(photos) == 1 else ""
    return Ready(version=version, threads=cv2.getNumThreads(), remark=remark), work


def _job(photos: Path) -> tuple[Ready, Callable[[Request], Answer | Turn]]:
    """Read a folder by a command of its own, which shares it out to processes and writes a table."""

    def job() -> None:
        with tempfile.TemporaryDirectory(prefix="ferox-photos-") as folder:
            words = ("predict", str(photos), "--out", str(Path(folder) / "out"), "--format", "csv")
            subprocess.run([sys.executable, "-m", "ferox", *words], check=True, capture_output=True)

    def work(request: Request) -> Turn:
        # The memory of this process is not that of those that read.
        return replace(turn(job, request.seconds, warm_up=False), memory=None, busy=None)

    remark = "a process for each processor, started anew for each folder; writes a table"
    return Ready(version=importlib.metadata.version("ferox"), threads=None, remark=remark), work


def _ferox(yunet: Path | None, threads: int) -> Reader:
    import ferox

    reader = ferox.load(threads=threads, yunet=yunet)
    return importlib.metadata.version("ferox"), lambda photo: [face.label or "" for face in reader.read(photo)]


def _fer(*, tflite: bool = True) -> Reader:
    import cv2
    from fer.fer import FER

    reader = FER(use_tflite=tflite)

    def read(photo: Path) -> list[str]:
        faces: list[dict[str, Any]] = reader.detect_emotions(cv2.imread(str(photo)))
        return [max(face["emotions"], key=face["emotions"].get) for face in faces]

    return importlib.metadata.version("fer"), read


def _deepface() -> Reader:
    from deepface.commons import weight_utils

    # The network is built as always, and keeps the random weights that it begins with.
    weight_utils.download_weights_if_necessary = lambda **_: ""
    weight_utils.load_model_weights = lambda model, weight_file: model
    from deepface import DeepFace

    def read(photo: Path) -> list[str]:
        faces = DeepFace.analyze(str(photo), actions=["emotion"], enforce_detection=False, silent=True)
        return [face["dominant_emotion"] for face in faces]

    return importlib.metadata.version("deepface"), read


OTHERS: dict[str, Callable[[], Reader]] = {
    "fer": _fer,
    "fer-keras": lambda: _fer(tflite=False),
    "deepface": _deepface,
}


if __name__ == "__main__":
    main()
