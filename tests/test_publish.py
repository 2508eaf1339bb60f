"""What an artifact is called, and that no export takes the place of another model or of its proof."""

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from data.documents import parse_document
from data.errors import InputError
from data.faceset import FaceSet
from data.files import sha256
from data.load import load
from data.splits import SplitPlan
from export import batch, conversion
from export import job as jobs
from export import worker as workers
from export.__main__ import main as export_command
from export.contract import network_bytes
from export.conversion import ExportError
from export.framework_side import Asked
from export.job import ExportJob, Form, Options, artifact_stem, refuse_taken_names
from export.parity import BATCHES, answers_in_batches, probes
from export.publish import publish
from export.worker import Worker
from ferox.command import main as ferox_command
from inference.engine import Engine
from inference.manifest import Parity
from training import run as training_run
from training.recipe import CHOICES, recipe
from training.run import read_record, write_record


def test_names_tell_apart_what_sweeps_vary() -> None:
    base = recipe("published", "torch", "cnn_1")
    assert artifact_stem(base, "fp32") == "cnn_1.torch.published-official"
    assert artifact_stem(replace(base, optimizer="sgd"), "int8") == "cnn_1.torch.published-sgd-official.int8"
    fold = replace(base, split=SplitPlan("kfold", fold=3))
    assert artifact_stem(fold, "fp32", "seed7") == "cnn_1.torch.published-kfold-fold3-seed7"
    assert artifact_stem(recipe("best", "torch", "cnn_4"), "fp32") == "cnn_4.torch.best-official"
    assert artifact_stem(base, "fp32", form=Form(1)) == "cnn_1.torch.published-official.batch1"
    assert (
        artifact_stem(base, "int8", form=Form(16, features=True))
        == "cnn_1.torch.published-official.int8.batch16.features"
    )


@pytest.mark.parametrize("tag", ["a.b", "a/b", "..", "a b", "x" * 61])
def test_a_tag_that_is_no_part_of_a_name_is_refused(tag: str) -> None:
    with pytest.raises(InputError, match="--tag is"):
        artifact_stem(recipe("published", "torch", "cnn_1"), "fp32", tag)


