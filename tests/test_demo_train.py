"""The training behind the page: one at a time, in a process that outlives whoever started it."""

import errno
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from data.errors import InputError

pytest.importorskip("gradio", reason="the page needs Gradio: install ferox[demo]")

from demo.page import Page
from demo.state.choices import Wish, installed_frameworks
from demo.state.shelf import Shelf
from demo.state.supervisor import Current, Supervisor
from demo.tabs.train import GIVEN, Handlers, publish
from demo.view.training import layers, view
from inference.manifest import DataRecord
from inference.photos.faces import HaarFinder
from inference.report.training_result import Checkpoint, Machine
from training.history import EpochRecord, write_history
from training.loop import start_record
from training.run import write_record
from training.specs import MODELS, model_spec
from training.weights import parameter_count

WISH = Wish(
    model="mlp_1",
    framework="torch",
    data="",
    protocol="official",
    test_share=None,
    epochs=3,
    batch_size=64,
    learning_rate=0.001,
    optimizer="adam",
    balance="none",
    keep_all=False,
)
needs_torch = pytest.mark.skipif("torch" not in installed_frameworks(), reason="training needs ferox[torch]")


def until(supervisor: Supervisor, *statuses: str) -> None:
    deadline = time.monotonic() + 200
    while (now := supervisor.current()).status not in statuses:
        assert time.monotonic() < deadline, f"{now.status} and not {statuses}"
        time.sleep(0.1)


def until_learned(supervisor: Supervisor) -> None:
    """Wait for the first whole epoch."""
    deadline = time.monotonic() + 200
    while (record := supervisor.current().record) is None or record.best is None:
        assert time.monotonic() < deadline, supervisor.current()
        time.sleep(0.1)


@needs_torch
def test_a_training_outlives_its_starter_and_is_paused_resumed_and_finished_by_others(tmp_path: Path) -> None:
    Supervisor(tmp_path).start("MLP-1", [*replace(WISH, epochs=1000).arguments(), "--threads", "1"])
    until_learned(Supervisor(tmp_path))
    with pytest.raises(InputError, match="running already"):
        Supervisor(tmp_path).start("another", WISH.arguments())
    Supervisor(tmp_path).pause()
    until(Supervisor(tmp_path), "paused")
    paused = Supervisor(tmp_path).current()
    assert paused.record is not None
    assert paused.record.status == "stopped"
    html = view(paused, "en")
    assert "paused" in html
    assert html.count("data:image/png") == 3
    Supervisor(tmp_path).resume()
    until(Supervisor(tmp_path), "running")
    Supervisor(tmp_path).stop()
    until(Supervisor(tmp_path), "stopped")
    stopped = Supervisor(tmp_path).current()
    assert stopped.folder == paused.folder
    assert stopped.record is not None
    assert stopped.record.best is not None


@needs_torch
def test_a_training_that_is_saving_its_state_is_not_cut_short_by_another_press(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path)
    supervisor.start("CNN-1", [*replace(WISH, model="cnn_1", epochs=1000).arguments(), "--threads", "1"])
    until_learned(supervisor)
    supervisor.pause()
    supervisor.pause()
    supervisor.stop()
    supervisor.wait()
    now = supervisor.current()
    assert now.status == "stopped"
    assert now.record is not None
    # A training that the second signal had killed would still be on record as running.
    assert now.record.status == "stopped"


@needs_torch
def test_a_training_that_cannot_start_says_why(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path)
    supervisor.start("MLP-1", replace(WISH, data=str(tmp_path / "missing.csv")).arguments())
    until(supervisor, "failed")
    now = supervisor.current()
    assert "missing.csv" in now.reason
    assert "missing.csv" in view(now, "zh")
    page = replace(page_of(tmp_path), data=tmp_path / "missing.csv")
    request: Any = SimpleNamespace(headers={})
    _, shown, *_ = Handlers(page, supervisor).look(request, None)
    assert "missing.csv does not exist" in shown
    assert str(tmp_path) not in shown


@needs_torch
def test_a_killed_training_has_failed_and_can_be_resumed(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path)
    supervisor.start("MLP-1", [*replace(WISH, epochs=1000).arguments(), "--threads", "1"])
    until_learned(supervisor)
    os.kill(int((tmp_path / ".demo" / "lock").read_text()), signal.SIGKILL)
    until(supervisor, "failed")
    supervisor.resume()
    until(supervisor, "running")
    supervisor.stop()
    until(supervisor, "stopped")


