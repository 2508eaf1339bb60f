"""The framework's side of an export, in a process of its own: it answers the probes and converts the network."""

import importlib.util
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx

from data.commands import how_to_install
from data.conversation import ConversationError
from data.errors import InputError
from data.faceset import FaceSet
from data.splits import Split
from export.canonical import canonical
from export.contract import check_finite
from export.framework_side import Asked
from export.job import ExportJob
from export.parity import probes
from export.worker import Worker
from inference.manifest import Parity
from training.run import check_file

CONVERTERS = {
    "torch": ("torch", "onnxscript"),
    "tensorflow": ("tensorflow", "tf2onnx"),
    "paddle": ("paddle", "paddle2onnx"),
}
# The newest Python for which a converter is released, where pyproject.toml promises a newer one.
LAST_PYTHON = {"paddle2onnx": (3, 12)}


class ExportError(Exception):
    """A stage of an export failed; nothing was published."""

    def __init__(self, stage: str, reason: str, verdict: Parity | None = None) -> None:
        super().__init__(f"{stage}: {reason}")
        self.stage, self.reason, self.verdict = stage, reason, verdict


def converted(job: ExportJob, work: Path, faces: FaceSet, division: Split, worker: Worker) -> onnx.ModelProto:
    """Have the framework answer the probes and convert, and return its network in canonical form."""
    np.save(work / "pixels.npy", probes(np.ascontiguousarray(faces.records[division.test]["pixels"])))
    run_framework(job, work, worker)
    with stage("contract"):
        network = canonical(onnx.load(work / "network.onnx"))
        check_finite(network)
        return network


def run_framework(job: ExportJob, work: Path, worker: Worker) -> None:
    """Have the framework write `reference.npy` and `network.onnx` into `work`, from the `pixels.npy` there.

    Raises:
        InputError: a package is missing.
        ExportError: the converter failed, with what it said last.
    """
    framework = job.record.settings.framework
    check_converter(framework)
    weights = check_file(work, job.checkpoint.file, job.checkpoint.sha256)
    try:
        worker.answer(framework, Asked(str(job.run.resolve()), str(weights), str(work)))
    except ConversationError as error:
        raise ExportError("convert", f"the converter of {framework}: {error}") from error


def run_side(module: str, *words: str) -> None:
    """Run a module that answers and converts in a process of its own.

    Raises:
        ExportError: it failed, with what it said last.
    """
    command = [sys.executable, "-m", module, *words]
    # The proof is made on the processor: a GPU would answer with other last digits.
    alone = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=alone)
    if done.returncode < 0:
        raise ExportError("convert", f"the converter was ended by {signal.Signals(-done.returncode).name}")
    if done.returncode:
        lines = (done.stderr.strip() or done.stdout.strip() or f"exit status {done.returncode}").splitlines()
        raise ExportError("convert", lines[-1])


def check_converter(framework: str) -> None:
    """Raise an `InputError` if a package that an export from a framework needs is missing, or cannot be had here."""
    missing = [name for name in CONVERTERS[framework] if importlib.util.find_spec(name) is None]
    for name in missing:
        last = LAST_PYTHON.get(name, sys.version_info[:2])
        if sys.version_info[:2] > last:
            newest = ".".join(map(str, last))
            raise InputError(
                f"an export from {framework} needs {name}, which is released for Python up to {newest}, and this is "
                f"{sys.version_info.major}.{sys.version_info.minor}; in ferox's folder, rm -r .venv and make install "
                f"PYTHON3=python{newest}, then export this run again"
            )
    if missing:
        raise InputError(
            f"an export from {framework} needs {' and '.join(missing)}; {how_to_install(framework, 'export')}"
        )


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Have what is refused within the block say that it was at this stage."""
    try:
        yield
    except (InputError, onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ExportError(name, str(error)) from error
