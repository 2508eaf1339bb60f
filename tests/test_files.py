"""Files are whole or absent, and whoever's error it is, people read which file could not be written and why."""

import errno
import importlib.util
import io
import resource
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data.draw import draw, write_csv
from data.files import TEMPORARY_PREFIX, whole_file, write_bytes, write_json, write_text
from training.recipe import FRAMEWORKS
from training.weights import save_arrays

LIMIT = 20_000


@contextmanager
def full_disk() -> Iterator[None]:
    """No file of this process can grow beyond `LIMIT` bytes: the system refuses it as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def noise(count: int) -> bytes:
    return np.random.default_rng(0).bytes(count)


def zipped(path: Path) -> None:
    with whole_file(path) as file, zipfile.ZipFile(file, "w") as archive, archive.open("a", "w") as member:
        member.write(noise(9 * LIMIT))


def pictured(path: Path) -> None:
    grey = np.frombuffer(noise(300 * 300), np.uint8).reshape(300, 300)
    with whole_file(path) as file:
        Image.fromarray(grey).save(file, "PNG")


def hidden(path: Path) -> None:
    with whole_file(path) as file:
        try:
            file.write(noise(9 * LIMIT))
        except OSError as error:
            raise RuntimeError("a library's own words") from error


def swallowed(path: Path) -> None:
    with whole_file(path) as file:
        for _ in range(9):
            try:
                file.write(noise(LIMIT))
            except OSError:
                continue


def reported(path: Path) -> None:
    with whole_file(path) as file, io.TextIOWrapper(file, encoding="ascii") as text:
        text.write("x" * 9 * LIMIT)


def torch_state(path: Path) -> None:
    import torch

    with whole_file(path) as file:
        torch.save({"weights": torch.zeros(9 * LIMIT)}, file)


WRITERS: dict[str, Callable[[Path], None]] = {
    "write_bytes": lambda path: write_bytes(path, noise(9 * LIMIT)),
    "write_text": lambda path: write_text(path, "x" * 9 * LIMIT),
    "write_json": lambda path: write_json(path, ["x"] * LIMIT),
    "save_arrays": lambda path: save_arrays(path, {"weights": np.zeros(9 * LIMIT)}),
    "write_csv": lambda path: write_csv(draw(60, seed=1), path),
    "zipfile": zipped,
    "Pillow": pictured,
    "text": reported,
    "another exception": hidden,
    "no exception": swallowed,
    "torch": torch_state,
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_is_an_os_error_of_the_file_that_was_asked_for(name: str, tmp_path: Path) -> None:
    if name == "torch":
        # Outside of the full disk: Python may write what it compiles.
        pytest.importorskip("torch", reason="PyTorch is not installed (ferox[torch])")
    path = tmp_path / "wanted.bin"
    path.write_bytes(b"before")
    with full_disk(), pytest.raises(OSError, match="File too large") as raised:
        WRITERS[name](path)
    assert (raised.value.errno, raised.value.filename, raised.value.filename2) == (errno.EFBIG, str(path), None)
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]
    WRITERS[name](path)
    assert path.stat().st_size > LIMIT


def test_what_cannot_be_made_or_moved_is_called_by_its_own_name(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(IsADirectoryError) as raised:
        write_bytes(tmp_path / "taken", b"x")
    assert (raised.value.filename, raised.value.filename2) == (str(tmp_path / "taken"), None)
    long = tmp_path / ("x" * 240 + ".bin")
    with pytest.raises(OSError, match=r".") as refused:
        write_bytes(Path("/proc") / "wanted.bin", b"x")
    assert refused.value.filename == "/proc/wanted.bin"
    write_bytes(long, b"x")
    assert not list(tmp_path.glob(f"{TEMPORARY_PREFIX}*"))


def test_an_error_of_another_file_keeps_its_name(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as raised, whole_file(tmp_path / "copy"):
        (tmp_path / "source").read_bytes()
    assert raised.value.filename == str(tmp_path / "source")
    assert not list(tmp_path.iterdir())


def test_a_file_has_the_ordinary_permissions(tmp_path: Path) -> None:
    write_bytes(tmp_path / "wanted", b"x")
    (tmp_path / "ordinary").touch()
    assert (tmp_path / "wanted").stat().st_mode == (tmp_path / "ordinary").stat().st_mode


@pytest.mark.slow
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_training_on_a_full_disk_says_which_file_it_could_not_write(framework: str, tmp_path: Path) -> None:
    if importlib.util.find_spec(framework) is None:
        pytest.skip(f"{framework} is not installed (ferox[{framework}])")
    write_csv(draw(60, seed=1), tmp_path / "faces.csv")

    def limited() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))

    options = ["--framework", framework, "--model", "mlp_1", "--data", str(tmp_path / "faces.csv"), "--epochs", "1"]
    command = [sys.executable, "-m", "training", *options, "--threads", "1", "--out", str(tmp_path / "runs")]
    # Only between fork and exec can the limit be the child's alone.
    done = subprocess.run(command, capture_output=True, text=True, check=False, preexec_fn=limited)
    assert done.returncode == 2, done.stderr
    error = done.stderr.splitlines()[-1]
    assert error.startswith("error: ")
    assert "/state-0001-000000." in error
    assert error.endswith("File too large; check the path and the disk")
    assert "Traceback" not in done.stderr
    assert TEMPORARY_PREFIX not in done.stderr
    assert not list(tmp_path.rglob(f"{TEMPORARY_PREFIX}*"))
