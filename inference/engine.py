"""The one engine: runs any artifact through onnxruntime, whatever framework trained it.

An artifact is checked before it is trusted: that it is a file of a sensible size, its digest (one changed byte can load
and answer differently), its operators, its contract version, its inputs and outputs, and that what it answers are
probabilities.
"""

import hashlib
import os
import re
import stat
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import cache
from io import StringIO
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.commands import install_command
from data.errors import InputError, printable
from data.faceset import LABELS, SIDE
from data.terminal import warn
from inference.machine import available_cpus
from inference.manifest import FEATURES, LARGEST_BATCH, METADATA_KEY, NO_DIGEST, Manifest, parse_manifest
from inference.operators import check_operators

try:
    import onnxruntime
except ImportError as missing:
    raise InputError(
        f"onnxruntime is not installed; expected one of its two builds; run {install_command('cpu')}; on a machine "
        "with an NVIDIA GPU take gpu in place of cpu"
    ) from missing

# What an open batch is given at once.
BATCH = LARGEST_BATCH
# How long threads keep their processors busy for an operation to come. By default they go on long after the last one,
# which other work then lacks; runs take as long as with that, and without any such time up to 1.5 times as long.
SPIN_MICROSECONDS = "100"
# Ten times the largest model here; a file's holes would be read into memory, too.
MOST_MEGABYTES = 512
DIGEST = re.compile(rb'"digest": "([0-9a-f]{64})"')
CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
PROVIDERS = {"cpu": CPU, "cuda": CUDA, "openvino": "OpenVINOExecutionProvider"}
REMEDY = "export the run again: ferox export RUN"
MEND_GPU = f"mend the GPU's driver, or CUDA and cuDNN with {install_command('gpu')}"
CUDA_FAILURE = re.compile(r"CUDA failure \d+: [^;\n]*")
UNLOADED = "Failed to load "
_LOADING = Lock()


@dataclass(frozen=True)
class Engine:
    """A loaded artifact. Safe to use from several threads; make one with `Engine.load`."""

    path: Path
    manifest: Manifest
    session: Any
    threads: int

    @property
    def providers(self) -> tuple[str, ...]:
        """The execution providers in use, the first before the others."""
        return tuple(self.session.get_providers())

    @classmethod
    def load(cls, path: Path, *, provider: str = "auto", threads: int | None = None) -> "Engine":
        """Load and verify an artifact.

        Args:
            path: an `.onnx` that `ferox export` wrote.
            provider: `cpu`, `cuda` or `openvino`; `auto` takes CUDA where onnxruntime has it and can use it, else the
                CPU, with a warning on stderr where CUDA is there and cannot be used.
            threads: processor threads for one run, at least 1; None takes all that this process may use.

        Raises:
            InputError: the file is missing, no ordinary file, too large, damaged, made of operators that no model
                here needs, not an artifact of this contract, or the provider named is not the one that onnxruntime
                would use.
        """
        if threads is not None and threads < 1:
            raise InputError(f"--threads is {threads}, expected 1 or more; leave it out for all that there are")
        content = read_artifact(path)
        digest = verify_digest(content, path.name)
        check_operators(content, path.name)
        threads = threads or available_cpus()
        session = _session(content, path.name, provider, threads)
        text = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
        if text is None:
            raise InputError(f"{path.name} has no {METADATA_KEY}: it was not made by this system; {REMEDY}")
        manifest = parse_manifest(text, path.name)
        if manifest.digest != digest:
            raise InputError(f"{path.name}: its manifest and its digest disagree; {REMEDY}")
        check_interface(session, manifest, path.name)
        return cls(path, manifest, session, threads)

    def run(self, pixels: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return logits and probabilities, float32[N, 7] each, of grey faces uint8[N, 48, 48], N at least 1,
        whatever batch the artifact takes.

        Raises:
            InputError: the faces have another shape or dtype, the model stops while it answers, or it answers with
                anything but probabilities of each face.
        """
        check_pixels(pixels)
        count = len(pixels)
        logits = np.empty((count, len(LABELS)), np.float32)
        probabilities = np.empty_like(logits)
        batch = self.manifest.batch or BATCH
        for start in range(0, count, batch):
            part = slice(start, start + batch)
            logits[part], probabilities[part] = self._answered(np.ascontiguousarray(pixels[part]))
        # Written so that NaN, which compares as False, is refused.
        proper = (probabilities >= 0).all() and np.abs(probabilities.sum(axis=1) - 1).max() <= 1e-4
        if not np.isfinite(logits).all() or not proper:
            raise InputError(f"{self.path.name} answers with something other than probabilities; {REMEDY}")
        return logits, probabilities

    def _answered(self, pixels: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """Return what onnxruntime answers to a batch; NumPy would stretch one row over all its faces."""
        outputs, count = ["logits", "probabilities"], len(pixels)
        pixels = filled(pixels, self.manifest.batch)
        try:
            answers: list[NDArray[np.float32]] = self.session.run(outputs, {"pixels": pixels})
        except Exception as error:  # onnxruntime's errors share no narrower base class
            raise InputError(
                f"{self.path.name} stopped while it answered {len(pixels)} faces ({_reason(error)}); {REMEDY}"
            ) from error
        expected = (len(pixels), len(LABELS))
        for output, values in zip(outputs, answers, strict=True):
            if values.shape != expected or values.dtype != np.float32:
                raise InputError(
                    f"{self.path.name} gives {output} {values.dtype}{list(values.shape)} for {len(pixels)} faces, "
                    f"expected float32{list(expected)}; {REMEDY}"
                )
        return [values[:count] for values in answers]

    def predict(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return probabilities float32[N, 7], in the order of `LABELS`, of grey faces uint8[N, 48, 48]."""
        return self.run(pixels)[1]


def read_artifact(path: Path) -> bytes:
    """Return a file's bytes.

    Raises:
        InputError: it cannot be read, is no ordinary file (a pipe would be waited for), or is larger than any model.
    """
    try:
        _check_ordinary(path.stat(), path.name)
        # Without waiting, should a pipe have taken its place since.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            status = os.fstat(file.fileno())
            _check_ordinary(status, path.name)
            return file.read(status.st_size)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); expected an exported .onnx") from error


