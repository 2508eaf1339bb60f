"""Sweeps in real child processes: killed and continued, with a training that fails among others, and over folds."""

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from data.draw import write_csv
from data.errors import InputError
from data.faceset import FaceSet
from training.grid import FAILURE_FILE, Trial, TrialState, grid, summary, table
from training.options import check_framework
from training.trial import LOG_FILE, conclude

pytest.importorskip("torch", reason="PyTorch is not installed (ferox[torch])")


@pytest.fixture(scope="module")
def data_file(drawn: FaceSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("table") / "fer2013.csv"
    write_csv(drawn, path)
    return path


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "training", "sweep", "--frameworks", "torch", *map(str, arguments)]


def rows(done: subprocess.CompletedProcess[str], place: int = 0) -> list[dict[str, str]]:
    with Path(done.stdout.splitlines()[place]).open() as file:
        return list(csv.DictReader(file))


def test_a_killed_sweep_goes_on_and_a_failed_training_does_not_end_it(data_file: Path, tmp_path: Path) -> None:
    # At this rate SGD's loss is not finite soon, and Adam's stays so.
    common = [
        "--models",
        "mlp_4",
        "--optimizers",
        "adam",
        "sgd",
        "adagrad",
        "--data",
        data_file,
        "--epochs",
        3,
        "--threads",
        1,
    ]
    line = command(*common, "--learning-rate", 5, "--out", tmp_path)
    process = subprocess.Popen(line, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    # By then the training is at work and has written nothing yet.
    while not list(tmp_path.glob("torch-mlp_4-adam/training.log")) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    found = {row["optimizer"]: row for row in rows(done)}
    assert done.returncode == 2
    assert (found["adam"]["status"], found["sgd"]["status"], found["adagrad"]["status"]) == (
        "finished",
        "failed",
        "finished",
    )
    assert "lower --learning-rate" in found["sgd"]["note"]
    # The first training was waited for, not begun a second time.
    assert "torch-mlp_4-adam: waiting" in done.stderr
    assert len(list(tmp_path.glob("torch-mlp_4-adam/*/*/*"))) == 1
    other = subprocess.run([*line, "--seed", "1"], capture_output=True, text=True, check=False)
    assert other.returncode == 2
    assert "another sweep" in other.stderr
    (tmp_path / "sweep.json").write_text('{"options": 1}')
    damaged = subprocess.run(line, capture_output=True, text=True, check=False)
    assert damaged.returncode == 2
    assert damaged.stderr.startswith("error: sweep.json: options is 1")


def test_folds_give_mean_and_deviation(data_file: Path, tmp_path: Path) -> None:
    line = command(
        "--models", "mlp_4", "--folds", 2, "--data", data_file, "--epochs", 1, "--threads", 1, "--out", tmp_path
    )
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    accuracies = [float(row["accuracy"]) for row in rows(done)]
    (line_of_folds,) = rows(done, 1)
    assert line_of_folds["folds"] == "2"
    assert float(line_of_folds["mean"]) == pytest.approx(sum(accuracies) / 2)
    assert float(line_of_folds["deviation"]) == pytest.approx(abs(accuracies[0] - accuracies[1]) / 2**0.5)


def test_a_training_whose_record_is_damaged_does_not_end_the_sweep(data_file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "torch-mlp_4-adam" / "mlp_4" / "torch" / "run"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text("{")
    common = ["--models", "mlp_4", "--optimizers", "adam", "adagrad", "--data", data_file, "--epochs", 1]
    done = subprocess.run(
        command(*common, "--threads", 1, "--out", tmp_path), capture_output=True, text=True, check=False
    )
    assert done.returncode == 2, done.stderr
    found = {row["optimizer"]: row for row in rows(done)}
    assert (found["adam"]["status"], found["adagrad"]["status"]) == ("failed", "finished")
    assert "run.json" in found["adam"]["note"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--models", "mlp_9"], "--models has 'mlp_9'"),
        (["--epochs", "0"], "--epochs is 0"),
        (["--fold", "2"], "--fold belongs to one training"),
        (["--finish"], "--finish belongs to one training"),
        (["--time-limit", "60"], "--time-limit belongs to one training"),
        (["--ask-ahead=3"], "--ask-ahead=3 belongs to one training"),
        (["--optim", "sgd"], "unrecognized arguments: --optim"),
    ],
)
def test_wrong_values_are_refused_before_the_first_training(arguments: list[str], words: str, tmp_path: Path) -> None:
    done = subprocess.run(command(*arguments, "--out", tmp_path), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert words in done.stderr
    assert not list(tmp_path.iterdir())


def test_the_published_grid_has_120_combinations() -> None:
    trials = grid(["published"], ["all"], ["all"], None)
    assert len(set(trials)) == len({trial.name for trial in trials}) == 120
    with pytest.raises(InputError, match="--optimizers has 'lion'"):
        grid(["all"], ["all"], ["lion"], None)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--folds", 0], "--folds is 0, expected 2"),
        (["--folds", 1], "--folds is 1, expected 2"),
        (["--data", "nowhere.csv"], "nowhere.csv does not exist"),
    ],
)
def test_what_no_training_could_do_is_refused_before_the_first_begins(
    options: list[object], words: str, tmp_path: Path
) -> None:
    line = command("--models", "mlp_4", *options, "--out", tmp_path / "sweep")
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert words in done.stderr
    assert not (tmp_path / "sweep").exists()


@pytest.mark.parametrize(
    ("status", "log", "reason"),
    [
        (-9, b"  neutral   412   0.5\n", "ended by SIGKILL, perhaps for want of memory"),
        (-11, b"error: of an earlier line\n", "ended by SIGSEGV"),
        (2, b"epoch 1\nerror: the disk is full\n  neutral   412\n", "the disk is full"),
        (1, b"Traceback (most recent call last):\n  File x\nValueError: no\n", "ValueError: no"),
        (1, b"", "exit status 1, without a word"),
    ],
)
def test_a_training_failed_for_what_it_said_in_this_attempt_or_what_ended_it(
    tmp_path: Path, status: int, log: bytes, reason: str
) -> None:
    before = b"error: of the attempt before\n"
    (tmp_path / LOG_FILE).write_bytes(before + log)
    conclude(status, 0, tmp_path, len(before))
    assert (tmp_path / FAILURE_FILE).read_text() == reason
    conclude(status, signal.SIGINT, tmp_path, len(before))
    assert not (tmp_path / FAILURE_FILE).exists()


def test_a_framework_that_is_not_installed_is_named_by_the_sweep_s_own_option() -> None:
    with pytest.raises(InputError, match=r"--frameworks names 'no_such_framework', which is not installed"):
        check_framework("no_such_framework", "--frameworks")


def test_the_table_says_why_a_training_failed() -> None:
    trial = Trial("torch", "mlp_1", "sgd", 2)
    text = table({trial: TrialState("failed", note="error: the loss is nan")})
    assert "error: the loss is nan" in text
    assert summary({trial: TrialState("failed")}) == []
