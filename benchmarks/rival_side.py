"""One program that reads a photo, in its environment: `python -m benchmarks.rival_side PROGRAM PHOTO YUNET THREADS`.

What runs in another environment than ours imports nothing of ferox but the conversation with whoever measures.
"""

import importlib.metadata
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from inference.benchmark.contender import serve, turn
from inference.benchmark.messages import Answer, Ready, Request, Turn

# What a photo's file is read with, and the version of what reads it; gives a face's label for each face.
Reader = tuple[str, Callable[[], list[str]]]


def main() -> None:
    """Serve the program, the photo, the face finder's file (or nothing) and the threads of the command line."""
    program, photo, yunet, threads = sys.argv[1:]
    serve(lambda: _begin(program, Path(photo), Path(yunet) if yunet else None, int(threads)))


def _begin(
    program: str, photo: Path, yunet: Path | None, threads: int
) -> tuple[Ready, Callable[[Request], Answer | Turn]]:
    import cv2

    cv2.setNumThreads(threads)
    version, read = _ferox(photo, yunet, threads) if program == "ferox" else OTHERS[program](photo)
    found = read()

    def work(request: Request) -> Turn:
        return turn(read, request.seconds)

    remark = f"finds {len(found)} faces" if len(found) != 1 else ""
    return Ready(version=version, threads=cv2.getNumThreads(), remark=remark), work


def _ferox(photo: Path, yunet: Path | None, threads: int) -> Reader:
    import ferox

    reader = ferox.load(threads=threads, yunet=yunet)
    return importlib.metadata.version("ferox"), lambda: [face.label or "" for face in reader.read(photo)]


def _fer(photo: Path, *, tflite: bool = True) -> Reader:
    import cv2
    from fer.fer import FER

    reader = FER(use_tflite=tflite)

    def read() -> list[str]:
        faces: list[dict[str, Any]] = reader.detect_emotions(cv2.imread(str(photo)))
        return [max(face["emotions"], key=face["emotions"].get) for face in faces]

    return importlib.metadata.version("fer"), read


def _deepface(photo: Path) -> Reader:
    from deepface.commons import weight_utils

    # The network is built as always, and keeps the random weights that it begins with.
    weight_utils.download_weights_if_necessary = lambda **_: ""
    weight_utils.load_model_weights = lambda model, weight_file: model
    from deepface import DeepFace

    def read() -> list[str]:
        faces = DeepFace.analyze(str(photo), actions=["emotion"], enforce_detection=False, silent=True)
        return [face["dominant_emotion"] for face in faces]

    return importlib.metadata.version("deepface"), read


OTHERS: dict[str, Callable[[Path], Reader]] = {
    "fer": _fer,
    "fer-keras": lambda photo: _fer(photo, tflite=False),
    "deepface": _deepface,
}


if __name__ == "__main__":
    main()
