"""Nothing leaves this machine: real processes are watched from outside, system call by system call."""

import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import pytest

from data.draw import draw, write_csv
from data.reporting import SWITCHES
from demo.examples import draw_examples
from training.recipe import FRAMEWORKS

STRACE = shutil.which("strace")
CALLS = "connect,sendto,sendmsg,sendmmsg,openat,open,creat,mkdir,mkdirat,rename,renameat,renameat2"
PEER = re.compile(r'sa_family=AF_INET6?.*?(?:inet_addr\("([^"]+)"\)|inet_pton\(AF_INET6, "([^"]+)")')
# A call, the folder that a relative path starts from where it names one, and the path; of a renaming, the new name.
PLACE = r"(?:AT_FDCWD|\d+)(?:<([^>]*)>)?, "
PATH = re.compile(rf'(open\w*|creat|mkdir\w*|rename\w*)\((?:{PLACE})?(?:"[^"]*", (?:{PLACE})?)?"([^"]+)"')
WRITES = ("O_WRONLY", "O_RDWR", "O_CREAT")
# Below the home folder, as the README names them.
CACHES = (".cache/ferox", ".cache/matplotlib", ".config/matplotlib", ".keras", ".cache/paddle")
needs_strace = pytest.mark.skipif(
    STRACE is None, reason="watching a process takes strace: install Debian's package strace"
)


@dataclass(frozen=True)
class Watched:
    """What a process and its children did: hosts that they spoke to, and files that they opened to write or made."""

    status: int
    output: str
    hosts: set[str]
    written: set[Path]

    def outside(self, *folders: Path) -> set[Path]:
        """The written files that lie in none of the folders, nor are folders above them."""
        places = [folder.resolve() for folder in folders]

        def related(path: Path) -> bool:
            return any(path.is_relative_to(place) or place.is_relative_to(path) for place in places)

        return {path for path in self.written if not related(path)}


def environment(home: Path) -> dict[str, str]:
    """A new user's: an empty home folder, and nothing that switches reporting off."""
    kept = {
        name: value for name, value in os.environ.items() if name not in {*SWITCHES, "FEROX_CACHE", "XDG_CACHE_HOME"}
    }
    return kept | {"HOME": str(home), "TMPDIR": str(home / "tmp"), "PYTHONDONTWRITEBYTECODE": "1"}


def command(log: Path, *arguments: object) -> list[str]:
    assert STRACE is not None
    watch = [STRACE, "-f", "--seccomp-bpf", "-qq", "-y", "-s", "400", "-e", f"trace={CALLS}", "-o", str(log)]
    return [*watch, sys.executable, *map(str, arguments)]


def watched(log: Path, status: int, output: str) -> Watched:
    hosts, written = set(), set()
    for line in log.read_text(errors="replace").splitlines():
        if found := PEER.search(line):
            hosts.add(found[1] or found[2])
        found = PATH.search(line)
        if found is None or re.search(r"= -1 E", line):
            continue
        if "open" not in found[1] or any(flag in line for flag in WRITES):
            written.add((Path(found[3] or found[2] or ".") / found[4]).resolve())
    return Watched(status, output, hosts, {path for path in written if path.parts[1] not in ("dev", "proc", "sys")})


def run(home: Path, *arguments: object) -> Watched:
    (home / "tmp").mkdir(parents=True, exist_ok=True)
    log = home.with_suffix(".strace")
    done = subprocess.run(
        command(log, *arguments), capture_output=True, text=True, check=False, env=environment(home), timeout=280
    )
    return watched(log, done.returncode, done.stdout + done.stderr)


def caches(home: Path) -> list[Path]:
    return [home / "tmp", *(home / cache for cache in CACHES)]


@needs_strace
def test_a_watched_process_that_does_report_is_found_out(tmp_path: Path) -> None:
    """That the watching itself sees a look-up, a datagram and a file."""
    code = "import socket; s = socket.socket(type=socket.SOCK_DGRAM); s.connect(('192.0.2.1', 9)); open('%s', 'w')"
    found = run(tmp_path / "home", "-c", code % (tmp_path / "id"))
    assert found.hosts == {"192.0.2.1"}
    assert found.outside(*caches(tmp_path / "home")) == {tmp_path / "id"}


@needs_strace
def test_a_program_that_answers_and_waits_speaks_to_nobody(tiny_model: Path, tmp_path: Path) -> None:
    """Without the switch, onnxruntime 1.32 looks up its maker's host within seconds of an import."""
    code = (
        "import sys, time; from pathlib import Path; from inference.engine import Engine; import numpy as np; "
        "Engine.load(Path(sys.argv[1])).run(np.zeros((2, 48, 48), np.uint8)); time.sleep(10)"
    )
    found = run(tmp_path / "home", "-c", code, tiny_model)
    assert found.status == 0, found.output
    assert found.hosts == set()
    assert found.outside() == set()