def test_without_a_training_there_is_nothing_to_pause_or_resume(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path)
    assert supervisor.current().status == "none"
    for act in (supervisor.pause, supervisor.stop, supervisor.resume):
        with pytest.raises(InputError):
            act()
    assert "Closing this page" in view(supervisor.current(), "en")


def refusals(supervisor: Supervisor) -> list[str]:
    """Why each thing that a training may be asked for is not possible."""
    sentences = []
    acts: list[Callable[[], object]] = [
        lambda: supervisor.start("MLP-1", WISH.arguments()),
        supervisor.pause,
        supervisor.stop,
    ]
    for act in acts:
        with pytest.raises(InputError) as refused:
            act()
        sentences.append(str(refused.value))
    return sentences


def test_a_file_in_the_place_of_the_runs_is_said_without_its_path(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("no folder")
    supervisor = Supervisor(tmp_path / "runs")
    assert supervisor.current().status == "none"
    sentence = refusals(supervisor)[0]
    assert "expected a folder of runs that can be written" in sentence
    assert str(tmp_path) not in sentence
    said, *_ = Handlers(page_of(tmp_path), supervisor).begin([*vars(WISH).values()], "en")
    assert "expected a folder of runs that can be written" in said


def test_a_lock_that_cannot_be_opened_is_shown_as_a_failure(tmp_path: Path) -> None:
    supervisor = ended(tmp_path, "")
    (tmp_path / ".demo" / "lock").mkdir()
    now = supervisor.current()
    assert (now.status, now.alive) == ("failed", False)
    sentences = [now.reason, *refusals(supervisor)]
    with pytest.raises(InputError) as refused:
        supervisor.wait()
    for sentence in (*sentences, str(refused.value)):
        assert "(Is a directory): expected a folder of runs that can be written" in sentence
        assert str(tmp_path) not in sentence


def test_a_full_disk_and_a_process_that_cannot_start_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    supervisor = ended(tmp_path, "")

    def full(path: Path, _: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    with monkeypatch.context() as patch:
        patch.setattr("demo.state.supervisor.write_json", full)
        for sentence in refusals(supervisor):
            assert "No space left on device" in sentence
            assert str(tmp_path) not in sentence
    monkeypatch.setattr(sys, "executable", str(tmp_path / "missing"))
    with pytest.raises(InputError, match=r"started \(No such file or directory\)") as refused:
        supervisor.start("MLP-1", WISH.arguments())
    assert str(tmp_path) not in str(refused.value)


def ended(runs: Path, log: str) -> Supervisor:
    """A training that has ended without being asked to, and left this log."""
    (runs / ".demo").mkdir()
    (runs / ".demo" / "current.json").write_text('{"title": "MLP-1", "folder": null, "wish": "run"}')
    (runs / ".demo" / "training.log").write_text(log)
    return Supervisor(runs)


def test_a_training_that_ended_without_a_word_was_killed_or_out_of_memory(tmp_path: Path) -> None:
    now = ended(tmp_path, "epoch 1 of 3\n  happy  0.71  0.64\n").current()
    assert (now.status, now.reason) == ("failed", "")
    assert "it was killed, or the memory was full" in view(now, "en")
    assert "进程被终止，或者内存不足" in view(now, "zh")


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        ("error: the disk is full\n  happy  0.71\n", "the disk is full"),
        ("Traceback (most recent call last):\n  File x\nValueError: no\n", "ValueError: no"),
    ],
)
def test_a_training_that_said_why_it_ended_is_quoted(tmp_path: Path, log: str, reason: str) -> None:
    now = ended(tmp_path, log).current()
    assert (now.status, now.reason) == ("failed", reason)


def test_a_run_of_another_version_has_failed_and_another_training_can_start(tmp_path: Path) -> None:
    run = tmp_path / "torch" / "mlp_1" / "published-official-20250101-000000"
    run.mkdir(parents=True)
    (run / "run.json").write_text('{"schema": 0}')
    now = ended(tmp_path, f"run folder: {run}\n").current()
    assert (now.status, now.folder, now.record, now.alive) == ("failed", run, None, False)
    assert "of another version" in now.reason
    assert "of another version" in view(now, "en")


