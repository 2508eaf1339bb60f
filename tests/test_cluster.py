"""Work shared out by Ray, between nodes on the loopback: the same results as without it, whatever is killed."""

import csv
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from data.draw import write_csv
from data.errors import InputError
from data.faceset import FaceSet
from demo.examples import draw_examples
from inference.batch.conditions import Conditions, check
from inference.cluster import SCRATCH_PREFIX, check_room, joined
from training.cluster import ClusterSettings, Order, Sharing, train
from training.grid import Trial

pytest.importorskip("ray", reason="Ray is not installed (ferox[ray])")
pytest.importorskip("torch", reason="PyTorch is not installed (ferox[torch])")

ROOT = Path(__file__).parents[1]
CROPS, SHARD = 120, 16
TOKEN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
# What reads pictures dies at some, and takes its time at others. Ray's own processes start with this, too.
HOOKS = """
import sys
if any("spawn_main" in word for word in sys.orig_argv):
    import os, time, inference.batch.worker as worker
    real = worker.predict_files
    def hooked(engine, files, *others, **named):
        if "deadly" in files[0].name:
            os.kill(os.getpid(), 9)
        time.sleep(0.1 * ("slow" in files[0].name))
        return real(engine, files, *others, **named)
    worker.predict_files = hooked
"""


