"""What the Dockerfile's images do, without a container engine: its files in a fresh folder that may not be written to,
its commands as a user without rights."""

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from server_process import until

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "Dockerfile").read_text()
NOBODY = 65_534
STAGES = {stage.split()[0]: stage for stage in re.split(r"^FROM \S+ AS ", TEXT, flags=re.MULTILINE)[1:]}


@dataclass(frozen=True)
class Image:
    """Where an image's files are, where it may write, and the Python that its user may run."""

    files: Path
    scratch: Path
    python: str

    def command(self, stage: str, instruction: str, port: int) -> list[str]:
        """An instruction's command, for a port of its own and this machine alone."""
        (text,) = re.findall(rf"^{instruction} .*?(\[.*\])$", STAGES[stage], re.MULTILINE)
        shown = re.findall(r"^EXPOSE (\d+)$", STAGES[stage], re.MULTILINE)
        words = [word.replace(shown[0], str(port)).replace("0.0.0.0", "127.0.0.1") for word in json.loads(text)]
        return [self.python, *(word.replace("/tmp/", f"{self.scratch}/") for word in words[1:])]

    def started(self, words: list[str], log: Path) -> subprocess.Popen[bytes]:
        """Start a command as the image's user, with its variables."""
        lines = re.findall(r"^ENV (.*)$", STAGES["base"], re.MULTILINE)
        variables = dict(word.split("=", 1) for line in lines for word in shlex.split(line))
        variables = {name: value.replace("/tmp", str(self.scratch)) for name, value in variables.items()}
        variables |= {"PATH": os.defpath, "TMPDIR": str(self.scratch), "PYTHONPATH": sysconfig.get_path("purelib")}
        user = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
        with log.open("ab") as written:
            return subprocess.Popen(words, cwd=self.files, env=variables, stdout=written, stderr=written, **user)  # type: ignore[call-overload, no-any-return]


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    # Not below pytest's own folder, which no other user may enter.
    with tempfile.TemporaryDirectory(prefix="ferox-image-") as folder:
        place = Path(folder)
        place.chmod(0o755)
        files, scratch = place / "files", place / "scratch"
        scratch.mkdir()
        scratch.chmod(0o777)
        for *sources, target in map(str.split, re.findall(r"^COPY (.*)$", TEXT, re.MULTILINE)):
            for source in sources:
                copy(ROOT / source, files / target / (source if target == "./" else ""))
        for path in (files, *files.rglob("*")):
            path.chmod(0o555 if path.is_dir() else 0o444)
        made = Image(files, scratch, "")
        own = f"/usr/bin/python3.{sys.version_info.minor}"
        for python in (sys.executable, own):
            if Path(python).exists() and usable(made, python):
                yield Image(files, scratch, python)
                break
        else:
            pytest.skip(f"a user without rights can run neither {sys.executable} nor {own}")
        for path in (files, *files.rglob("*")):
            path.chmod(0o755)


def copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "*.csv", "*.zip", "node_modules"))
    else:
        shutil.copyfile(source, target)


def usable(image: Image, python: str) -> bool:
    try:
        return image.started([python, "-c", "import onnxruntime"], image.scratch / "log").wait() == 0
    except PermissionError:
        return False


def listing(folder: Path) -> list[tuple[Path, int]]:
    return sorted((path, path.stat().st_mtime_ns) for path in folder.rglob("*"))


@pytest.mark.parametrize(("stage", "needs"), [("server", "uvicorn"), ("page", "gradio")])
def test_an_image_runs_without_rights_on_a_root_that_is_read_only(image: Image, stage: str, needs: str) -> None:
    pytest.importorskip(needs, reason=f"its image is for ferox[{stage}]")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    log, health = image.scratch / f"{stage}.log", image.command(stage, "HEALTHCHECK", port)

    def healthy() -> bool:
        assert running.poll() is None, log.read_text()
        return image.started(health, image.scratch / "log").wait() == 0

    before = listing(image.files)
    running = image.started(image.command(stage, "ENTRYPOINT", port), log)
    try:
        until(healthy, 90)
    finally:
        running.terminate()
        ended = running.wait(timeout=60)
    assert ended == 0, log.read_text()
    assert image.started(health, image.scratch / "log").wait() != 0
    assert listing(image.files) == before
    assert "Traceback" not in log.read_text()


def test_every_instruction_that_matters_is_there() -> None:
    for stage in ("server", "page"):
        (user,) = re.findall(r"^USER (\d+)$", STAGES[stage], re.MULTILINE)
        assert int(user) > 0
        (extras,) = re.findall(r"'\.\[(.*)\]'", STAGES[stage])
        assert extras == {"server": "cpu,serve", "page": "cpu,demo,video"}[stage]
    assert list(STAGES) == ["base", "page", "server"]