def _check_ordinary(status: os.stat_result, name: str) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{name} is no ordinary file, expected an exported .onnx; give another path")
    if status.st_size > MOST_MEGABYTES << 20:
        raise InputError(
            f"{name} has {status.st_size >> 20:,} MB, expected an exported .onnx of at most {MOST_MEGABYTES}; {REMEDY}"
        )


def file_digest(content: bytes) -> tuple[str, str]:
    """Return the digest that a file states (empty where it states none), and the one that its bytes give."""
    places = list(DIGEST.finditer(content))
    if len(places) != 1:
        return "", ""
    start, end = places[0].span(1)
    actual = hashlib.sha256(content[:start])
    actual.update(NO_DIGEST.encode())
    actual.update(memoryview(content)[end:])
    return places[0].group(1).decode(), actual.hexdigest()


def verify_digest(content: bytes, name: str) -> str:
    """Return a file's digest after checking it against the file's bytes."""
    stated, actual = file_digest(content)
    if not stated:
        raise InputError(f"{name} carries no digest: it is truncated, or not made by this system; {REMEDY}")
    if stated != actual:
        raise InputError(
            f"{name} is damaged: its bytes do not give the digest that it carries; copy it again, or {REMEDY}"
        )
    return stated


def check_pixels(pixels: NDArray[np.uint8]) -> None:
    """Raise an `InputError` unless `pixels` is uint8[N, 48, 48] with N at least 1."""
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8:
        kind = getattr(pixels, "dtype", type(pixels).__name__)
        raise InputError(f"the faces are {kind}, expected uint8; give grey values from 0 to 255 as they are")
    if pixels.ndim != 3 or pixels.shape[1:] != (SIDE, SIDE) or not len(pixels):
        raise InputError(
            f"the faces have the shape {list(pixels.shape)}, expected [N, {SIDE}, {SIDE}] with N at least 1"
        )


def filled(pixels: NDArray[np.uint8], batch: int | None) -> NDArray[np.uint8]:
    """Return faces uint8[N, 48, 48] followed by black ones, `batch` in all; as they are where that is None."""
    return pixels if batch is None else np.pad(pixels, ((0, batch - len(pixels)), (0, 0), (0, 0)))


def check_interface(session: Any, manifest: Manifest, name: str) -> None:
    """Raise an `InputError` unless a session's inputs and outputs are those of the contract and the manifest."""
    batch = manifest.batch
    inputs = [(value.name, value.type, *map(_axis, value.shape)) for value in session.get_inputs()]
    if inputs != [("pixels", "tensor(uint8)", batch, SIDE, SIDE)]:
        raise InputError(f"{name} takes {inputs}, expected uint8 pixels [{batch or 'batch'}, {SIDE}, {SIDE}]; {REMEDY}")
    outputs = [(value.name, value.type, value.shape[1:]) for value in session.get_outputs()]
    expected = [(output, "tensor(float)", [len(LABELS)]) for output in ("logits", "probabilities")]
    if manifest.features and outputs:
        # Of any size, which no manifest states.
        expected.append((FEATURES, "tensor(float)", [side for side in outputs[-1][2] if isinstance(side, int)]))
    if outputs != expected:
        besides = f", and {FEATURES} [batch, channels, rows, columns]" if manifest.features else ""
        raise InputError(
            f"{name} gives {outputs}, expected float32 logits and probabilities [batch, 7]{besides}; {REMEDY}"
        )