def test_export_gives_a_training_a_name_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        name = "mlp_1.torch.published-official-20261125-222923.onnx"
        return subprocess.CompletedProcess(command, 0, f"{tmp_path / name}\n", "")

    monkeypatch.setattr("demo.tabs.train.subprocess.run", run)
    *_, said = publish(page_of(tmp_path), trained(tmp_path / "published-official-20261125-222923"), "en")
    assert commands[0][-3:] == ["--tag", "20261125-222923", "--replace"]
    assert "MLP-1 · torch · published, official, 2026-11-25 22:29:23 is published" in said


def test_a_refused_export_is_said_without_the_folders_of_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "published-official-20261125-222923"

    def refuse(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 3, "", f"error: {run} is not published: parity: no\n")

    monkeypatch.setattr("demo.tabs.train.subprocess.run", refuse)
    *_, said = publish(page_of(tmp_path / "models"), trained(run), "en")
    assert f"{run.name} is not published: parity: no" in said
    assert str(tmp_path) not in said


def page_of(folder: Path) -> Page:
    return Page(Shelf(folder), HaarFinder(), folder, folder, folder / "fer2013.csv", folder, str)


def trained(folder: Path) -> Current:
    """A training in `folder` that has ended its first epoch."""
    settings = WISH.settings()
    data = DataRecord("drawn", "0", "1", "official", 0.2, 42, False, 5, None, {"train": 1, "validation": 1, "test": 1})
    facts: dict[str, Any] = {"versions": {}, "data_path": None, "skip_bad_rows": False, "commit": None}
    record = start_record(settings, parameters=16135, data=data, machine=Machine("a", 1), **facts)
    checkpoints = (Checkpoint(1, "weights-1", "0" * 64, 0.5, 1.5),)
    return Current("finished", "MLP-1", folder, replace(record, status="finished", checkpoints=checkpoints))


def test_what_was_laid_out_in_english_follows_the_browser(tmp_path: Path) -> None:
    request: Any = SimpleNamespace(headers={"accept-language": "zh-CN"})
    drawn, faces = Handlers(page_of(tmp_path), Supervisor(tmp_path)).greet("mlp_1", request)
    assert "个参数" in drawn
    assert faces["choices"] == [("程序绘制的人脸", ""), ("fer2013.csv", GIVEN)]


@pytest.mark.parametrize(
    ("sent", "taken"), [(GIVEN, "fer2013.csv"), ("", None), ("/etc/passwd", None)], ids=["given", "drawn", "a path"]
)
def test_the_faces_that_the_page_was_given_are_asked_for_by_a_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sent: str, taken: str | None
) -> None:
    started: list[list[str]] = []
    supervisor = Supervisor(tmp_path)
    monkeypatch.setattr(supervisor, "start", lambda title, arguments: started.append(arguments))
    Handlers(page_of(tmp_path), supervisor).begin([*vars(replace(WISH, data=sent)).values()], "en")
    assert started == [replace(WISH, data=str(tmp_path / taken) if taken else "").arguments()]


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("epochs", 0, "--epochs is 0"),
        ("epochs", 2.5, "expected a whole number"),
        ("epochs", None, "expected a number"),
        ("batch_size", 1, "--batch-size is 1"),
        ("learning_rate", -1, "--learning-rate is -1"),
        ("learning_rate", float("nan"), "expected a number"),
        ("learning_rate", "a lot", "expected a number"),
        ("optimizer", "lbfgs", "--optimizer is 'lbfgs'"),
        ("balance", "magic", "--balance is 'magic'"),
        ("model", "cnn_9", "the model is 'cnn_9'"),
        ("framework", "jax", "--framework is 'jax'"),
        ("framework", None, "no framework"),
        ("protocol", "mine", "--protocol is 'mine'"),
    ],
)
def test_wrong_values_are_refused_in_words(field: str, value: Any, sentence: str) -> None:
    with pytest.raises(InputError, match=re.escape(sentence)):
        replace(WISH, **{field: value}).settings()


def test_the_test_share_counts_under_the_random_protocol_alone() -> None:
    assert replace(WISH, test_share=5).settings().split.protocol == "official"
    with pytest.raises(InputError, match="--test-share is 5"):
        replace(WISH, protocol="random", test_share=5).settings()
    assert "--test-share" in replace(WISH, protocol="random", test_share=0.3).arguments()


