"""An artifact, its proof and its card appear together or not at all, whoever is killed or publishes at once."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from conftest import selection_of

from data.draw import write_csv
from data.faceset import FaceSet
from data.files import TEMPORARY_PREFIX, sha256
from export.publication import CARD, LOCK_FILE, MODEL, PARITY, SUFFIXES, exclusive
from inference.engine import Engine
from inference.report.training_result import Checkpoint
from training.run import read_record, write_record

STEM = "mlp_1.torch.published-official"
WORK = "ferox-export-"

# An export whose framework hands over at once what was converted before; `KILL` and `MEET` say what befalls it.
EXPORT = """
import os, shutil, signal, sys, time
from pathlib import Path
from export import conversion
from export.__main__ import main
from data.commands import run_command

converted, left = Path(os.environ["CONVERTED"]), [int(os.environ.get("KILL", -1))]
replace, unlink = Path.replace, Path.unlink

def handed_over(job, work, worker):
    weight_and_bias = work / "linear.npz"
    for name in ("linear.npz", "network.onnx"):
        shutil.copy(converted / name, work)
    import numpy as np
    linear = np.load(weight_and_bias)
    pixels = np.load(work / "pixels.npy").reshape(-1, 2304).astype(np.float32) / 127.5 - 1
    np.save(work / "reference.npy", pixels @ linear["weight"] + linear["bias"])
    if "MEET" in os.environ:
        meeting = Path(os.environ["MEET"])
        (meeting / str(os.getpid())).touch()
        while len(list(meeting.iterdir())) < 2:
            time.sleep(0.01)

def counted(change):
    def changed(self, *arguments, **options):
        if "models" in str(self):
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1
        return change(self, *arguments, **options)
    return changed