class Nodes:
    """A cluster of nodes with one processor each, in processes of its own."""

    def __init__(self, site: Path) -> None:
        (site / "sitecustomize.py").write_text(HOOKS)
        self.variables = TOKEN | {"PYTHONPATH": f"{site}:{ROOT}"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.ray_nodes"],
            cwd=ROOT,
            env=os.environ | self.variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.address = self.said()

    def said(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def tell(self, word: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()
        assert self.said().endswith("nodes")


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    cluster = Nodes(tmp_path_factory.mktemp("site"))
    yield cluster
    cluster.process.communicate(timeout=60)


@pytest.fixture(scope="module")
def album(drawn: FaceSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs, crops that take their time, a picture that is none, and one that kills what reads it."""
    folder = tmp_path_factory.mktemp("album")
    draw_examples(folder)
    for number, pixels in enumerate(drawn.pixels[:CROPS]):
        Image.fromarray(pixels).save(folder / f"slow-{number:03d}.png")
    shutil.copy(folder / "slow-000.png", folder / "z-deadly.png")
    (folder / "z-broken.jpg").write_bytes(b"no picture")
    return folder


def ferox(*words: object, **variables: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "ferox", *map(str, words)],
        cwd=ROOT,
        env=os.environ | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def predict(album: Path, out: Path, model: Path, *words: object, **variables: str) -> "subprocess.Popen[str]":
    table = ["--out", out, "--model", model, "--format", "jsonl", "--shard", SHARD]
    return ferox("predict", album, *table, *words, **variables)


def shards(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.glob("part-*")}


def until(condition: Callable[[], object], seconds: float = 200) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture(scope="module")
def whole(album: Path, tiny_model: Path, nodes: Nodes, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The shards of a job without Ray that nothing has interrupted."""
    out = tmp_path_factory.mktemp("whole")
    process = predict(album, out, tiny_model, "--jobs", 2, **nodes.variables)
    assert process.wait() == 2, process.communicate()
    found = shards(out)
    assert b"z-deadly.png is not read: the process that read it was ended by SIGKILL, twice" in b"".join(found.values())
    return found


@pytest.mark.slow
def test_shards_are_the_same_byte_by_byte_whoever_is_killed(
    whole: dict[str, bytes], album: Path, tiny_model: Path, nodes: Nodes, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    first = predict(album, out, tiny_model, "--ray", nodes.address, **nodes.variables)
    until(lambda: len(shards(out)) >= 2 or first.poll() is not None)
    first.kill()
    first.communicate()
    before = shards(out)
    assert 2 <= len(before) < len(whole)
    second = predict(album, out, tiny_model, "--ray", nodes.address, **nodes.variables)
    until(lambda: len(shards(out)) > len(before) or second.poll() is not None)
    assert len(shards(out)) < len(whole)
    nodes.tell("kill")
    stdout, stderr = second.communicate(timeout=250)
    nodes.tell("add")
    assert second.returncode == 2, stderr
    assert stdout == f"{out}\n"
    assert f"{len(before)} of {len(whole)} shards are there already" in stderr
    assert shards(out) == whole


@pytest.mark.slow
def test_a_job_on_this_machine_that_is_ended_leaves_nothing_at_work(
    album: Path, tiny_model: Path, nodes: Nodes, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    process = predict(album, out, tiny_model, "--ray", "local", PYTHONPATH=nodes.variables["PYTHONPATH"])
    until(lambda: shards(out) or process.poll() is not None)
    family = descendants(process.pid)
    process.send_signal(signal.SIGTERM)
    stdout, stderr = process.communicate(timeout=120)
    assert (process.returncode, stdout) == (128 + signal.SIGTERM, ""), stderr
    assert len(family) > 5
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in family), 30)


# --- sweeps


def sweep(table: Path, out: Path, *words: object, **variables: str) -> "subprocess.Popen[str]":
    grid = ["--models", "mlp_4", "--frameworks", "torch", "--optimizers", "adam", "adagrad"]
    common = ["--data", table, "--epochs", 40, "--threads", 1, "--keep", "last"]
    return ferox("sweep", *grid, *common, "--out", out, *words, **variables)


def rows(out: Path) -> list[dict[str, str]]:
    """The table of a sweep, without what is measured."""
    with (out / "results.csv").open() as file:
        return [{name: value for name, value in row.items() if name != "seconds"} for row in csv.DictReader(file)]


def begun(out: Path, lease: int) -> int:
    """How many trainings have an epoch behind them that is committed, under leases of that number."""
    files = out.glob(f"*/lease-{lease:04d}/*/*/*/metrics.jsonl")
    return sum(len(file.read_text().splitlines()) > 1 for file in files)


@pytest.fixture(scope="module")
def table(drawn: FaceSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("table") / "fer2013.csv"
    write_csv(drawn, path)
    return path


@pytest.fixture(scope="module")
def expected(table: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    """The table of a sweep without Ray."""
    out = tmp_path_factory.mktemp("sweep")
    process = sweep(table, out)
    assert process.wait() == 0, process.communicate()
    return rows(out)


@pytest.mark.slow
def test_a_sweep_comes_to_the_same_whoever_is_killed(
    expected: list[dict[str, str]], table: Path, nodes: Nodes, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    words = ["--ray", nodes.address, "--ray-lease", 4]
    first = sweep(table, out, *words, **nodes.variables)
    until(lambda: begun(out, 1) == 2 or first.poll() is not None)
    first.kill()
    first.communicate()
    # Twice at a time, as by people at two machines.
    drivers = [sweep(table, out, *words, **nodes.variables) for _ in range(2)]
    until(lambda: begun(out, 2) == 2 or all(driver.poll() is not None for driver in drivers))
    nodes.tell("kill")
    said = [driver.communicate(timeout=280) for driver in drivers]
    nodes.tell("add")
    assert [driver.returncode for driver in drivers] == [0, 0], said
    assert {stdout for stdout, _ in said} == {f"{out / 'results.csv'}\n"}
    assert rows(out) == expected
    assert any("it goes on where there is room" in stderr for _, stderr in said)
    assert sorted(len(list(trial.glob("lease-*"))) for trial in out.glob("torch-*")) == [2, 3]
    # Nothing began anew.
    logs = [path.read_text() for path in out.glob("*/lease-*/training.log")]
    assert sum("epoch 1:" in log for log in logs) == 2
    without = sweep(table, out)
    assert without.wait() == 2
    assert "was begun with --ray" in without.communicate()[1]


@pytest.mark.slow
def test_a_sweep_that_is_interrupted_writes_its_states_and_leaves_nothing_at_work(table: Path, tmp_path: Path) -> None:
    out, home = tmp_path / "out", tmp_path / "home"
    home.mkdir()
    process = sweep(table, out, "--ray", "local", HOME=str(home))
    until(lambda: begun(out, 1) or process.poll() is not None)
    family = descendants(process.pid)
    assert listening(family) <= {"127.0.0.1", "::1"}
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 128 + signal.SIGINT, stderr
    assert "the same command goes on: ferox sweep" in stderr
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in family), 30)
    assert not list(home.rglob(".ray*"))
    states = [path.read_text() for path in out.glob("*/lease-0001/*/*/*/run.json")]
    assert any('"status": "stopped"' in state for state in states)
    beats = [path.read_text().strip() for path in out.glob("*/lease-0001/beat")]
    assert set(beats) == {"released"}


def descendants(pid: int) -> set[int]:
    found = {pid}
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        found |= descendants(int(child))
    return found


def listening(pids: set[int]) -> set[str]:
    """The addresses that processes listen on."""
    said = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True, check=True).stdout
    lines = [line for line in said.splitlines() if any(f"pid={pid}," in line for pid in pids)]
    assert lines
    return {line.split()[3].rpartition(":")[0].strip("[]").removeprefix("::ffff:") for line in lines}


# --- what cannot be


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("nowhere", "--ray is 'nowhere', expected local or HOST:PORT"),
        ("127.0.0.1:70000", "expected local or HOST:PORT"),
        ("ray://127.0.0.1:10001", "expected local or HOST:PORT"),
        ("127.0.0.1:9", "where nothing answers (Connection refused)"),
    ],
)
def test_an_address_without_a_cluster_is_a_sentence(address: str, words: str) -> None:
    with pytest.raises(InputError) as refused, joined(address):
        pass
    assert words in str(refused.value)
    assert "`ray start --head` has printed" in str(refused.value)


def test_a_server_that_is_no_ray_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inference.cluster.JOIN_SECONDS", 2.0)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(InputError, match="something answers, but no Ray within 2 s"), joined(address):
            pass


def test_without_ray_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"Ray is not installed; .*ray\]"), joined("local"):
        pass


def test_commands_without_ray_s_option_do_not_import_it(table: Path, tiny_model: Path, tmp_path: Path) -> None:
    code = (
        "import sys, ferox, ferox.command as command, training.sweep, inference.batch.job; "
        "command.main(sys.argv[1:]); sys.exit('ray' in sys.modules)"
    )
    words = ["predict", str(tmp_path / "face.png"), "--model", str(tiny_model), "--faces", "whole"]
    Image.new("L", (48, 48)).save(tmp_path / "face.png")
    for more in ([], ["--out", str(tmp_path / "out"), "--format", "csv"]):
        done = subprocess.run([sys.executable, "-c", code, *words, *more], cwd=ROOT, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"cpus": 0}, "--ray-cpus is 0"),
        ({"gpus": 1.5}, "--ray-gpus is 1.5"),
        ({"gpus": float("nan")}, "--ray-gpus is nan"),
        ({"lease": 0.1}, "--ray-lease is 0.1"),
    ],
)
def test_wrong_amounts_are_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        ClusterSettings(address="local", **settings)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--ray-gpus", "1"], "--ray-gpus is 1, but --ray does not say where"),
        (["--ray", "local", "--device", "cuda"], "Ray gives each training no GPU"),
        (["--ray", "local", "--ray-cpus", "0"], "--ray-cpus is 0"),
        (["--ray", "nowhere"], "expected local or HOST:PORT"),
    ],
)
def test_a_sweep_refuses_what_does_not_go_together(options: list[str], words: str, table: Path, tmp_path: Path) -> None:
    done = sweep(table, tmp_path / "out", *options)
    _, stderr = done.communicate()
    assert done.returncode == 2
    assert words in stderr


