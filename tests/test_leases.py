"""Leases on a shared folder, and trainings under them: by real processes that are killed, and put to sleep."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

import data.leases
from data.draw import write_csv
from data.faceset import FaceSet
from data.leases import BEAT_FILE, RELEASED, Watch, claim, held_folders, newest
from training.grid import FAILURE_FILE, read_state, trial_folder
from training.history import METRICS_FILE
from training.inherit import inherit
from training.run import RECORD_FILE, read_record

ROOT = Path(__file__).parents[1]
EPOCHS, LEASE = 60, 4.0


class Clock:
    """A clock that is set."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(data.leases, "_now", clock)
    return clock


def _claims(place: Path, numbers: "multiprocessing.Queue[int | None]", together: Barrier) -> None:
    together.wait(60)
    lease = claim(place, 1, 10)
    numbers.put(None if lease is None else lease.number)


def test_of_many_that_claim_a_lease_one_has_it(tmp_path: Path) -> None:
    # Not forked from here: a process of tests has threads, whose locks a fork may copy as they are held.
    clean = multiprocessing.get_context("forkserver")
    numbers: multiprocessing.Queue[int | None] = clean.Queue()
    given = (tmp_path / "trial", numbers, clean.Barrier(12))
    processes = [clean.Process(target=_claims, args=given) for _ in range(12)]
    for process in processes:
        process.start()
    assert sorted(filter(None, (numbers.get(timeout=60) for _ in processes))) == [1]
    for process in processes:
        process.join()
    assert [folder.name for folder in held_folders(tmp_path / "trial")] == ["lease-0001"]
    # The next one is claimed by its number alone.
    assert claim(tmp_path / "trial", 3, 10) is None
    second = claim(tmp_path / "trial", 2, 10)
    assert second is not None
    assert newest(tmp_path / "trial") == 2


def test_a_lease_is_free_when_its_beat_has_stood_still_or_it_was_released(tmp_path: Path, clock: Clock) -> None:
    watch = Watch(tmp_path, 10)
    assert watch.is_free()
    lease = claim(tmp_path, 1, 10)
    assert lease is not None
    assert not watch.is_free()
    for _ in range(5):
        clock.seconds += 4
        assert lease.beat()
        assert not watch.is_free()
    clock.seconds += 10
    assert not watch.is_free()
    clock.seconds += 1
    assert watch.is_free()
    # Whoever has only begun to watch has seen nothing stand still.
    late = Watch(tmp_path, 10)
    assert not late.is_free()
    lease.release()
    assert late.is_free()
    assert (lease.folder / BEAT_FILE).read_text().strip() == RELEASED


def test_a_holder_stops_where_it_was_asleep_or_another_holds_the_lease(tmp_path: Path, clock: Clock) -> None:
    sleeper = claim(tmp_path / "asleep", 1, 10)
    assert sleeper is not None
    assert sleeper.beat()
    clock.seconds += 5
    assert sleeper.beat()
    clock.seconds += 5.1
    assert not sleeper.beat()
    former = claim(tmp_path / "other", 1, 10)
    assert former is not None
    assert former.beat()
    assert claim(tmp_path / "other", 2, 10) is not None
    assert not former.beat()


def test_a_beat_that_cannot_be_written_is_tried_until_it_is_too_late(tmp_path: Path, clock: Clock) -> None:
    lease = claim(tmp_path, 1, 10)
    assert lease is not None
    assert lease.beat()
    (lease.folder / BEAT_FILE).unlink()
    (lease.folder / BEAT_FILE).mkdir()
    clock.seconds += 4
    assert lease.beat()
    clock.seconds += 4
    assert not lease.beat()


# --- trainings under leases


