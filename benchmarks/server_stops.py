"""The server is stopped under load, again and again: `python -m benchmarks.server_stops MODEL.onnx --rounds 10`.

Clients, each with a face of its own whose answer is known, ask without a pause until the server is told to stop
(SIGTERM), or is killed (SIGKILL), at any moment. Every answer must be the right one; when it was told to stop, every
request that it has taken must have its answer: its log counts them.
"""

import argparse
import http.client
import json
import random
import signal
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.server_load import JSON, start_server
from data.commands import run_command
from data.draw import draw
from data.errors import InputError
from data.faceset import LABELS
from inference.engine import Engine

TOLERANCE = 1e-5
LONGEST = 2.0  # Seconds until a server is stopped.
SIGNALS = (signal.SIGTERM, signal.SIGKILL)
Pixels = NDArray[np.uint8]
Probabilities = NDArray[np.float32]


def main() -> int:
    """Print what clients were answered; return 1 where an answer was wrong, or lacks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("model", type=Path)
    parser.add_argument("--rounds", type=int, default=10, help="of each signal")
    parser.add_argument("--clients", type=int, default=32)
    args = parser.parse_args()
    faces = draw(7 * args.clients, seed=1).pixels[: args.clients]
    expected = Engine.load(args.model, provider="cpu").predict(faces)
    rng, broken = random.Random(0), 0
    for number in SIGNALS:
        total: Counter[str] = Counter()
        for _ in range(args.rounds):
            told, logged = _round(args.model, faces, expected, number, rng.uniform(0, LONGEST))
            total += told
            missing = logged - told["right"] - told["wrong"] if number == signal.SIGTERM else 0
            broken += told["wrong"] + abs(missing)
            if missing:
                print(f"{number.name}: {missing} answers more were logged than came", flush=True)
        print(
            f"{number.name}, {args.rounds} rounds of {args.clients} clients: {dict(sorted(total.items()))}", flush=True
        )
    return 1 if broken else 0


def _round(
    model: Path, faces: Pixels, expected: Probabilities, number: signal.Signals, after: float
) -> tuple[Counter[str], int]:
    """Return what all clients were told, and how many requests the server says that it has answered with 200."""
    with tempfile.TemporaryFile() as log:
        process, address = start_server(model, log)
        ended = threading.Event()
        with ThreadPoolExecutor(len(faces)) as pool:
            place = address.removeprefix("http://")
            asking = [
                pool.submit(_client, place, model.stem, face, answer, ended)
                for face, answer in zip(faces, expected, strict=True)
            ]
            time.sleep(0.5 + after)
            process.send_signal(number)
            status = process.wait(timeout=60)
            ended.set()
            told = sum((each.result() for each in asking), Counter())
        log.seek(0)
        lines = [json.loads(line) for line in log.read().splitlines() if line.endswith(b"}")]
    if status != (0 if number == signal.SIGTERM else -number):
        raise InputError(f"the server ended with {status} after {number.name}, expected 0 or the signal")
    return told, sum(line.get("status") == http.client.OK for line in lines)


def _client(place: str, model: str, face: Pixels, expected: Probabilities, ended: threading.Event) -> Counter[str]:
    """Ask with one face until the server is gone; count the answers by kind."""
    told: Counter[str] = Counter()
    tensor = {"name": "pixels", "shape": [1, *face.shape], "datatype": "UINT8", "data": face.ravel().tolist()}
    body = json.dumps({"inputs": [tensor], "outputs": [{"name": "probabilities"}]})
    connection = http.client.HTTPConnection(place, timeout=60)
    while not ended.is_set():
        try:
            connection.request("POST", f"/v2/models/{model}/infer", body, JSON)
            answer = connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException):
            # Its last moment: the connection was closed before the request was taken, or the process was killed.
            told["no answer"] += 1
            break
        told[_kind(answer.status, content, expected)] += 1
    connection.close()
    return told


def _kind(status: int, content: bytes, expected: Probabilities) -> str:
    if status != http.client.OK:
        return f"refused with {status}"
    given = np.asarray(json.loads(content)["outputs"][0]["data"], np.float32)
    return "right" if given.shape == (len(LABELS),) and np.abs(given - expected).max() < TOLERANCE else "wrong"


if __name__ == "__main__":
    run_command(main)