def _axis(length: Any) -> int | None:
    """Return an axis's length, None where it is open, which onnxruntime gives as its name or as None."""
    return length if isinstance(length, int) else None


def _session(content: bytes, name: str, provider: str, threads: int) -> Any:
    wanted = _provider(provider)
    try:
        return open_session(content, name, wanted, threads)
    except InputError:
        if provider != "auto" or wanted == CPU:
            raise
        session = open_session(content, name, CPU, threads)
        _warn_of_processor(wanted, _unloaded(wanted))
        return session


def open_session(content: bytes, name: str, wanted: str, threads: int, remedy: str = REMEDY) -> Any:
    """Return onnxruntime's session of a model's bytes with the provider `wanted`, called as it does, and no other.

    `remedy` is what to do where it cannot load them on the processor.

    Raises:
        InputError: onnxruntime cannot load them, or not with that provider.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.spin_duration_us", SPIN_MICROSECONDS)
    options.log_severity_level = 3
    on_processor = wanted == CPU
    mend = MEND_GPU if wanted == CUDA else "mend its installation"
    remedy = remedy if on_processor else f"{mend}, or use --provider cpu"
    unloaded = _unloaded(wanted)
    try:
        # Its own way back to the CPU prints to stdout, where programs read answers.
        session = onnxruntime.InferenceSession(content, options, providers=[wanted], enable_fallback=0)
    except Exception as error:  # onnxruntime's errors share no narrower base class
        where = "" if on_processor else f" with {wanted}"
        raise InputError(
            f"{name} cannot be loaded by onnxruntime {onnxruntime.__version__}{where} ({_reason(error)}{unloaded}); "
            f"{remedy}"
        ) from error
    if (used := session.get_providers()[0]) != wanted:
        raise InputError(f"{wanted} was asked for, but onnxruntime fell back to {used}{unloaded}; {remedy}")
    return session


def _reason(error: Exception) -> str:
    """Return the part of an error of onnxruntime that says why; it quotes names from the file."""
    text = str(error).strip() or type(error).__name__
    failure = CUDA_FAILURE.search(text)
    return printable(failure.group().strip() if failure else text.splitlines()[0][:200])


def _unloaded(wanted: str) -> str:
    """Return which of the libraries that a provider needs could not be loaded, as a sentence's end; empty if none."""
    if wanted != CUDA:
        return ""
    # Standard output is the whole process's: two threads that catch it at once would not give it back.
    with _LOADING:
        missing = _load_cuda()
    return f", since {missing}" if missing else ""


@cache
def _load_cuda() -> str:
    """Load CUDA and cuDNN from the environment's own packages, where no loader looks; return what was missing last."""
    # onnxruntime has it from 1.21 on.
    preload = getattr(onnxruntime, "preload_dlls", None)
    if preload is None:
        return ""
    said = StringIO()
    try:
        # It says what it misses on stdout, where programs read answers.
        with redirect_stdout(said):
            preload()
    except Exception as error:  # onnxruntime's errors share no narrower base class
        return f"CUDA's libraries could not be loaded ({str(error).strip()[:200]})"
    # Each line ends with the loader's sentence, which begins with the library's name once more.
    missing = [line.partition(": ")[2] for line in said.getvalue().splitlines() if line.startswith(UNLOADED)]
    return f"a library of CUDA could not be loaded ({missing[-1][:200]})" if missing else ""


@cache
def _warn_of_processor(wanted: str, unloaded: str) -> None:
    """Say, once in a process, that models run on the processor."""
    warn(
        f"onnxruntime lists {wanted} but cannot use it{unloaded}: models run on the processor; {MEND_GPU}, or run "
        f"{install_command('cpu')}"
    )


def _provider(name: str) -> str:
    available = onnxruntime.get_available_providers()
    if name == "auto":
        return CUDA if CUDA in available else CPU
    if name not in PROVIDERS:
        raise InputError(f"--provider is {name!r}, expected auto, {', '.join(PROVIDERS)}")
    if PROVIDERS[name] not in available:
        raise InputError(
            f"--provider {name} is not in this onnxruntime, which has {', '.join(available)}; use --provider cpu"
        )
    return PROVIDERS[name]