conversion.run_framework = handed_over
Path.replace, Path.unlink = counted(replace), counted(unlink)
run_command(main)
"""


@pytest.fixture(scope="module")
def converted(linear_network: onnx.ModelProto, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("converted")
    weight, bias = (onnx.numpy_helper.to_array(array) for array in linear_network.graph.initializer)
    np.savez(folder / "linear.npz", weight=weight, bias=bias)
    onnx.save(linear_network, folder / "network.onnx")
    return folder


@pytest.fixture
def run(begun_run: Path) -> Path:
    return with_checkpoint(begun_run, 1)


def with_checkpoint(run: Path, epoch: int) -> Path:
    file = run / f"weights-{epoch:04d}.npz"
    file.write_bytes(f"weights of epoch {epoch} in {run.name}".encode())
    newest = Checkpoint(epoch, file.name, sha256(file), 0.5, 1.5)
    write_record(run, replace(read_record(run), checkpoints=(newest,)))
    return run


Begin = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def begin(converted: Path, tmp_path: Path) -> Begin:
    """Begins an export in a process of its own, with its work below `tmp_path`."""
    (tmp_path / "work").mkdir()

    def begun(run: Path, *options: object, **environment: object) -> "subprocess.Popen[str]":
        command = [sys.executable, "-c", EXPORT, str(run), "--out", str(tmp_path / "models"), *map(str, options)]
        said = {name: str(value) for name, value in environment.items()}
        variables = {"CONVERTED": str(converted), "TMPDIR": str(tmp_path / "work")} | said
        return subprocess.Popen(
            command, env=os.environ | variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    return begun


def ended(process: "subprocess.Popen[str]") -> tuple[int, str]:
    _, errors = process.communicate(timeout=100)
    return process.returncode, errors


def age(root: Path) -> None:
    """Make everything look as if it had been written two minutes ago."""
    before = time.time() - 120
    for path in (root, *root.rglob("*")):
        os.utime(path, (before, before), follow_symlinks=False)


def check_together(out: Path, stem: str) -> Engine:
    """An artifact with the proof and the card that are its own."""
    model, proof, card = (out / f"{stem}{suffix}" for suffix in (MODEL, PARITY, CARD))
    engine = Engine.load(model, provider="cpu", threads=1)
    said = json.loads(proof.read_text())
    assert said.pop("stage") == "passed"
    assert said == json.loads(json.dumps(asdict(engine.manifest.parity)))
    assert f"epoch {selection_of(engine.manifest).epoch}:" in card.read_text()
    return engine


def check_nothing_half(out: Path, stem: str) -> None:
    """Nobody reads an artifact without proof or card, nor a proof without its artifact to come."""
    names = {path.name for path in out.iterdir()} if out.exists() else set()
    if f"{stem}{MODEL}" in names:
        assert {f"{stem}{suffix}" for suffix in SUFFIXES} <= names
    elif f"{stem}{PARITY}" in names:
        assert f".ready-{stem}{MODEL}" in names


# Before each step that changes the folder: three files written, each in two steps, three names given, one removed.
MOMENTS = range(10)


@pytest.mark.parametrize("moment", [1, 4, 5, 6, 7, 8, 9, len(MOMENTS)])
def test_an_export_killed_while_it_publishes_leaves_all_or_nothing_for_good(
    moment: int, run: Path, begin: Begin, tmp_path: Path
) -> None:
    out = tmp_path / "models"
    status, errors = ended(begin(run, KILL=moment))
    assert status in (0, -signal.SIGKILL), errors
    assert (status == 0) == (moment not in MOMENTS), "a step is left out"
    check_nothing_half(out, STEM)
    age(tmp_path / "work")
    age(out)
    status, errors = ended(begin(run, "--tag", "next"))
    assert status == 0, errors
    check_together(out, f"{STEM}-next")
    names = {path.name for path in out.iterdir()}
    expected = {f"{STEM}-next{suffix}" for suffix in SUFFIXES} | {LOCK_FILE}
    if f"{STEM}{MODEL}" in names:
        check_together(out, STEM)
        expected |= {f"{STEM}{suffix}" for suffix in SUFFIXES}
    assert names == expected
    assert not list((tmp_path / "work").iterdir())


@pytest.mark.parametrize("moment", [5, 7, 9])
def test_a_replacement_that_is_killed_leaves_the_old_or_the_new_artifact_whole(
    moment: int, run: Path, begin: Begin, tmp_path: Path
) -> None:
    out = tmp_path / "models"
    assert ended(begin(run))[0] == 0
    old = check_together(out, STEM).manifest.digest
    with_checkpoint(run, 2)
    status, errors = ended(begin(run, "--replace", KILL=moment))
    assert status == -signal.SIGKILL, errors
    with exclusive(out):
        engine = check_together(out, STEM)
    assert (engine.manifest.digest == old) == (selection_of(engine.manifest).epoch == 1)
    assert {path.name for path in out.glob(".ready-*")} == set()


def test_of_two_exports_at_once_one_is_told_that_the_name_is_taken(run: Path, begin: Begin, tmp_path: Path) -> None:
    other = tmp_path / "other"
    subprocess.run(["cp", "-r", str(run), str(other)], check=True)
    with_checkpoint(other, 7)
    (tmp_path / "meeting").mkdir()
    processes = [begin(folder, MEET=tmp_path / "meeting") for folder in (run, other)]
    statuses, errors = zip(*map(ended, processes), strict=True)
    assert sorted(statuses) == [0, 2], errors
    assert "is of another checkpoint" in errors[statuses.index(2)]
    assert "--replace" in errors[statuses.index(2)]
    engine = check_together(tmp_path / "models", STEM)
    assert selection_of(engine.manifest).epoch == (1, 7)[statuses.index(0)]


def test_two_exports_that_may_replace_each_other_leave_the_files_of_one(
    run: Path, begin: Begin, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    subprocess.run(["cp", "-r", str(run), str(other)], check=True)
    with_checkpoint(other, 7)
    (tmp_path / "meeting").mkdir()
    processes = [begin(folder, "--replace", MEET=tmp_path / "meeting") for folder in (run, other)]
    assert [ended(process)[0] for process in processes] == [0, 0]
    check_together(tmp_path / "models", STEM)


def test_a_disk_that_is_full_when_it_publishes_leaves_what_was_there(run: Path, begin: Begin, tmp_path: Path) -> None:
    out = tmp_path / "models"
    assert ended(begin(run))[0] == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    with_checkpoint(run, 2)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(out)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a small file system can be mounted by root alone")
    try:
        for name, content in before.items():
            if name != f"{STEM}{MODEL}":
                (out / name).write_bytes(content)
        left = {path.name: path.read_bytes() for path in out.iterdir()}
        status, errors = ended(begin(run, "--replace"))
        assert status == 2
        assert f"error: {run} is not published: {out / STEM}.onnx: No space left on device" in errors
        assert "Traceback" not in errors
        assert {path.name: path.read_bytes() for path in out.iterdir()} == left
    finally:
        subprocess.run(["umount", str(out)], check=True)


@pytest.fixture(scope="module")
def trained(drawn: FaceSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("torch", reason="PyTorch is not installed (ferox[torch])")
    pytest.importorskip("onnxscript", reason="exporting needs ferox[export]")
    folder = tmp_path_factory.mktemp("trained")
    write_csv(drawn, folder / "fer2013.csv")
    options = ["--model", "mlp_4", "--data", folder / "fer2013.csv", "--epochs", 5, "--threads", 1]
    command = [sys.executable, "-m", "training", *options, "--out", folder / "runs"]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=True)
    return Path(done.stdout.splitlines()[-1])


def test_what_exports_leave_that_are_killed_at_any_time_is_removed_by_the_next(trained: Path, tmp_path: Path) -> None:
    work, out = tmp_path / "work", tmp_path / "models"
    work.mkdir()
    environment = os.environ | {"TMPDIR": str(work)}
    command = [sys.executable, "-m", "export", str(trained), "--precision", "int8", "--out", str(out)]
    left = 0
    # From its start to its end, which is some 10 seconds away.
    for seconds in (0.5, 2.0, 4.0, 6.0, 8.0):
        process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, start_new_session=True)
        time.sleep(seconds)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        check_nothing_half(out, "mlp_4.torch.published-official.int8")
        left += len(list(work.glob("ferox-*")))
        age(work)
        if out.exists():
            age(out)
    assert left
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    check_together(out, "mlp_4.torch.published-official.int8")
    assert not list(work.glob("ferox-*"))
    assert not list(out.glob(f"{TEMPORARY_PREFIX}*"))