def test_a_gate_that_refuses_is_status_1_and_publishes_nothing(
    linear_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    convert = conversion.run_framework

    def answered_otherwise(job: ExportJob, work: Path, worker: Worker) -> None:
        convert(job, work, worker)
        np.save(work / "reference.npy", np.load(work / "reference.npy") * 1.01)

    monkeypatch.setattr(conversion, "run_framework", answered_otherwise)
    out = tmp_path / "models"
    assert ferox_command(["export", str(linear_run), "--out", str(out)]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert f"{linear_run} is not published: parity: logits differ" in printed.err
    assert [path.name for path in out.glob("*.onnx")] == []
    # What a gate refuses does not hide that another run cannot be used.
    assert ferox_command(["export", str(linear_run), str(tmp_path / "missing"), "--out", str(out)]) == 2


def test_an_artifact_of_another_run_stays_unless_it_is_to_be_replaced(
    linear_run: Path, checkpoint: Callable[[Path, int], str], tmp_path: Path
) -> None:
    out = tmp_path / "models"
    path = publish(linear_run, None, out)
    first, digest = path.read_bytes(), sha256(linear_run / "weights-0001.npz")
    assert publish(linear_run, None, out) == path
    checkpoint(linear_run, 2)
    with pytest.raises(InputError, match=rf"of another checkpoint \({digest[:12]}\).*--tag TEXT.*--replace"):
        publish(linear_run, None, out)
    assert Engine.load(path).manifest.checkpoint_sha256 == digest
    tagged = publish(linear_run, None, out, tag="seed7")
    assert tagged.name == "mlp_1.torch.published-official-seed7.onnx"
    assert publish(linear_run, None, out, replace=True) == path
    assert path.read_bytes() != first
    path.write_bytes(b"damaged")
    with pytest.raises(InputError, match="in its place with --replace"):
        publish(linear_run, None, out)
    assert publish(linear_run, None, out, replace=True) == path


def test_a_run_that_is_still_trained_is_exported_with_the_checkpoint_that_was_read(
    linear_run: Path, checkpoint: Callable[[Path, int], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, convert = jobs.read_job, conversion.run_framework
    newest: list[str] = []

    def read_before_an_epoch_ends(*arguments: object) -> ExportJob:
        job = read(*arguments)  # type: ignore[arg-type]
        if not newest:
            newest.append(checkpoint(linear_run, 2))
        return job

    def converted_while_one_ends(job: ExportJob, work: Path, worker: Worker) -> None:
        checkpoint(linear_run, 3)
        assert sha256(work / job.checkpoint.file) == job.checkpoint.sha256
        convert(job, work, worker)

    monkeypatch.setattr(jobs, "read_job", read_before_an_epoch_ends)
    monkeypatch.setattr(conversion, "run_framework", converted_while_one_ends)
    path = publish(linear_run, None, tmp_path / "models")
    assert Engine.load(path).manifest.checkpoint_sha256 == newest[0]


def test_a_run_that_cannot_be_used_does_not_keep_the_others_from_being_exported(
    linear_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other"
    shutil.copytree(linear_run, other)
    record = read_record(other)
    settings = replace(record.settings, optimizer="sgd")
    write_record(other, replace(record, settings=settings, data_path=str(tmp_path / "moved.csv")))
    unborn = tmp_path / "unborn"
    shutil.copytree(linear_run, unborn)
    write_record(unborn, replace(record, checkpoints=()))
    (tmp_path / "empty").mkdir()
    out = tmp_path / "models"
    runs = [tmp_path / "empty", unborn, other, linear_run]
    monkeypatch.setattr(sys, "argv", ["export", *map(str, runs), "--out", str(out)])
    assert export_command() == 2
    printed = capsys.readouterr()
    assert printed.out == f"{out / 'mlp_1.torch.published-official.onnx'}\n"
    assert f"{other} is not published: the run's faces were at {tmp_path / 'moved.csv'}" in printed.err
    assert f"{unborn} is not published: {unborn} has no checkpoint yet" in printed.err
    assert f"{tmp_path / 'empty'} is not published: {tmp_path / 'empty'} is no training run" in printed.err


def test_two_runs_of_one_name_are_refused_before_the_first_is_exported(linear_run: Path, tmp_path: Path) -> None:
    job = jobs.read_job(linear_run, Options(None, tmp_path, replace=True))
    with pytest.raises(InputError, match=r"two of the runs would be published as mlp_1\.torch\.published-official"):
        refuse_taken_names([job, job], Options(None, tmp_path, replace=True))


def test_a_failed_export_leaves_a_record_of_its_own_beside_a_published_proof(
    linear_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "models"
    path = publish(linear_run, None, out)
    proof = path.with_suffix(".parity.json")
    before = proof.read_bytes()
    failure = out / "mlp_1.torch.published-official.failed.parity.json"
    with monkeypatch.context() as patch:
        patch.setattr(conversion, "check_finite", lambda network: (_ for _ in ()).throw(InputError("broken")))
        with pytest.raises(ExportError, match="contract: broken"):
            publish(linear_run, None, out)
    said = json.loads(failure.read_text())
    assert said["stage"] == "contract"
    del said["stage"]
    assert parse_document(Parity, json.dumps(said), failure.name, "") == Parity(passed=False, reason="broken")
    assert proof.read_bytes() == before
    publish(linear_run, None, out)
    assert not failure.exists()


def test_a_converter_that_is_not_installed_is_no_failure_of_the_gate(
    linear_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "onnxscript" else find(name))
    with pytest.raises(InputError, match=r"needs onnxscript; run make install, or .*'\.\[torch,export\]'"):
        publish(linear_run, None, tmp_path / "models")
    assert not (tmp_path / "models").exists()


def test_a_converter_without_a_release_for_this_python_says_which_python_has_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "paddle2onnx" else object())
    monkeypatch.setattr(conversion, "LAST_PYTHON", {"paddle2onnx": (3, 9)})
    said = (
        rf"needs paddle2onnx, which is released for Python up to 3\.9, and this is 3\.{sys.version_info.minor}; .*"
        r"make install PYTHON3=python3\.9, then export"
    )
    with pytest.raises(InputError, match=said):
        conversion.check_converter("paddle")
    monkeypatch.setattr(conversion, "LAST_PYTHON", {"paddle2onnx": sys.version_info[:2]})
    with pytest.raises(InputError, match="needs paddle2onnx; run make install, or"):
        conversion.check_converter("paddle")
    conversion.check_converter("torch")


# A framework's side that does not live long: killed, ended with a word, or lost for one run and there for the next.
SIDE = """
import os, sys, time
from pathlib import Path
import numpy as np
from data.conversation import converse
from export.framework_side import Answered, Asked

def answered(asked):
    work = Path(asked.work)
    pixels = np.load(work / "pixels.npy")
    linear = np.load(os.environ["LINEAR"] + ".npz")
    np.save(work / "reference.npy", pixels.reshape(-1, 2304) / np.float32(127.5) @ linear["weight"] - linear["shift"])
    (work / "network.onnx").write_bytes(Path(os.environ["LINEAR"] + ".onnx").read_bytes())
    print("a library prints this")
    return Answered(len(pixels))

def failing(asked):
    if asked.run.endswith("slow"):
        Path(os.environ["LINEAR"] + ".pids").write_text(str(os.getpid()))
        time.sleep(60)
    if asked.run.endswith("killed"):
        os.kill(os.getpid(), 9)
    if asked.run.endswith("refused"):
        raise ValueError("an operator that nobody knows")
    with open(os.environ["LINEAR"] + ".pids", "a") as pids:
        print(os.getpid(), file=pids)
    return answered(asked)

converse(lambda: (None, failing), Asked)
"""


@pytest.fixture
def side(linear_network: onnx.ModelProto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Has exports talk to `SIDE`; returns the file in which it writes its process's number for every run."""
    linear = tmp_path / "linear"
    weight, bias = (onnx.numpy_helper.to_array(array) for array in linear_network.graph.initializer)
    np.savez(f"{linear}.npz", weight=weight, shift=weight.sum(axis=0) - bias)
    onnx.save(linear_network, f"{linear}.onnx")
    (tmp_path / "side.py").write_text(SIDE)
    monkeypatch.setenv("LINEAR", str(linear))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    monkeypatch.setattr(workers, "side_command", lambda framework: (sys.executable, str(tmp_path / "side.py")))
    return tmp_path / "linear.pids"


def copies(run: Path, names: Sequence[str], framework: str = "torch") -> list[Path]:
    """Copies of a run, told apart by their optimisers, of which there are five."""
    made = [run.with_name(name) for name in names]
    for copy, optimizer in zip(made, CHOICES["optimizer"], strict=False):
        shutil.copytree(run, copy)
        record = read_record(copy)
        write_record(copy, replace(record, settings=replace(record.settings, optimizer=optimizer, framework=framework)))
    return made


def test_one_process_answers_for_many_runs_and_one_that_dies_costs_its_run_alone(
    begun_run: Path,
    checkpoint: Callable[[Path, int], str],
    side: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(batch, "available_cpus", lambda: 1)
    checkpoint(begun_run, 1)
    runs = copies(begun_run, ["first", "killed", "second", "refused", "third"])
    out = tmp_path / "models"
    assert ferox_command(["export", *map(str, runs), "--out", str(out)]) == 1
    printed = capsys.readouterr()
    published = printed.out.splitlines()
    assert [Engine.load(Path(path)).manifest.recipe["optimizer"] for path in published] == [
        read_record(run).settings.optimizer for run in runs if run.name in ("first", "second", "third")
    ]
    assert (
        f"{runs[1]} is not published: convert: the converter of torch: its process was ended by SIGKILL" in printed.err
    )
    assert f"{runs[3]} is not published: convert: the converter of torch: ValueError: an operator" in printed.err
    assert "a library prints this" not in printed.out
    # One process until it is killed, and one after each that was lost.
    first, second, third = side.read_text().splitlines()
    assert len({first, second, third}) == 3


INTERRUPTED = """
import os, sys
from data.commands import run_command
from export import worker
from export.__main__ import main

worker.side_command = lambda framework: (sys.executable, os.environ["SIDE"])
run_command(main)
"""


def test_an_interrupted_export_ends_its_framework_and_blames_no_run(
    begun_run: Path, checkpoint: Callable[[Path, int], str], side: Path, tmp_path: Path
) -> None:
    checkpoint(begun_run, 1)
    (run,) = copies(begun_run, ["slow"])
    command = [sys.executable, "-c", INTERRUPTED, str(run), "--out", str(tmp_path / "models")]
    variables = os.environ | {"SIDE": str(tmp_path / "side.py")}
    process = subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not side.exists() or not side.read_text():
        time.sleep(0.05)
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err.splitlines()[-1]) == (130, "", "interrupted")
    assert not list((tmp_path / "models").glob("*.failed.parity.json"))
    with pytest.raises(ProcessLookupError):
        os.kill(int(side.read_text()), 0)


def test_several_processes_export_the_same_in_the_order_that_was_asked_for(
    begun_run: Path,
    checkpoint: Callable[[Path, int], str],
    side: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    checkpoint(begun_run, 1)
    runs = [
        *copies(begun_run, [f"paddle-{number}" for number in range(2)], "paddle"),
        *copies(begun_run, [f"torch-{number}" for number in range(5)]),
    ]
    artifacts: dict[int, list[bytes]] = {}
    for cpus in (1, 3):
        monkeypatch.setattr(batch, "available_cpus", lambda cpus=cpus: cpus)
        side.unlink(missing_ok=True)
        assert ferox_command(["export", *map(str, runs), "--out", str(tmp_path / f"models-{cpus}")]) == 0
        published = [Path(line) for line in capsys.readouterr().out.splitlines()]
        assert [path.name.split(".")[1] for path in published] == ["paddle"] * 2 + ["torch"] * 5
        artifacts[cpus] = [network_bytes(path.read_bytes()) for path in published]
        # Two of the three begin with the five of PyTorch; who is done with PaddlePaddle may help them.
        assert len(set(side.read_text().split())) in {1: (2,), 3: (3, 4)}[cpus]
    assert artifacts[1] == artifacts[3]


def test_faces_are_loaded_once_for_all_runs_of_them(
    linear_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[Path | None] = []

    def counted(path: Path | None, classes: str, *, skip_bad_rows: bool) -> FaceSet:
        loaded.append(path)
        return load(path, classes, skip_bad_rows=skip_bad_rows)

    monkeypatch.setattr(training_run, "load", counted)
    other = tmp_path / "moved.csv"
    shutil.copy(tmp_path / "fer2013.csv", other)
    runs = copies(linear_run, ["first", "second", "third"])
    assert ferox_command(["export", *map(str, runs), "--out", str(tmp_path / "models")]) == 0
    assert loaded == [tmp_path / "fer2013.csv"]
    assert ferox_command(["export", str(runs[0]), "--data", str(other), "--out", str(tmp_path / "models")]) == 0
    assert loaded[1:] == [other]


@pytest.mark.parametrize("count", [1, 5, 64, 150])
def test_all_probes_answer_in_batches_of_64_and_faces_in_every_other_size(count: int) -> None:
    pixels = probes(np.zeros((count, 48, 48), np.uint8))
    sizes: dict[int, set[int]] = {}

    def answer(part: np.ndarray) -> np.ndarray:
        return np.zeros((len(part), 7), np.float32)

    for start, logits in answers_in_batches(answer, pixels):
        sizes.setdefault(len(logits), set()).update(range(start, start + len(logits)))
    assert set().union(*sizes.values()) == set(range(len(pixels)))
    for size in BATCHES:
        if size <= len(pixels):
            assert len(pixels) - 1 in sizes[size]
            assert set(range(min(count, 64) // size * size)) <= sizes[size]


def test_a_worker_that_is_killed_before_its_process_is_there_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = []

    class Started:
        def __init__(self, *_: object) -> None:
            worker.kill()  # As another thread does, which sees no process yet.

        def ask(self, *_: object) -> None:
            pytest.fail("it was asked")

        def kill(self) -> None:
            ended.append("killed")

        def end(self) -> None:
            ended.append("ended")

    worker = Worker()
    monkeypatch.setattr("export.worker.Conversation", Started)
    with pytest.raises(KeyboardInterrupt):
        worker.answer("torch", Asked("run", "weights", "work"))
    assert ended == ["killed", "ended"]
