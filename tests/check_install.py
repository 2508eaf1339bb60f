"""What `make check-install` shows: every extra can be installed, and the lowest versions admitted serve models.

Every extra of pyproject.toml is resolved, without a download, for every Python that it promises: to the newest
versions, to those of constraints.txt and to the lowest. `cpu,demo,serve` is then installed at its lowest for every
promised Python that uv finds (in PATH, say), reads a drawn picture with every model that comes along, and opens page
and server. Needs the network.
"""

import argparse
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# What the Makefile and the README install together, beside each extra alone.
TOGETHER = ("cpu,demo", "cpu,serve", "cpu,demo,video", "gpu,demo", "cpu,torch,export", "gpu,torch,export,demo")
WAYS = {"newest": [], "pinned": ["--constraint", "constraints.txt"], "lowest": ["--resolution", "lowest-direct"]}
# A wheel that is missing would be compiled on the user's machine, or fail there.
WHEELS = ["--only-binary", ":all:"]
SERVING = "cpu,demo,serve"
START_SECONDS = 120
AT_ONCE = 8
DRAW = "import sys, pathlib; from demo.examples import draw_examples; draw_examples(pathlib.Path(sys.argv[1]))"
ASK = """
import sys
from gradio_client import Client, handle_file
answer = Client(sys.argv[1], verbose=False).predict(handle_file(sys.argv[2]), api_name="/predict")
assert answer, "the page finds no face"
"""


class Refused(Exception):
    """A step did not do what it should; its text is what was said last."""


def promised(requires: str) -> list[str]:
    """Return the Pythons of a `requires-python` such as `>=3.11,<3.14`, the oldest first."""
    first, end = (int(number) for number in re.fullmatch(r">=3\.(\d+),<3\.(\d+)", requires).groups())  # type: ignore[union-attr]
    return [f"3.{minor}" for minor in range(first, end)]


