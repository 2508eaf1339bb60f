"""The server under load: `python -m benchmarks.server_load MODEL.onnx --against http://127.0.0.1:8001`.

How long do clients wait, and how many faces are answered in a second, with so many of them at once? Every client sends
a request over one connection, its faces a binary tensor or JSON, and the next when it has its answer. With --against
another server that has the model under the same name takes its turn in every round, and with --engine the model itself,
in this process; the ratio of each round is given, too. `benchmarks/servers` has some servers.
"""

import argparse
import http.client
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import IO
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from data.commands import run_command
from data.draw import draw
from data.errors import InputError
from inference.engine import Engine

OK = 200
JSON = {"Content-Type": "application/json"}
WARM_UP_SECONDS = 1.0


# wrk sends what this says; Lua reads the body as bytes from a file.
WRK_SCRIPT = """
local file = io.open("{body}", "rb")
wrk.method = "POST"
wrk.body = file:read("*a")
file:close()
{headers}
"""
WRK_UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3}


@dataclass(frozen=True)
class Load:
    """What so many clients got in one turn: the milliseconds that half of the answers, and all but a hundredth of them,
    took at most, and requests a second of all."""

    p50: float
    p99: float
    rate: float


@dataclass(frozen=True)
class Ask:
    """A request, ready to be sent."""

    path: str
    body: bytes
    headers: dict[str, str]


def main() -> int:
    """Load the server, and the one that it is measured against, in turns; print what came of it."""
    args = _parser().parse_args()
    pixels = draw(max(21, args.faces), seed=1).pixels[: args.faces]
    ask = request(args.model.stem, args.body, pixels)
    asks = {"ferox": ask, "other": bentoml_request(pixels) if args.other == "bentoml" else ask}
    by = load_by_wrk if args.by == "wrk" else load
    with served(args.model, args.wait) as address:
        servers = {"ferox": address} | ({"other": args.against} if args.against else {})
        ways = {name: partial(by, each, asks[name], seconds=args.seconds) for name, each in servers.items()}
        if args.engine:
            ways["engine"] = partial(load_engine, Engine.load(args.model, provider="cpu"), pixels, seconds=args.seconds)
        for count in args.clients:
            loads: dict[str, list[Load]] = {name: [] for name in ways}
            for _ in range(args.rounds):
                for name, way in ways.items():
                    loads[name].append(way(clients=count))
            report(count, args.faces, loads)
    return 0


def request(model: str, body: str, pixels: NDArray[np.uint8]) -> Ask:
    """Return a request of the Open Inference Protocol for faces uint8[N, 48, 48], `binary` or `json` both ways."""
    path = f"/v2/models/{model}/infer"
    tensor = {"name": "pixels", "shape": list(pixels.shape), "datatype": "UINT8"}
    if body == "json":
        return Ask(path, json.dumps({"inputs": [tensor | {"data": pixels.ravel().tolist()}]}).encode(), JSON)
    size = {"parameters": {"binary_data_size": pixels.size}}
    text = json.dumps({"inputs": [tensor | size], "parameters": {"binary_data_output": True}}).encode()
    headers = {"Inference-Header-Content-Length": str(len(text)), "Content-Type": "application/octet-stream"}
    return Ask(path, text + pixels.tobytes(), headers)


def bentoml_request(pixels: NDArray[np.uint8]) -> Ask:
    """Return the same request in BentoML's own form, which is JSON."""
    return Ask("/infer", json.dumps({"pixels": pixels.tolist()}).encode(), JSON)


@contextmanager
def served(model: Path, wait: float, *options: str) -> Iterator[str]:
    """The server's address, on any free port."""
    process, address = start_server(model, subprocess.DEVNULL, "--wait", str(wait), *options)
    try:
        yield address
    finally:
        process.terminate()
        process.wait()