def test_the_command_line_gives_the_same_settings_as_the_fields() -> None:
    from training.options import parse, settings_from

    for wish in (
        WISH,
        replace(WISH, protocol="random", test_share=0.35, keep_all=True, optimizer="sgd", learning_rate=1e-5),
        replace(WISH, model="cnn_4", balance="class-weights", batch_size=128),
    ):
        assert settings_from(parse(wish.arguments())) == wish.settings()


@pytest.mark.parametrize("name", MODELS)
def test_layers_are_listed_with_all_of_their_parameters(name: str) -> None:
    html = layers(model_spec(name), "en")
    counts = [int(text.replace(",", "")) for text in re.findall(r"<td>([\d,]+)</td></tr>", html)]
    assert sum(counts) == parameter_count(model_spec(name))


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{",
        '{"title": "MLP-1", "folder": null}',
        '{"title": 3, "folder": null, "wish": "run"}',
        '{"title": "MLP-1", "folder": "x", "wish": "fly"}',
        '{"title": "a", "folder": {}, "wish": "run"}',
        "[" * 50_000,
    ],
    ids=range(8),
)
def test_a_state_that_cannot_be_made_out_is_said_and_a_new_training_takes_its_place(
    tmp_path: Path, content: str
) -> None:
    supervisor = Supervisor(tmp_path)
    (tmp_path / ".demo").mkdir()
    (tmp_path / ".demo" / "current.json").write_text(content)
    current = supervisor.current()
    assert current.status == "failed"
    assert "start a new training" in current.reason
    assert "current.json" in view(current, "en")
    with pytest.raises(InputError, match=r"current\.json"):
        supervisor.stop()
    supervisor.start("MLP-1", ["--model", "mlp_1", "--epochs", "0"])
    supervisor.wait(60)
    assert supervisor.current().title == "MLP-1"


def test_answers_that_cannot_be_read_leave_the_rest_of_a_training_to_be_seen(
    tmp_path: Path, epoch: EpochRecord
) -> None:
    current = trained(tmp_path)
    assert current.record is not None
    write_history(tmp_path, [epoch])
    (tmp_path / "answers.npz").write_bytes(b"PK\x03\x04")
    html = view(current, "en")
    assert "answers.npz is not what an epoch answered" in html
    assert "<dd>50.00 %</dd>" in html
    assert "fx-classes" in html


@pytest.mark.parametrize("wrong", ["run.json", "metrics.jsonl"])
def test_a_run_whose_files_were_damaged_does_not_take_the_tab_down(tmp_path: Path, wrong: str) -> None:
    current = trained(tmp_path)
    assert current.record is not None
    write_record(tmp_path, current.record)
    (tmp_path / wrong).write_text('{"epoch": []}')
    runs = tmp_path / "runs"
    (runs / ".demo").mkdir(parents=True)
    state = {"title": "MLP-1", "folder": str(tmp_path), "wish": "run"}
    (runs / ".demo" / "current.json").write_text(json.dumps(state))
    html = view(Supervisor(runs).current(), "en")
    assert wrong in html


def test_two_that_look_at_once_see_no_training_where_there_is_none(tmp_path: Path) -> None:
    supervisors = [Supervisor(tmp_path) for _ in range(2)]
    (tmp_path / ".demo").mkdir()
    (tmp_path / ".demo" / "lock").write_text("999999")
    seen: list[int | None] = []

    def look(supervisor: Supervisor) -> None:
        seen.extend(supervisor._process() for _ in range(2000))

    threads = [threading.Thread(target=look, args=(supervisor,)) for supervisor in supervisors]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(seen), set(seen)) == (4000, {None})


def test_the_pictures_of_the_last_epoch_are_drawn_though_its_answers_came_late(tmp_path: Path) -> None:
    from demo.view.training import _answers
    from training.run import answers_written, write_answers

    labels, shares = np.arange(7, dtype=np.uint8), np.eye(7)
    assert _answers(tmp_path, answers_written(tmp_path)) == ()
    drawn = []
    for epoch in (1, 2):
        write_answers(tmp_path, epoch, labels, np.roll(shares, epoch, axis=1))
        drawn.append(_answers(tmp_path, answers_written(tmp_path)))
    assert drawn[0] != drawn[1]
    assert _answers(tmp_path, answers_written(tmp_path)) is drawn[1]