class Machines:
    """In the place of the module `ray`: machines with so many processors and GPUs, whose tasks end as they are told."""

    import ray.exceptions as exceptions

    def __init__(self, *machines: tuple[float, float], ends: Sequence[Any] = ()) -> None:
        self.machines = machines
        self.ends = list(ends)

    def nodes(self) -> list[dict[str, Any]]:
        return [{"Alive": True, "Resources": {"CPU": cpus, "GPU": gpus}} for cpus, gpus in self.machines]

    def remote(self, **_: Any) -> Callable[[Any], Any]:
        return lambda function: self

    def options(self, name: str) -> Any:
        return SimpleNamespace(remote=lambda order: name)

    def wait(self, references: list[Any], **_: Any) -> tuple[list[Any], list[Any]]:
        return references, []

    def get(self, reference: Any) -> Any:
        end = self.ends.pop(0)
        if isinstance(end, Exception):
            raise end
        return end

    def cancel(self, reference: Any) -> None:
        raise AssertionError("nothing is left to cancel")


def test_room_that_no_machine_has_is_a_sentence_or_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    ray = Machines((4, 0), (2, 1))
    check_room(ray, "local", 4, 0, "--threads")
    check_room(ray, "local", 2, 0.5, "--threads")
    assert capsys.readouterr().err == ""
    with pytest.raises(InputError, match=r"each asks for 4 processors and 1 GPUs, .* the largest have 4 and 1; lower"):
        check_room(ray, "local", 4, 1, "--threads")
    check_room(ray, "10.0.0.1:6379", 4, 1, "--threads")
    assert "warning: each asks for 4 processors" in capsys.readouterr().err