def start_server(model: Path, log: int | IO[bytes], *options: str) -> tuple[subprocess.Popen[str], str]:
    """Start the server on any free port; return its process and its address. Its stderr goes to `log`."""
    command = [sys.executable, "-m", "ferox.serving", str(model), "--port", "0", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    address = process.stdout.readline().strip() if process.stdout else ""
    if not address:
        raise InputError(f"the server ended with {process.wait()}, expected its address; start it by hand to see")
    return process, address


def load(address: str, ask: Ask, clients: int, seconds: float) -> Load:
    """Let clients ask for some seconds, after a second that is not counted."""
    begin = time.perf_counter() + WARM_UP_SECONDS
    with ThreadPoolExecutor(clients) as pool:
        asking = [pool.submit(_client, address, ask, begin, begin + seconds) for _ in range(clients)]
        together = tuple(one for each in asking for one in each.result())
    if not together:
        raise InputError(f"{address} answered no client within {seconds} seconds, expected some; look at its log")
    p50, p99 = 1000 * np.percentile(together, [50, 99])
    return Load(float(p50), float(p99), len(together) / seconds)


def load_engine(engine: Engine, pixels: NDArray[np.uint8], clients: int, seconds: float) -> Load:
    """Let the model answer for some seconds, one request after the other, after a second that is not counted."""
    taken = []
    begin = time.perf_counter() + WARM_UP_SECONDS
    while (began := time.perf_counter()) < begin + seconds:
        engine.run(pixels)
        if began >= begin:
            taken.append(time.perf_counter() - began)
    p50, p99 = 1000 * np.percentile(taken, [50, 99])
    return Load(float(p50), float(p99), len(taken) / seconds)


def load_by_wrk(address: str, ask: Ask, clients: int, seconds: float) -> Load:
    """Let wrk's clients ask for some seconds over connections that stay, after a second that is not counted."""
    if shutil.which("wrk") is None:
        raise InputError("wrk is not installed; install it, or leave out --by")
    if seconds != int(seconds) or seconds < 1:
        raise InputError(f"--seconds is {seconds:g}, and wrk takes whole ones, from 1; give another, or leave out --by")
    with tempfile.TemporaryDirectory(prefix="ferox-wrk-") as folder:
        body, script = Path(folder) / "body", Path(folder) / "post.lua"
        body.write_bytes(ask.body)
        headers = "\n".join(f'wrk.headers["{name}"] = "{value}"' for name, value in ask.headers.items())
        script.write_text(WRK_SCRIPT.format(body=body, headers=headers))
        for length in (WARM_UP_SECONDS, seconds):
            command = ["wrk", "--threads", "1", "--connections", str(clients), "--duration", f"{length:.0f}s"]
            command += ["--latency", "--script", str(script), address + ask.path]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise InputError(
                    f"wrk ended with status {done.returncode}: {done.stderr.strip()}; see that {address} answers"
                )
    return read_wrk(done.stdout)


def read_wrk(text: str) -> Load:
    """Return what wrk has printed; an `InputError` where not every request was answered with what it asked for."""
    if failed := re.search(r"(Non-2xx or 3xx responses|Socket errors).*", text):
        raise InputError(f"wrk says {failed.group()!r}, expected an answer to each request; look at the server's log")
    p50, p99 = (re.search(rf"^\s+{share}%\s+([\d.]+)(us|ms|s)$", text, re.MULTILINE) for share in (50, 99))
    rate = re.search(r"^Requests/sec:\s+([\d.]+)$", text, re.MULTILINE)
    if p50 is None or p99 is None or rate is None:
        raise InputError(f"wrk says {text[-300:]!r}, expected its percentiles and its rate")
    half, most = (float(found.group(1)) * WRK_UNITS[found.group(2)] for found in (p50, p99))
    return Load(half, most, float(rate.group(1)))


def _client(address: str, ask: Ask, begin: float, end: float) -> list[float]:
    taken: list[float] = []
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=60)
    while (began := time.perf_counter()) < end:
        connection.request("POST", ask.path, ask.body, ask.headers)
        answer = connection.getresponse()
        content = answer.read()
        if answer.status != OK:
            raise InputError(f"{address} answers {answer.status} ({content[:200]!r}), expected 200")
        done = time.perf_counter()
        if began >= begin and done <= end:
            taken.append(done - began)
    connection.close()
    return taken


def report(clients: int, faces: int, loads: dict[str, list[Load]]) -> None:
    """Print the median of the rounds of each one's figures, and the ratios of the rounds to the first's."""
    for name, rounds in loads.items():
        p50, p99 = (median(getattr(each, figure) for each in rounds) for figure in ("p50", "p99"))
        rates = [faces * each.rate for each in rounds]
        spread = f"{median(rates):,.0f} faces/s ({min(rates):,.0f}-{max(rates):,.0f})"
        print(f"{clients:3} clients, {name}: p50 {p50:.2f} ms, p99 {p99:.2f} ms, {spread}", flush=True)
    first, *others = loads
    for other in others:
        ratios = [own.rate / theirs.rate for own, theirs in zip(loads[first], loads[other], strict=True)]
        shown = ", ".join(f"{ratio:.2f}" for ratio in ratios)
        print(f"{clients:3} clients, faces/s against the {other}: {shown}; median {median(ratios):.2f}", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.server_load", description=__doc__, allow_abbrev=False)
    parser.add_argument("model", type=Path, help="an exported .onnx")
    parser.add_argument("--against", metavar="URL", help="another server, whose turns alternate with this one's")
    other = "what the other one speaks (default: v2, the Open Inference Protocol)"
    parser.add_argument("--other", choices=("v2", "bentoml"), default="v2", help=other)
    form = "of the values in the protocol (default: binary)"
    parser.add_argument("--body", choices=("binary", "json"), default="binary", help=form)
    parser.add_argument(
        "--by", choices=("python", "wrk"), default="python", help="who the clients are (default: python)"
    )
    parser.add_argument("--faces", type=int, default=1, help="of each request (default: 1)")
    own = "the model itself takes turns, too, in this process and without clients"
    parser.add_argument("--engine", action="store_true", help=own)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 32], help="clients at once (default: 1 8 32)")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each server (default: 5)")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each turn (default: 4)")
    parser.add_argument("--wait", type=float, default=2.0, metavar="MS", help="the server's --wait (default: 2)")
    return parser


if __name__ == "__main__":
    run_command(main)
