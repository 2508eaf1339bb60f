"""Puts an artifact, its proof and its card under their names: all three or none, and one export at a time.

All are written under other names first, the `.onnx` last; from then on they only have to be renamed. An export that is
killed before leaves nothing that anybody reads; one that is killed after is finished by the next export into the same
folder.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data.files import remove_temporaries, write_bytes
from data.locks import waited
from data.scratch import NEW_SECONDS

LOCK_FILE = ".lock"
READY_PREFIX = ".ready-"
PARITY, CARD, MODEL, FAILURE = ".parity.json", ".md", ".onnx", ".failed.parity.json"
# In the order that they get their names: an `.onnx` is never without the others.
SUFFIXES = (PARITY, CARD, MODEL)


@contextmanager
def exclusive(out: Path) -> Iterator[None]:
    """Hold a folder of artifacts, which is made where there is none; finish or clear what a killed export has left.

    Waits while another export holds it, which it does to look and to rename, not while it converts or measures.
    """
    out.mkdir(parents=True, exist_ok=True)
    with waited(out / LOCK_FILE):
        _settle(out)
        yield


def put(out: Path, stem: str, contents: dict[str, bytes]) -> Path:
    """Write the files of an artifact, by `SUFFIXES`, in a folder that is held; return the `.onnx`.

    Raises:
        OSError: one of them cannot be written; none has changed.
    """
    for suffix in SUFFIXES:
        try:
            write_bytes(_ready(out, stem, suffix), contents[suffix])
        except OSError as error:
            for written in SUFFIXES:
                _ready(out, stem, written).unlink(missing_ok=True)
            raise OSError(error.errno, error.strerror, str(out / f"{stem}{suffix}")) from error
    _rename(out, stem)
    return out / f"{stem}{MODEL}"


def _settle(out: Path) -> None:
    """Finish what is ready, and remove what never will be."""
    for model in out.glob(f"{READY_PREFIX}*{MODEL}"):
        _rename(out, model.name.removeprefix(READY_PREFIX).removesuffix(MODEL))
    for incomplete in out.glob(f"{READY_PREFIX}*"):
        incomplete.unlink()
    remove_temporaries(out, NEW_SECONDS)


def _rename(out: Path, stem: str) -> None:
    for suffix in SUFFIXES:
        ready = _ready(out, stem, suffix)
        if ready.exists():
            ready.replace(out / f"{stem}{suffix}")
    (out / f"{stem}{FAILURE}").unlink(missing_ok=True)


def _ready(out: Path, stem: str, suffix: str) -> Path:
    return out / f"{READY_PREFIX}{stem}{suffix}"