@needs_strace
def test_commands_speak_to_nobody_and_write_where_they_say(tiny_model: Path, tmp_path: Path) -> None:
    write_csv(draw(300, seed=3), tmp_path / "fer2013.csv")
    data = ["--data", tmp_path / "fer2013.csv"]
    for name, arguments in {
        "info": ["data", "info", tmp_path / "fer2013.csv"],
        "evaluate": ["inference", "evaluate", tiny_model, *data],
        "compare": ["inference", "compare", tiny_model, *data, "--latency-seconds", 0.05],
    }.items():
        home, out = tmp_path / name, tmp_path / f"{name}-out"
        found = run(home, "-m", *arguments, "--out", out)
        assert found.status == 0, found.output
        assert found.hosts == set(), name
        assert found.outside(out, *caches(home)) == set(), name


@needs_strace
def test_another_runtime_speaks_to_nobody(tiny_model: Path, tmp_path: Path) -> None:
    """OpenVINO 2026 looks up the host of its maker's statistics when it is imported."""
    pytest.importorskip("openvino", reason="OpenVINO is not installed (ferox[dev])")
    code = (
        "import sys, time; from pathlib import Path; from inference.benchmark.runtimes import open_openvino; "
        "open_openvino('OpenVINO', Path(sys.argv[1]), None, 1); time.sleep(2)"
    )
    found = run(tmp_path / "home", "-c", code, tiny_model)
    assert found.status == 0, found.output
    assert found.hosts == set()
    assert found.outside(*caches(tmp_path / "home")) == set()


@needs_strace
def test_ray_on_this_machine_speaks_to_it_alone_and_writes_where_it_says(tiny_model: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray is not installed (ferox[ray])")
    draw_examples(tmp_path / "photos")
    home, out = tmp_path / "home", tmp_path / "out"
    words = ["--model", tiny_model, "--out", out, "--format", "csv", "--ray", "local"]
    found = run(home, "-m", "ferox", "predict", tmp_path / "photos", *words)
    assert found.status == 0, found.output
    assert found.hosts <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
    ray = {path for path in found.written if path.parts[:2] == ("/", "tmp") and path.parts[2].startswith("ferox-ray-")}
    assert ray
    assert not any(path.exists() for path in ray)
    assert found.outside(out, *caches(home)) - ray == set()


@needs_strace
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_training_and_its_export_speak_to_nobody_and_write_where_they_say(framework: str, tmp_path: Path) -> None:
    if importlib.util.find_spec(framework) is None:
        pytest.skip(f"{framework} is not installed (ferox[{framework}])")
    home, runs, models = tmp_path / "home", tmp_path / "runs", tmp_path / "models"
    options = ["--framework", framework, "--model", "mlp_4", "--epochs", 3, "--threads", 1]
    trained = run(home, "-m", "training", *options, "--out", runs)
    assert trained.status == 0, trained.output
    folder = next(runs.glob("*/*/*"))
    exported = run(home, "-m", "export", folder, "--out", models)
    assert exported.status == 0, exported.output
    for found in (trained, exported):
        assert found.hosts == set()
        assert found.outside(runs, models, *caches(home)) == set()


@needs_strace
@pytest.mark.parametrize("served", ["page", "server"])
def test_page_and_server_speak_to_this_machine_alone_with_nobody_visiting(
    served: str, tiny_model: Path, tmp_path: Path
) -> None:
    extra, needed = {"page": ("demo", "gradio"), "server": ("serve", "prometheus_client")}[served]
    pytest.importorskip(needed, reason=f"the {served} needs {needed}: install ferox[{extra}]")
    home, log = tmp_path / "home", tmp_path / "strace"
    (home / "tmp").mkdir(parents=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    places = ["--models", tiny_model.parent, "--reports", tmp_path / "reports", "--runs", tmp_path / "runs"]
    arguments = ["-m", "demo", *places] if served == "page" else ["-m", "ferox.serving", tiny_model]
    process = subprocess.Popen(
        command(log, *arguments, "--port", port),
        env=environment(home),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        answers(f"http://127.0.0.1:{port}/{'config' if served == 'page' else 'v2/health/ready'}")
        time.sleep(12)
    finally:
        # strace itself does not hand the signal on.
        (child,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(child), signal.SIGTERM)
        process.wait(60)
    found = watched(log, process.returncode, "")
    assert found.hosts <= {"127.0.0.1", "::1"}
    assert found.outside(tmp_path / "reports", tmp_path / "runs", *caches(home)) == set()


def answers(url: str, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            urllib.request.urlopen(url, timeout=20).read()
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.5)
        else:
            return


def test_who_imported_onnxruntime_first_is_told(tmp_path: Path) -> None:
    code = "import sys, types; sys.modules['onnxruntime'] = types.ModuleType('onnxruntime'); import data"
    plain = environment(tmp_path)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=plain)
    assert "onnxruntime was imported before ferox" in done.stderr
    silenced = plain | {"ORT_DISABLE_TELEMETRY": "1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=silenced)
    assert not done.stderr