def test_a_trial_that_is_lost_again_and_again_is_given_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import ray.exceptions

    ends = [ray.exceptions.WorkerCrashedError(), ("lost", "the disk is full"), ("taken", ""), ("stopped", "")]
    cluster = Machines((1, 0), ends=ends)
    words = {Trial("torch", "mlp_1", "adam", None): ("--epochs", "1")}
    Sharing(cluster, tmp_path, words, ClusterSettings(address="local")).run(lambda: False)
    said = capsys.readouterr().err.splitlines()
    assert said == [
        "torch-mlp_1-adam: lost after epoch 0 (WorkerCrashedError); it goes on where there is room",
        "torch-mlp_1-adam: lost after epoch 0 (the disk is full); it goes on where there is room",
        "error: torch-mlp_1-adam: stopped after epoch 0, 3 times over; it is given up until the next time",
    ]


def test_what_a_machine_could_not_do_is_a_sentence(tmp_path: Path) -> None:
    import ray.exceptions

    for cause, words in (
        (InputError("host does not see the sweep"), "^host does not see the sweep$"),
        (ModuleNotFoundError("No module named 'training'"), "could not do its part .*No module named 'training'.*same"),
    ):
        error: Any = ray.exceptions.RayTaskError("train", "", cause)  # type: ignore[no-untyped-call]
        cluster = Machines((1, 0), ends=[error])
        sharing = Sharing(cluster, tmp_path, {Trial("torch", "mlp_1", "adam", None): ()}, ClusterSettings(address="x"))
        with pytest.raises(InputError, match=words):
            sharing.run(lambda: False)


def test_a_machine_that_does_not_see_the_folder_or_has_another_version_is_named(tmp_path: Path) -> None:
    from importlib.metadata import version

    order = Order(tmp_path / "trial", 1, 10.0, (), tmp_path, "0" * 64, version("ferox"))
    with pytest.raises(InputError, match=f"{socket.gethostname()} does not see the sweep in {tmp_path}"):
        train(order)
    with pytest.raises(InputError, match=r"has ferox .*, expected 0\.0"):
        train(Order(tmp_path / "trial", 1, 10.0, (), tmp_path, "0" * 64, "0.0"))


def test_a_machine_that_would_answer_otherwise_is_named() -> None:
    here = Conditions(model="a", finder="haar", versions={"numpy": "2"}, pictures="p")
    check(here, here, "host")
    with pytest.raises(InputError, match=r"host has versions .*'numpy': '1'.*install these"):
        check(Conditions(model="a", finder="haar", versions={"numpy": "1"}, pictures="p"), here, "host")
    with pytest.raises(InputError, match="host has other model, pictures, expected what this machine has"):
        check(Conditions(model="b", finder="haar", versions={"numpy": "2"}, pictures="q"), here, "host")


def test_no_folder_of_ray_s_is_left() -> None:
    """After all of the above: what a killed driver leaves is removed by the next."""
    assert not [path for path in Path("/tmp").glob(f"{SCRATCH_PREFIX}*") if time.time() - path.stat().st_mtime > 3600]
