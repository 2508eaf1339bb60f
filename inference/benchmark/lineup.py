"""Who takes part for an artifact: the runtimes that are at hand, and what the others lack."""

import importlib.util
import shutil
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

from data.commands import install_command
from inference.benchmark import web
from inference.benchmark.document import Absent, Task
from inference.benchmark.messages import Request
from inference.benchmark.runner import Runner
from inference.benchmark.runtimes import OPENCV, OPENVINO_BF16, PRECISIONS, PROVIDERS

# A runtime's name, what it lacks (empty where nothing), and its command line.
Known: TypeAlias = tuple[str, str, tuple[str, ...]]
BATCH = 64
TASKS = (Task("one face", "ms"), Task(f"batches of {BATCH}", "faces/s"))
TURNS = (Request(do="turn", batch=1), Request(do="turn", batch=BATCH))


@dataclass(frozen=True)
class Entry:
    """What all runtimes are given: an artifact, its precision, the batch that it takes (None: any), a file of faces,
    and threads."""

    model: Path
    precision: str
    batch: int | None
    pixels: Path
    threads: int

    @property
    def words(self) -> tuple[str, ...]:
        """The same as words of a command line."""
        return str(self.model), str(self.batch or 0), str(self.pixels), str(self.threads)


def at_hand(entry: Entry) -> tuple[list[Runner], list[Absent]]:
    """Return the runtimes that can run an artifact here, and those that cannot."""
    known = [*map(partial(_python, entry), (*PROVIDERS, *PRECISIONS, OPENCV)), _node(entry), _chromium(entry)]
    # It would compute in int8 there, too.
    useless = {OPENVINO_BF16} if entry.precision == "int8" else set[str]()
    absent = [Absent(name, "left out", "the artifact is int8, whatever it is asked for") for name in useless]
    absent += [Absent(name, "not installed", lacking) for name, lacking, _ in known if lacking and name not in useless]
    runners = [Runner(name, command, TURNS) for name, lacking, command in known if not lacking and name not in useless]
    return runners, absent


def _python(entry: Entry, name: str) -> Known:
    return name, _lacking(name), (sys.executable, "-m", "inference.benchmark.runtimes", name, *entry.words)


def _node(entry: Entry) -> Known:
    command = (str(shutil.which("node")), str(web.SCRIPT), str(web.package_folder()), *entry.words)
    return web.NODE, web.missing(in_browser=False), command


def _chromium(entry: Entry) -> Known:
    command = (sys.executable, "-m", "inference.benchmark.chromium", *entry.words)
    return web.CHROMIUM, web.missing(in_browser=True), command


def _lacking(name: str) -> str:
    if name in PROVIDERS:
        import onnxruntime

        if PROVIDERS[name] in onnxruntime.get_available_providers():
            return ""
        return f"{PROVIDERS[name]} is not in this onnxruntime"
    package, extra = ("cv2", "cpu") if name == OPENCV else ("openvino", "dev")
    return "" if importlib.util.find_spec(package) else f"the package {package}; {install_command(extra)}"
