"""One suite that every framework joins by its name: train, stop, be killed, resume, export, prove, evaluate.

Every training is a real child process on drawn faces, with one thread, so that numbers repeat to the last bit.
"""

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import data_of

from data.documents import parse_document
from data.draw import write_csv
from data.faceset import FaceSet
from export import job as jobs
from export import publish as publishing
from export.card import model_card
from export.conversion import CONVERTERS
from export.job import Options
from inference.engine import Engine
from inference.manifest import Parity
from training.recipe import FRAMEWORKS
from training.run import read_record


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(
            name,
            marks=pytest.mark.skipif(
                not all(map(importlib.util.find_spec, CONVERTERS[name])),
                reason=f"{name} or its converter is not installed (ferox[{name},export])",
            ),
        )
        for name in FRAMEWORKS
    ],
)
def framework(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def data_file(drawn: FaceSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("table") / "fer2013.csv"
    write_csv(drawn, path)
    return path


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def last_line(done: subprocess.CompletedProcess[str]) -> Path:
    assert done.returncode == 0, done.stderr[-2000:]
    return Path(done.stdout.splitlines()[-1])


def last_lines(*commands: list[object]) -> list[Path]:
    """Run commands at the same time."""
    with ThreadPoolExecutor() as pool:
        return [last_line(done) for done in pool.map(lambda command: run(*command), commands)]


def figures(folder: Path) -> list[dict[str, object]]:
    timed = {"seconds", "images_per_second"}
    lines = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [{key: value for key, value in line.items() if key not in timed} for line in lines]


def weights(folder: Path) -> list[str]:
    return [entry["sha256"] for entry in json.loads((folder / "run.json").read_text())["checkpoints"]]


@pytest.fixture(scope="module")
def options(framework: str, data_file: Path) -> list[object]:
    """Dropout, shuffling, distorted and mixed faces, averaged weights and an optimiser with state: a resumed run has to
    repeat them all."""
    model = ["--framework", framework, "--model", "cnn_4_original", "--augmentation", "full"]
    model += ["--mixup", "0.2", "--ema-decay", "0.99"]
    return [*model, "--data", data_file, "--epochs", 3, "--batch-size", 16, "--threads", 1]


@pytest.fixture(scope="module")
def uninterrupted(options: list[object], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return last_line(run("training", *options, "--out", tmp_path_factory.mktemp("whole")))


def test_a_run_that_is_taught_on_its_own_views_keeps_its_teachers_and_resumes(
    framework: str, data_file: Path, tiny_model: Path, tmp_path: Path
) -> None:
    model = tmp_path / "teacher.onnx"
    shutil.copy(tiny_model, model)
    common = ["--framework", framework, "--model", "mlp_1", "--data", data_file, "--epochs", 2, "--threads", 1]
    common += ["--augmentation", "corruptions", "--mixup", 0.2]
    taught = ["--teachers", model, model, "--teaching", "views", "--distillation", 0.9]
    shared = [*common, *taught, "--answers", tmp_path / "answers"]
    # This one asks the teachers, the next finds what it kept.
    whole = last_line(run("training", *shared, "--out", tmp_path / "whole"))
    again = last_line(run("training", *shared, "--out", tmp_path / "again"))
    alone = last_line(run("training", *common, "--out", tmp_path / "alone"))
    stopped, _, _ = interrupted([*common, *taught], tmp_path / "stopped", signal.SIGKILL, "weights-0001.npz")
    asked = last_line(run("training", *common, *taught, "--ask-ahead", 2, "--out", tmp_path / "asked"))
    # Without the teachers' own files: what the run kept is enough.
    model.unlink()
    assert last_line(run("training", "--resume", stopped)) == stopped
    assert figures(stopped) == figures(whole)
    assert len(list(asked.glob("answers-*"))) == 2
    last_line(run("training", "--resume", asked))
    assert figures(alone)[0]["train_loss"] != figures(whole)[0]["train_loss"]
    assert len(list((tmp_path / "answers").glob("teachers-*/answers-*"))) == 2
    assert figures(again) == figures(asked) == figures(whole)
    assert [name.split()[0] for name in read_record(whole).settings.teachers] == ["teacher", "teacher"]


def test_a_run_out_of_time_stops_as_if_it_were_told_to_and_can_be_resumed(
    options: list[object], uninterrupted: Path, tmp_path: Path
) -> None:
    seconds = 0.2 * read_record(uninterrupted).seconds
    command = [sys.executable, "-m", "training", *map(str, [*options, "--time-limit", seconds, "--out", tmp_path])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    (folder,) = tmp_path.glob("*/*/*")
    assert done.returncode == 128 + signal.SIGALRM
    assert f"--resume {folder}" in done.stderr
    assert read_record(folder).status == "stopped"


@pytest.fixture(scope="module")
def killed(options: list[object], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run as a kill in the middle of the second epoch's save leaves it; who changes it takes a copy."""
    folder, status, _ = interrupted(options, tmp_path_factory.mktemp("killed"), signal.SIGKILL, "weights-0002.npz")
    assert status == -signal.SIGKILL
    return folder


def interrupted(
    options: list[object], out: Path, number: signal.Signals, when: str, after: float = 0
) -> tuple[Path, int, str]:
    """Train, and send a signal `after` seconds from when the run folder holds a file that matches `when`."""
    command = [sys.executable, "-m", "training", *map(str, [*options, "--out", out])]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 200
    while not list(out.glob(f"*/*/*/{when}")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(after)
    os.kill(process.pid, number)
    _, errors = process.communicate(timeout=100)
    (folder,) = out.glob("*/*/*")
    return folder, process.returncode, errors


def test_a_stopped_run_says_how_to_go_on_and_does_so_to_the_same_numbers(
    options: list[object], uninterrupted: Path, tmp_path: Path
) -> None:
    folder, status, errors = interrupted(options, tmp_path, signal.SIGTERM, "metrics.jsonl")
    assert status == 128 + signal.SIGTERM
    assert f"--resume {folder}" in errors
    assert last_line(run("training", "--resume", folder)) == folder
    assert figures(folder) == figures(uninterrupted)
    assert weights(folder) == weights(uninterrupted)


def test_a_run_stopped_in_the_middle_of_an_epoch_goes_on_to_the_same_numbers(
    options: list[object], uninterrupted: Path, tmp_path: Path
) -> None:
    seconds = json.loads((uninterrupted / "metrics.jsonl").read_text().splitlines()[1])["seconds"]
    for attempt, share in enumerate((0.3, 0.6, 0.15, 0.8)):
        folder, _, _ = interrupted(
            options, tmp_path / str(attempt), signal.SIGTERM, "metrics.jsonl", after=share * seconds
        )
        progress = read_record(folder).progress
        if progress is not None and progress.step:
            break
    assert progress is not None
    assert progress.step > 0
    assert 0 < progress.seen < read_record(folder).data.counts["train"]
    run("training", "--resume", folder)
    assert figures(folder) == figures(uninterrupted)
    assert weights(folder) == weights(uninterrupted)


def test_a_run_killed_in_the_middle_of_a_save_resumes_to_the_same_numbers(
    killed: Path, uninterrupted: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(killed, tmp_path / killed.name)
    assert last_line(run("training", "--resume", folder)) == folder
    assert figures(folder) == figures(uninterrupted)
    assert weights(folder) == weights(uninterrupted)
    assert not list(folder.glob(".partial-*"))


def test_a_damaged_state_is_refused(killed: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(killed, tmp_path / killed.name)
    progress = read_record(folder).progress
    assert progress is not None
    state = folder / progress.state
    state.write_bytes(state.read_bytes()[:-10])
    refused = run("training", "--resume", folder)
    assert refused.returncode == 2
    assert "sha256 differs" in refused.stderr


def test_a_finished_run_has_its_record_and_pictures(framework: str, uninterrupted: Path) -> None:
    record = json.loads((uninterrupted / "run.json").read_text())
    assert record["status"] == "finished"
    assert record["settings"]["framework"] == framework
    assert framework in record["versions"]
    assert record["test"]["faces"] == record["data"]["counts"]["test"]
    assert {"curves.png", "confusion.png", "roc.png"} <= {file.name for file in uninterrupted.iterdir()}
    assert len(list(uninterrupted.glob("weights-*"))) <= 2
    assert not [*uninterrupted.glob("state-*"), *uninterrupted.glob("average-*")]


def proof_of(model: Path) -> tuple[str, Parity]:
    """The stage and the verdict that stand beside an artifact."""
    content = json.loads(model.with_suffix(".parity.json").read_text())
    return content.pop("stage"), parse_document(Parity, json.dumps(content), "parity.json", "")


def card(folder: Path, proof: Parity) -> str:
    """The model card that an export of a run writes, were this its proof."""
    job = jobs.read_job(folder, Options(None, folder))
    return model_card(publishing._manifest(job, proof), job.record)


def test_a_trained_run_is_published_evaluates_to_the_run_s_own_accuracy_can_teach_and_be_trained_on(
    framework: str, data_file: Path, tmp_path: Path
) -> None:
    common = ["--framework", framework, "--model", "mlp_1", "--data", data_file, "--epochs", 6, "--threads", 1]
    folder = last_line(run("training", *common, "--out", tmp_path / "runs"))
    model = last_line(run("export", folder, "--out", tmp_path / "models"))
    assert model.name == f"mlp_1.{framework}.published-official.onnx"
    stage, proof = proof_of(model)
    assert (stage, proof.passed) == ("passed", True)
    manifest = Engine.load(model, provider="cpu", threads=1).manifest
    assert manifest.temperature.faces == data_of(manifest).counts["validation"]
    assert model.with_suffix(".md").read_text() == model_card(manifest, read_record(folder))
    assert card(folder, proof).startswith("# mlp_1")
    still = [*common, "--weights", model, model, "--epochs", 1, "--learning-rate", 1e-7]
    report, pupil, tuned = last_lines(
        ["inference", "evaluate", model, "--data", data_file, "--out", tmp_path / "reports"],
        ["training", *common, "--teachers", model, "--out", tmp_path / "pupils"],
        ["training", *still, "--out", tmp_path / "tuned"],
    )
    found = json.loads((report / "report.json").read_text())
    record = json.loads((folder / "run.json").read_text())
    assert found["figures"]["correct"] == record["test"]["correct"]
    (teacher,) = json.loads((pupil / "run.json").read_text())["settings"]["teachers"]
    assert teacher.startswith(f"mlp_1.{framework}.published-official ")
    assert figures(pupil)[0]["train_loss"] != figures(folder)[0]["train_loss"]
    assert f"| taught by | {teacher}; 50 % of each label is theirs |" in card(pupil, proof)
    assert read_record(tuned).settings.weights == f"{teacher} + {teacher}"
    (line,) = figures(tuned)
    assert line["validation_loss"] == pytest.approx(record["checkpoints"][0]["loss"], abs=1e-3)
    assert line["validation_accuracy"] == record["checkpoints"][0]["accuracy"]


def test_a_device_that_is_not_there_is_refused(framework: str, data_file: Path, tmp_path: Path) -> None:
    refused = run("training", "--framework", framework, "--model", "mlp_1", "--device", "cuda", "--out", tmp_path)
    if refused.returncode == 0:
        pytest.skip("this machine has a GPU")
    assert refused.returncode == 2
    assert "--device is cuda" in refused.stderr
    assert not list(tmp_path.iterdir())