@pytest.fixture(scope="module")
def options(drawn: FaceSet, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    pytest.importorskip("torch", reason="PyTorch is not installed (ferox[torch])")
    table = tmp_path_factory.mktemp("table") / "fer2013.csv"
    write_csv(drawn, table)
    model = ["--framework", "torch", "--model", "mlp_4", "--optimizer", "adam"]
    return [*model, "--data", str(table), "--epochs", str(EPOCHS), "--threads", "1", "--keep", "last"]


def holder(place: Path, number: int, options: list[str]) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "training.leased", str(place), str(number), str(LEASE), *options],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def until(condition: Callable[[], object], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def outcome(process: "subprocess.Popen[str]") -> str:
    """Wait for the end of a holder whose stdin stays open."""
    until(lambda: process.poll() is not None)
    return process.communicate()[0]


def child(process: "subprocess.Popen[str]") -> int:
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    until(lambda: children.read_text().split())
    return int(children.read_text().split()[0])


def has_epochs(folder: Path, count: int = 1) -> bool:
    return any(len(file.read_text().splitlines()) >= count for file in folder.glob(f"*/*/*/{METRICS_FILE}"))


def history(place: Path) -> list[dict[str, object]]:
    (file,) = trial_folder(place).glob(f"*/*/*/{METRICS_FILE}")
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    measured = ("seconds", "images_per_second")
    return [{name: value for name, value in line.items() if name not in measured} for line in lines]


@pytest.fixture(scope="module")
def whole(options: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trial that nothing has disturbed."""
    place = tmp_path_factory.mktemp("whole") / "trial"
    process = holder(place, 1, options)
    assert outcome(process) == "ended\n"
    assert read_state(place).status == "finished"
    return place


@pytest.mark.slow
def test_a_holder_that_wakes_up_late_spoils_nothing(whole: Path, options: list[str], tmp_path: Path) -> None:
    place = tmp_path / "trial"
    first = holder(place, 1, options)
    until(lambda: has_epochs(place / "lease-0001", 3))
    trains = child(first)
    for process in (first.pid, trains):
        os.kill(process, signal.SIGSTOP)
    watch = Watch(place, LEASE)
    until(watch.is_free)
    reached = read_state(place).epoch
    second = holder(place, 2, options)
    until(lambda: has_epochs(place / "lease-0002"))
    # Training and holder wake up in the middle of the other one's work: first the one that writes.
    os.kill(trains, signal.SIGCONT)
    time.sleep(0.5)
    os.kill(first.pid, signal.SIGCONT)
    said, _ = first.communicate(timeout=120)
    assert said == "lost\n"
    assert not Path(f"/proc/{trains}").exists()
    assert outcome(second) == "ended\n"
    assert newest(place) == 2
    assert read_state(place).status == "finished"
    assert reached
    assert history(place) == history(whole)
    log = (place / "lease-0002" / "training.log").read_text()
    assert "epoch 1:" not in log
    assert f"epoch {EPOCHS}:" in log


@pytest.mark.slow
def test_a_training_ends_with_its_holder_and_another_goes_on(whole: Path, options: list[str], tmp_path: Path) -> None:
    place = tmp_path / "trial"
    first = holder(place, 1, options)
    until(lambda: has_epochs(place / "lease-0001"))
    trains = child(first)
    first.kill()
    first.communicate()
    until(lambda: not Path(f"/proc/{trains}").exists())
    # Whoever gave it is gone, too: its stdin is closed, and the training writes its state first.
    second = holder(place, 2, options)
    until(lambda: (place / "lease-0002" / "training.log").exists())
    time.sleep(1)
    said, _ = second.communicate(timeout=120)
    assert said == "stopped\n"
    assert Watch(place, LEASE).is_free()
    assert holder(place, 2, options).communicate(timeout=60)[0] == "taken\n"
    third = holder(place, 3, options)
    assert outcome(third) == "ended\n"
    assert history(place) == history(whole)


@pytest.mark.slow
def test_a_damaged_record_is_a_failure_of_its_own_trial(whole: Path, options: list[str], tmp_path: Path) -> None:
    place = tmp_path / "trial"
    run = place / "lease-0001" / "torch" / "mlp_4" / "run"
    run.mkdir(parents=True)
    (run / RECORD_FILE).write_text("{")
    process = holder(place, 2, options)
    assert outcome(process) == "ended\n"
    assert "run.json" in (place / "lease-0002" / FAILURE_FILE).read_text()
    assert read_state(place).status == "failed"


@pytest.mark.slow
def test_what_is_inherited_while_it_is_written_is_one_commit(whole: Path, tmp_path: Path) -> None:
    (record,) = whole.glob(f"*/*/*/*/{RECORD_FILE}")
    run = inherit(record.parent, tmp_path / "old" / "lease-0001")
    names = [read_record(run).checkpoints[0].file.replace("weights-", f"weights-{n}") for n in range(200)]
    content = (run / RECORD_FILE).read_text()
    first = read_record(run).checkpoints[0].file
    ended = threading.Event()

    def commit() -> None:
        before = first
        for name in names:
            os.link(run / before, run / name)
            (run / "next").write_text(content.replace(first, name))
            (run / "next").replace(run / RECORD_FILE)
            (run / before).unlink()
            before = name
            time.sleep(0.002)
        ended.set()

    writer = threading.Thread(target=commit)
    writer.start()
    copies = 0
    while not ended.is_set():
        copy = inherit(run, tmp_path / f"copy-{copies}")
        assert all((copy / checkpoint.file).is_file() for checkpoint in read_record(copy).checkpoints)
        copies += 1
    writer.join()
    assert copies > 3