def said(*command: object, folder: Path = ROOT) -> str:
    """Run a command and return its stdout; raise `Refused` with the end of what it said where it fails."""
    done = subprocess.run([str(part) for part in command], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Refused((done.stderr.strip() or done.stdout.strip() or f"exit status {done.returncode}")[-1500:])
    return done.stdout


def resolved(uv: str, extras: str, python: str, way: str) -> int | Refused:
    """Return how many packages extras come to, for a Python, or why they do not resolve."""
    chosen = [part for extra in extras.split(",") for part in ("--extra", extra)]
    options = ["--quiet", "--no-header", "--no-annotate", "--python-version", python, *WHEELS, *WAYS[way]]
    try:
        return said(uv, "pip", "compile", *options, *chosen, "pyproject.toml").count("==")
    except Refused as refusal:
        return refusal


def check_resolution(uv: str, pythons: list[str]) -> list[str]:
    """Print a table of extras and Pythons, and return what does not resolve."""
    print("Packages that each extra comes to (" + " / ".join(WAYS) + " versions):\n")
    print(f"{'':24}" + "".join(f"{python:>18}" for python in pythons), flush=True)
    rows = [*PROJECT["optional-dependencies"], *TOGETHER]
    asked = list(itertools.product(rows, pythons, WAYS))
    # They wait for the network most of the time.
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = dict(zip(asked, pool.map(lambda ask: resolved(uv, *ask), asked), strict=True))
    for extras in rows:
        counts = [[answers[extras, python, way] for way in WAYS] for python in pythons]
        cells = [" / ".join("no" if isinstance(count, Refused) else str(count) for count in cell) for cell in counts]
        print(f"{extras:24}" + "".join(f"{cell:>18}" for cell in cells))
    return [
        f"{extras} for Python {python}, {way} versions: {answer}"
        for (extras, python, way), answer in answers.items()
        if isinstance(answer, Refused)
    ]


def check_lowest(uv: str, pythons: list[str]) -> list[str]:
    """Install the lowest versions for each Python that is here and use them; return what does not work."""
    print(f"\nThe lowest versions of {SERVING}, installed and used:\n")
    refused, used = [], 0
    for python in pythons:
        try:
            base = said(uv, "python", "find", "--no-python-downloads", python).strip()
        except Refused:
            print(f"Python {python}: not found", flush=True)
            continue
        used += 1
        with tempfile.TemporaryDirectory() as folder:
            try:
                print(f"Python {python}: {serve_lowest(uv, base, Path(folder))}", flush=True)
            except Refused as refusal:
                print(f"Python {python}: no", flush=True)
                refused.append(f"the lowest versions with Python {python}: {refusal}")
    if not used:
        refused.append(f"uv finds none of Python {', '.join(pythons)}; put one into PATH")
    return refused


def serve_lowest(uv: str, base: str, folder: Path) -> str:
    """Install the lowest versions for the Python at `base` into `folder`, and use them; return what was installed."""
    # By its path: `uv venv` does not look into .venv, where `uv python find` does.
    said(uv, "venv", "--quiet", "--python", base, folder / "venv")
    interpreter = folder / "venv" / "bin" / "python"
    versions = folder / "lowest.txt"
    chosen = [part for extra in SERVING.split(",") for part in ("--extra", extra)]
    options = ["--quiet", "--no-header", "--no-annotate", "--python", interpreter, *WHEELS, *WAYS["lowest"]]
    said(uv, "pip", "compile", *options, *chosen, "-o", versions, "pyproject.toml")
    said(uv, "pip", "install", "--quiet", "--python", interpreter, *WHEELS, "-r", versions)
    said(uv, "pip", "install", "--quiet", "--python", interpreter, "--no-deps", "-e", ROOT)
    said(interpreter, "-c", DRAW, folder / "drawn", folder=folder)
    models = sorted((ROOT / "artifacts" / "models").glob("*.onnx"))
    for model in models:
        check_prediction(interpreter, model, folder)
    said(interpreter, "-m", "demo", "--help", folder=folder)
    check_page(interpreter, folder)
    check_server(interpreter, folder)
    return f"{len(models)} models, page and server, with {', '.join(direct(versions))}"


def direct(versions: Path) -> Iterator[str]:
    """Yield those of the installed versions that pyproject.toml names itself."""
    extras = (PROJECT["optional-dependencies"][extra] for extra in SERVING.split(","))
    named = [*PROJECT["dependencies"], *(requirement for extra in extras for requirement in extra)]
    names = {re.split(r"[^a-z0-9-]", requirement)[0] for requirement in named}
    for line in versions.read_text().splitlines():
        name, _, version = line.partition("==")
        if name in names:
            yield f"{name} {version}"


def check_prediction(interpreter: Path, model: Path, folder: Path) -> None:
    """Have a model find and read the face of a drawn portrait."""
    portrait = folder / "drawn" / "portrait.jpg"
    (record,) = json.loads(said(interpreter, "-m", "inference", "predict", model, portrait, "--json", folder=folder))
    if record["error"] is not None or len(record["faces"]) != 1:
        raise Refused(f"{model.name} answers {record}")


def check_page(interpreter: Path, folder: Path) -> None:
    """Open the page, read its configuration, and have it read a drawn portrait."""
    artifacts = ROOT / "artifacts" / "models"
    places = ["--models", artifacts, "--reports", artifacts / "reports", "--runs", folder / "runs"]
    with opened(interpreter, folder, "demo", *places) as address:
        with urllib.request.urlopen(f"{address}/config", timeout=30) as answer:
            if not json.load(answer)["components"]:
                raise Refused("the page's /config names no components")
        said(interpreter, "-c", ASK, address, folder / "drawn" / "portrait.jpg", folder=folder)


def check_server(interpreter: Path, folder: Path) -> None:
    """Have the server find the face of a drawn portrait."""
    portrait = (folder / "drawn" / "portrait.jpg").read_bytes()
    with (
        opened(interpreter, folder, "ferox.serving", ROOT / "artifacts" / "models", "--port", "0") as address,
        urllib.request.urlopen(f"{address}/v1/faces", portrait, timeout=30) as answer,
    ):
        if len(json.load(answer)["faces"]) != 1:
            raise Refused("the server finds no face")


@contextmanager
def opened(interpreter: Path, folder: Path, module: str, *arguments: object) -> Iterator[str]:
    """Open the page or the server, give its address, and end it."""
    process = subprocess.Popen(
        ["timeout", str(START_SECONDS), str(interpreter), "-m", module, *map(str, arguments)],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    log = []
    try:
        for line in process.stdout:
            log.append(line)
            if address := re.search(r"http://127\.0\.0\.1:\d+", line):
                yield address.group()
                return
        raise Refused(f"{module} did not start: " + "".join(log)[-1500:])
    finally:
        process.terminate()
        process.communicate(timeout=30)


CHECKS: dict[str, Callable[[str, list[str]], list[str]]] = {"resolution": check_resolution, "lowest": check_lowest}


def main(arguments: list[str] | None = None) -> int:
    """Run the checks and return 1 where something does not resolve or does not work, else 0."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--uv", help="default: the one in PATH, or beside this Python")
    parser.add_argument("--only", choices=CHECKS, help="default: both")
    args = parser.parse_args(arguments)
    uv = args.uv or shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
    pythons = promised(PROJECT["requires-python"])
    refused = [line for name, check in CHECKS.items() if args.only in (None, name) for line in check(uv, pythons)]
    for line in refused:
        print(f"\nerror: {line}", file=sys.stderr)
    print(f"\n{f'{len(refused)} failures' if refused else 'Everything can be installed.'}")
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main())
