"""Training's parts: settings, specs, weights, what an epoch shows; a wrong value is refused before data is loaded."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import InputError
from data.faceset import FaceSet
from data.load import load
from data.splits import SplitPlan, split
from inference import machine
from inference.engine import Engine
from inference.ensemble import Ensemble
from inference.manifest import Manifest, Temperature
from inference.report.training_result import Machine
from training.average import STEPS_BETWEEN, AverageInNumPy, AverageSchedule, load_average, save_average
from training.epoch import EpochPlan, class_weights, plan_epoch
from training.history import read_history
from training.loop import Trainer
from training.options import parse, settings_from
from training.recipe import BEST_RATES, CHOICES, Settings, recipe
from training.run import Progress, prepare_resume, read_record, with_epochs, with_move
from training.specs import MODELS
from training.teachers import KeptAnswers, LabelShares, ancestors_of, answers_folder, label_shares, teach
from training.views import EpochLoader
from training.weights import initial_weights, load_weights, parameter_count, save_weights, shapes

torch = pytest.importorskip("torch", reason="PyTorch is not installed (ferox[torch])")

from training.torch.model import build, get_weights, set_weights  # noqa: E402
from training.torch.train import (  # noqa: E402
    TorchLearner,
    TorchTeacher,
    choose_device,
    cross_entropy,
    optimizer,
    teacher_on_device,
)


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "training", *map(str, arguments)]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--epochs", "0"], "--epochs is 0, expected 1 to"),
        (["--learning-rate", "nan"], "--learning-rate is nan"),
        (["--test-share", "1"], "--test-share is 1.0"),
        (["--fold", "2"], "--fold 2 belongs to"),
        (["--test-share", "0.5"], "--test-share belongs to --protocol random, not to 'official'"),
        (["--split-seed", "9"], "--split-seed belongs to --protocol random or kfold, not to 'official'"),
        (["--protocol", "random", "--folds", "3"], "--folds belongs to --protocol kfold, not to 'random'"),
        (["--label-smoothing", "0.9"], "--label-smoothing is 0.9"),
        (["--patience", "0"], "--patience is 0, expected 1 to"),
        (["--ema-decay", "1"], "--ema-decay is 1.0"),
        (["--mixup", "-1"], "--mixup is -1.0"),
    ],
)
def test_a_wrong_value_is_refused_before_any_data_is_loaded(arguments: list[str], words: str) -> None:
    done = subprocess.run(
        command("--model", "mlp_1", "--data", "nowhere.csv", *arguments), capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert words in done.stderr
    assert "nowhere" not in done.stderr


@pytest.mark.parametrize("name", [name for name in MODELS if name != "resnet_18"])
def test_every_spec_builds_with_the_weights_that_it_states(name: str) -> None:
    spec = MODELS[name]
    model = build(spec)
    assert sum(parameter.numel() for parameter in model.parameters()) == parameter_count(spec)
    weights = initial_weights(spec, seed=1)
    set_weights(model, weights)
    assert all((get_weights(model, spec)[key] == array).all() for key, array in weights.items())
    assert model.eval()(torch.zeros(2, 1, 48, 48)).shape == (2, 7)


def test_resnet_18_is_torchvisions() -> None:
    from torchvision.models import resnet18

    spec = MODELS["resnet_18"]
    ours, theirs = build(spec), resnet18(num_classes=7)
    theirs.conv1 = torch.nn.Conv2d(1, 64, 7, 2, 3, bias=False)
    weights = initial_weights(spec, seed=0)
    set_weights(ours, weights)
    arrays = [torch.from_numpy(weights[name]) for name in shapes(spec)]
    names = [name for name in theirs.state_dict() if not name.endswith("num_batches_tracked")]
    theirs.load_state_dict(dict(zip(names, arrays, strict=True)), strict=False)
    pixels = torch.rand(2, 1, 48, 48)
    large = torch.nn.functional.interpolate(pixels, size=(224, 224), mode="bilinear", align_corners=False)
    with torch.inference_mode():
        assert torch.allclose(ours.eval()(pixels), theirs.eval()(large), atol=1e-5)


def test_weights_that_are_not_finite_are_not_saved(tmp_path: Path) -> None:
    spec = MODELS["mlp_1"]
    weights = initial_weights(spec, 0)
    save_weights(weights, spec, tmp_path / "good.npz")
    assert (load_weights(tmp_path / "good.npz", spec)["dense_1.bias"] == weights["dense_1.bias"]).all()
    weights["dense_1.bias"][3] = np.nan
    with pytest.raises(InputError, match=r"dense_1\.bias holds NaN"):
        save_weights(weights, spec, tmp_path / "bad.npz")
    assert not (tmp_path / "bad.npz").exists()


def test_a_pickle_is_no_weight_file(tmp_path: Path) -> None:
    import pickle

    path = tmp_path / "evil.npz"
    path.write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(InputError, match="no readable weight file"):
        load_weights(path, MODELS["mlp_1"])


def test_sampling_balances_classes() -> None:
    labels = np.repeat(np.arange(7), [70, 7, 30, 90, 50, 40, 60]).astype(np.uint8)
    base = recipe("published", "torch", "mlp_1")
    for balance, each in (("over-sampling", 90), ("under-sampling", 7)):
        order = plan_epoch(replace(base, balance=balance), labels, 1).order
        assert np.bincount(labels[order]).tolist() == [each] * 7
    assert np.isclose((class_weights("class-weights", labels)[labels]).sum(), len(labels))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_of_unmixed_faces_is_pytorch_s_own(smoothing: float) -> None:
    generator = torch.Generator().manual_seed(0)
    logits, labels = torch.randn(20, 7, generator=generator) * 3, torch.arange(20) % 7
    balance = torch.rand(7, generator=generator) + 0.5
    expected = torch.nn.CrossEntropyLoss(balance, label_smoothing=smoothing)(logits, labels)
    found = cross_entropy(logits, torch.nn.functional.one_hot(labels, 7).float(), balance, smoothing)
    assert torch.isclose(found, expected, rtol=1e-6)


def test_mixup_draws_shares_of_at_least_one_half_and_leaves_the_rest_of_the_plan_alone() -> None:
    labels = np.repeat(np.arange(7), 300).astype(np.uint8)
    base = replace(recipe("published", "torch", "mlp_1"), augmentation="full")
    plain = plan_epoch(base, labels, 1)
    plan = plan_epoch(replace(base, mixup=1.0), labels, 1)
    assert plain.mix is None
    assert plan.mix is not None
    assert plan.mix.min() >= 0.5
    assert plan.mix.max() <= 1
    # Of a uniform share's larger part, the mean is 3/4 and the deviation 1/sqrt(48).
    assert abs(plan.mix.mean() - 0.75) < 5 / np.sqrt(48 * len(labels))
    assert (plan.order == plain.order).all()
    assert plan.seed == plain.seed


class Averaged(AverageInNumPy):
    """A learner of a single weight."""

    value = 0.0

    def weights(self) -> dict[str, np.ndarray]:
        return {"w": np.array([self.value], np.float32)}


@given(
    decay=st.floats(0.5, 0.9999),
    values=st.lists(st.floats(-10, 10, width=32), min_size=1, max_size=20),
    stop=st.integers(0, 20),
)
def test_the_average_of_weights_forgets_by_its_decay_and_goes_on_from_its_file(
    decay: float, values: list[float], stop: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    schedule, learner, expected = AverageSchedule(decay), Averaged(), 0.0
    file = tmp_path_factory.mktemp("average") / "average.npz"
    for number, value in enumerate(values):
        if number == stop and number:
            save_average(file, learner.averaged(), schedule.samples)
            learner = Averaged()
            weights, samples = load_average(file)
            learner.set_average(weights)
            schedule = AverageSchedule(decay, samples)
        learner.value = value
        learner.average(schedule.next())
        kept = min(decay**STEPS_BETWEEN, number / (number + 9))
        expected = kept * expected + (1 - kept) * value
    assert schedule.samples == len(values)
    assert learner.averaged()["w"].dtype == np.float32
    assert np.isclose(learner.averaged()["w"][0], expected, rtol=1e-4, atol=1e-4)


def test_a_run_ends_when_its_patience_does(tmp_path: Path) -> None:
    # Steps so small that no epoch after the first tells any face otherwise.
    options = ["--model", "mlp_1", "--epochs", 50, "--learning-rate", 1e-7, "--optimizer", "sgd", "--patience", 2]
    done = subprocess.run(command(*options, "--out", tmp_path), capture_output=True, text=True, check=True)
    assert "no better epoch than 1 in 2, which ends the run" in done.stderr
    folder = Path(done.stdout.splitlines()[-1])
    assert len((folder / "metrics.jsonl").read_text().splitlines()) == 3
    assert '"status": "finished"' in (folder / "run.json").read_text()


@pytest.mark.parametrize(
    ("content", "refused"),
    [
        ("model name\t: Some\nflags\t\t: fpu avx2 avx512f", True),
        ("model name\t: Some\nflags\t\t: fpu avx512f avx512_bf16", False),
        ("Features\t: fp asimd bf16", False),
        ("Features\t: fp asimd", True),
        ("nothing that is understood", False),
    ],
)
def test_bf16_is_refused_where_the_processor_would_only_imitate_it(
    content: str, refused: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text(content)
    monkeypatch.setattr(machine, "PROCESSOR", file)
    settings = Settings("torch", "mlp_1", precision="bf16", device="cpu")
    if refused:
        with pytest.raises(InputError, match="--precision is bf16, for which this processor"):
            choose_device(settings)
    else:
        assert choose_device(settings).type == "cpu"


def test_the_threads_recorded_are_those_that_compute() -> None:
    assert Settings("torch", "mlp_1").thread_count == machine.available_cpus()
    assert Settings("paddle", "mlp_1", threads=3).thread_count == 3


def test_a_share_of_a_label_is_its_teachers() -> None:
    labels = np.array([0, 6], np.uint8)
    said = np.full((2, 7), 1 / 7, np.float32)
    assert label_shares(labels).tolist() == np.eye(7)[[0, 6]].tolist()
    shared = label_shares(labels, said, 0.7)
    assert shared.dtype == np.float32
    assert np.allclose(shared.sum(axis=1), 1)
    assert np.allclose(shared[0], [0.4, *[0.1] * 6])


def test_a_teacher_of_another_split_is_refused(tiny_model: Path, drawn: FaceSet) -> None:
    division = split(drawn, SplitPlan("random", seed=5))
    with pytest.raises(InputError, match="choose a teacher of the same data and protocol"):
        ancestors_of([tiny_model], drawn, division)


def test_teachers_answer_for_each_training_face_as_it_is_and_mirrored(tiny_model: Path, drawn: FaceSet) -> None:
    division, engine = split(drawn, SplitPlan()), Engine.load(tiny_model)
    teachers = ancestors_of([tiny_model, tiny_model], drawn, division)
    said = teach([tiny_model, tiny_model], drawn, division)
    faces = np.ascontiguousarray(drawn.records["pixels"][division.train])
    expected = (engine.predict(faces) + engine.predict(np.ascontiguousarray(faces[:, :, ::-1]))) / 2
    assert np.allclose(said, expected, atol=1e-6)
    assert [teacher.name for teacher in teachers] == [f"{tiny_model.stem} {engine.manifest.digest[:12]}"] * 2


@pytest.mark.parametrize(
    "given",
    [("--distillation", "0.5"), ("--teachers", "some.onnx", "--distillation", "0"), ("--teaching", "views")],
)
def test_distillation_without_teachers_and_teachers_without_a_say_are_refused(given: tuple[str, ...]) -> None:
    done = subprocess.run(command("--model", "mlp_1", *given), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "name them with --teachers" in done.stderr


def test_a_record_from_before_there_were_teachers_is_read_and_a_part_of_one_is_not(tmp_path: Path) -> None:
    options = command("--model", "mlp_1", "--epochs", 1, "--out", tmp_path)
    folder = Path(subprocess.run(options, capture_output=True, text=True, check=True).stdout.splitlines()[-1])
    file = folder / "run.json"
    record = read_record(folder)
    content = json.loads(file.read_text())
    for later in ("teachings_sha256", "inherited", "moves"):
        del content[later]
    file.write_text(json.dumps(content))
    assert read_record(folder) == record
    del content["progress"]
    file.write_text(json.dumps(content))
    with pytest.raises(InputError, match="progress is missing"):
        read_record(folder)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was to go on for long, stopped after two epochs or more."""
    out = tmp_path_factory.mktemp("stopped")
    options = command("--model", "mlp_4", "--epochs", 10_000, "--threads", 1, "--out", out)
    process = subprocess.Popen(options, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    assert any(line.startswith("epoch 2: ") for line in process.stderr)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=100)
    (folder,) = out.glob("*/*/*")
    return folder


def test_the_end_of_a_run_is_not_put_before_what_is_done_nor_where_its_learning_rate_depends_on_it(
    stopped: Path,
) -> None:
    record = read_record(stopped)
    with pytest.raises(InputError, match=r"--epochs is 1, but \d+ are done already"):
        with_epochs(record, 1)
    with pytest.raises(InputError, match="follows a cosine"):
        with_epochs(replace(record, settings=replace(record.settings, schedule="cosine")), 100)
    annealed = replace(record, settings=replace(record.settings, schedule="cosine"))
    assert with_epochs(annealed, record.settings.epochs).settings == annealed.settings
    with pytest.raises(InputError, match="--epochs is 0, expected 1"):
        with_epochs(record, 0)


def test_a_run_that_goes_on_elsewhere_says_so_once(stopped: Path) -> None:
    record = read_record(stopped)
    here = (record.commit, record.versions, record.machine)
    assert with_move(record, *here) == record
    elsewhere = ("other", record.versions, Machine("another", 4))
    moved = with_move(record, *elsewhere)
    assert with_move(moved, *elsewhere) == moved
    assert [move.machine for move in with_move(moved, *here).moves] == [elsewhere[2], record.machine]
    assert record.progress is not None
    assert moved.moves[0].epoch == record.progress.epoch


def test_another_end_outlives_a_kill_before_the_next_epoch_ends(stopped: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(stopped, folder)
    end = len(read_history(folder)) + 5000
    process = subprocess.Popen(
        command("--resume", folder, "--epochs", end), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    assert any(line.startswith("run folder: ") for line in process.stderr)
    process.kill()
    process.communicate(timeout=100)
    assert read_record(folder).settings.epochs == end


def test_a_run_that_ends_while_its_figures_are_drawn_can_be_resumed(stopped: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(stopped, folder)
    # A folder in the figure's place: drawing it fails.
    (folder / "roc.png").mkdir()
    line = command("--resume", folder, "--epochs", len(read_history(folder)) + 1)
    broken = subprocess.run(line, capture_output=True, text=True, check=False)
    assert broken.returncode == 2
    assert "roc.png" in broken.stderr
    assert read_record(folder).status == "running"
    (folder / "roc.png").rmdir()
    subprocess.run(command("--resume", folder), capture_output=True, check=True)
    assert read_record(folder).status == "finished"
    assert (folder / "roc.png").is_file()


def test_a_stopped_run_can_be_ended_where_it_stands(stopped: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(stopped, folder)
    before = read_record(folder)
    subprocess.run(command("--resume", folder, "--finish"), capture_output=True, check=True)
    after = read_record(folder)
    assert (after.status, after.progress) == ("finished", None)
    assert after.checkpoints == before.checkpoints
    assert after.settings == before.settings
    assert after.test is not None
    assert after.test.epoch == (before.best and before.best.epoch)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--model", "mlp_1", "--finish"], "--resume RUN"),
        (["--resume", "x", "--finish", "--epochs", 3], "leave out one"),
    ],
)
def test_an_end_without_a_run_or_two_ends_are_refused(options: list[object], words: str) -> None:
    done = subprocess.run(command(*options), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert words in done.stderr


def test_a_run_whose_best_weights_are_damaged_is_refused_before_it_goes_on(stopped: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(stopped, tmp_path / "run")
    best = read_record(folder).best
    assert best is not None
    (folder / best.file).write_bytes(b"damaged")
    with pytest.raises(InputError, match=f"{best.file} is not the file that the run recorded"):
        prepare_resume(folder)


def test_a_run_goes_on_in_its_own_framework_alone(stopped: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(stopped, folder)
    done = subprocess.run(
        command("--framework", "paddle", "--resume", folder), capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert f"--framework is paddle, but {folder} is trained in torch" in done.stderr


def test_a_signal_after_the_last_step_of_an_epoch_leaves_a_run_that_is_said_to_be_stopped(
    stopped: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(stopped, folder)
    record = read_record(folder)
    settings = record.settings
    faces = load(None)
    division = split(faces, settings.split)
    records = faces.records[division.train]
    pixels, labels = records["pixels"].copy(), records["label"].copy()
    weights = initial_weights(MODELS[settings.model], settings.seed)
    learner = TorchLearner(settings, weights, class_weights(settings.balance, labels))
    loader = EpochLoader(settings, pixels, labels, LabelShares(settings, labels))
    assert record.progress is not None
    learner.load_state(folder / record.progress.state)
    trainer = Trainer(folder, record, learner, loader, faces, division)
    commit = trainer._commit

    def signalled(progress: Progress, status: Literal["running", "stopped"]) -> None:
        commit(progress, status)
        trainer.interrupted = signal.SIGTERM

    trainer._commit = signalled  # type: ignore[method-assign]
    assert trainer.run() == 128 + signal.SIGTERM
    assert read_record(folder).status == "stopped"


@pytest.mark.parametrize("model", ["mlp_1", "cnn_1", "cnn_4"])
@pytest.mark.parametrize("name", CHOICES["optimizer"])
def test_best_has_each_optimiser_s_own_rate_and_decay(model: str, name: str) -> None:
    settings = settings_from(parse(["--model", model, "--recipe", "best", "--optimizer", name]))
    assert (settings.optimizer, settings.learning_rate, settings.weight_decay) == (name, *BEST_RATES[name])
    assert settings.nesterov == (name == "sgd")
    given = ["--learning-rate", "0.5", "--weight-decay", "0.25"]
    settings = settings_from(parse(["--model", model, "--recipe", "best", "--optimizer", name, *given]))
    assert (settings.learning_rate, settings.weight_decay) == (0.5, 0.25)
    published = settings_from(parse(["--model", model, "--optimizer", name]))
    assert published.learning_rate == recipe("published", "torch", model).learning_rate


def test_best_is_what_was_run() -> None:
    settings = settings_from(parse(["--model", "vgg_32", "--recipe", "best"]))
    assert (settings.optimizer, settings.learning_rate, settings.weight_decay) == ("sgd", 0.1, 5e-4)
    assert (settings.epochs, settings.mixup, settings.ema_decay, settings.batch_size) == (120, 0.2, 0.999, 128)
    other = settings_from(parse(["--model", "vgg_64", "--recipe", "best", "--optimizer", "adamw"]))
    assert (other.learning_rate, other.weight_decay) == BEST_RATES["adamw"]
    residual = settings_from(parse(["--model", "resnet_18_48", "--recipe", "best"]))
    assert (residual.optimizer, residual.learning_rate, residual.weight_decay) == ("sgd", 0.1, 1e-3)
    assert (residual.epochs, residual.mixup, residual.ema_decay) == (100, 0.4, 0.999)


def test_a_run_goes_on_where_there_is_no_gpu_and_says_where_its_faces_were(stopped: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(stopped, tmp_path / "run")
    content = json.loads((folder / "run.json").read_text())
    content["settings"] |= {"device": "cuda", "precision": "bf16"}
    content["data_path"] = str(tmp_path / "moved.csv")
    (folder / "run.json").write_text(json.dumps(content))
    done = subprocess.run(command("--resume", folder, "--finish"), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"the run's faces were at {tmp_path / 'moved.csv'}, where nothing is now" in done.stderr
    content["data_path"] = None
    (folder / "run.json").write_text(json.dumps(content))
    if not torch.cuda.is_available():
        done = subprocess.run(command("--resume", folder, "--finish"), capture_output=True, text=True, check=False)
        assert "use --device cpu" in done.stderr
    options = command("--resume", folder, "--finish", "--device", "cpu")
    subprocess.run(options, capture_output=True, text=True, check=True)
    record = read_record(folder)
    assert record.status == "finished"
    assert (record.settings.device, record.settings.precision) == ("cpu", "bf16")


def test_nesterov_s_form_of_no_momentum_is_none_at_all() -> None:
    settings = settings_from(parse(["--model", "cnn_1", "--recipe", "best", "--momentum", "0"]))
    assert not settings.nesterov
    (group,) = optimizer(settings, [torch.nn.Parameter(torch.zeros(1))]).param_groups
    assert (group["momentum"], group["nesterov"]) == (0, False)


def test_a_run_with_another_end_comes_to_what_it_would_have_come_to(stopped: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(stopped, tmp_path / "run")
    end = len(read_history(folder)) + 1
    subprocess.run(command("--resume", folder, "--epochs", end), capture_output=True, check=True)
    options = command("--model", "mlp_4", "--epochs", end, "--threads", 1, "--out", tmp_path)
    whole = Path(subprocess.run(options, capture_output=True, text=True, check=True).stdout.splitlines()[-1])
    found, expected = read_record(folder), read_record(whole)
    assert found.status == "finished"
    assert found.moves == ()
    assert found.settings == expected.settings
    assert found.checkpoints == expected.checkpoints


@pytest.mark.parametrize("asking", [False, True], ids=["training", "asking ahead"])
def test_a_signal_does_not_wait_for_teachers_that_are_slow(asking: bool, stopped: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(stopped, folder)
    record = read_record(folder)
    settings, faces = record.settings, load(None)
    division = split(faces, settings.split)
    records = faces.records[division.train]
    given_up = threading.Event()

    def shares(plan: EpochPlan, pixels: np.ndarray) -> np.ndarray:
        os.kill(os.getpid(), signal.SIGTERM)
        if not given_up.wait(60):
            raise AssertionError("the teachers were waited for")
        raise CancelledError

    pixels, labels = records["pixels"].copy(), records["label"].copy()
    weights = initial_weights(MODELS[settings.model], settings.seed)
    learner = TorchLearner(settings, weights, class_weights(settings.balance, labels))
    loader = EpochLoader(settings, pixels, labels, shares, given_up.set)
    trainer = Trainer(folder, record, learner, loader, faces, division)
    assert (trainer.ask_ahead(3) if asking else trainer.run()) == 128 + signal.SIGTERM
    after = read_record(folder)
    assert (after.status, after.progress) == ("stopped", record.progress)
    loader.close()


def test_teachers_that_were_asked_elsewhere_leave_a_run_where_it_is_trained(stopped: Path) -> None:
    record = read_record(stopped)
    assert record.progress is not None
    begun = replace(record, checkpoints=(), progress=replace(record.progress, epoch=1, step=0))
    moved = with_move(begun, "other", {"torch": "2"}, Machine("another", 4))
    assert (moved.commit, moved.machine, moved.moves) == ("other", Machine("another", 4), ())


def test_answers_to_views_are_kept_by_the_views_and_nobody_is_asked_twice(tmp_path: Path, drawn: FaceSet) -> None:
    class Counting:
        asked = 0

        def predict(self, pixels: np.ndarray) -> np.ndarray:
            self.asked += 1
            return np.tile(np.linspace(0, 1, 7, dtype=np.float32), (len(pixels), 1))

    teacher, pixels = Counting(), np.ascontiguousarray(drawn.pixels[:20])
    said = KeptAnswers(tmp_path, teacher, keep=True).predict(pixels)
    again = KeptAnswers(tmp_path, teacher).predict(pixels)
    assert teacher.asked == 1
    # A training that finds them comes to the numbers of the one that asked, and of one that keeps nothing.
    unkept = KeptAnswers(tmp_path / "none", Counting()).predict(pixels)
    assert np.array_equal(again, said)
    assert np.array_equal(again, unkept)
    assert np.allclose(again, teacher.predict(pixels), atol=1e-3)
    teacher.asked = 1
    KeptAnswers(tmp_path, teacher).predict(pixels[::-1].copy())
    assert (teacher.asked, len(list(tmp_path.glob("answers-*")))) == (2, 1)
    ended = KeptAnswers(tmp_path, teacher)
    ended.stop()
    with pytest.raises(CancelledError):
        ended.predict(pixels[::2].copy())
    assert teacher.asked == 2
    (file,) = tmp_path.glob("answers-*")
    file.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(InputError, match="is not what teachers said of an epoch"):
        KeptAnswers(tmp_path, teacher).predict(pixels)


def test_trainings_that_share_answers_ask_about_the_same_views_once(tmp_path: Path, drawn: FaceSet) -> None:
    asked, answering = [], threading.Event()

    class Slow:
        def predict(self, pixels: np.ndarray) -> np.ndarray:
            asked.append(len(pixels))
            if not answering.wait(60):
                raise AssertionError("the other one never came to wait")
            return np.full((len(pixels), 7), 1 / 7, np.float32)

    settings = Settings("torch", "mlp_1", teachers=("one 0123456789ab", "two 0123456789ab"))
    folder = answers_folder(tmp_path, settings)
    assert folder != answers_folder(tmp_path, replace(settings, teachers=settings.teachers[:1]))
    pixels = np.ascontiguousarray(drawn.pixels[:20])
    first, second, third = (KeptAnswers(folder, Slow(), keep=True) for _ in range(3))
    with ThreadPoolExecutor(3) as threads:
        saying = threads.submit(first.predict, pixels)
        while not asked:
            time.sleep(0.01)
        waiting, ended = (threads.submit(other.predict, pixels) for other in (second, third))
        third.stop()
        assert isinstance(ended.exception(60), CancelledError)
        assert not waiting.done()
        answering.set()
        assert np.array_equal(waiting.result(60), saying.result(60))
    assert asked == [20]


def test_teachers_on_the_device_answer_as_their_artifacts_do(
    tiny_manifest: Manifest, drawn: FaceSet, tmp_path: Path
) -> None:
    from export.canonical import canonical
    from export.contract import seal, wrap
    from export.from_torch import convert

    spec, engines = MODELS["cnn_1"], []
    for seed, temperature in ((1, 0.5), (2, 2.0)):
        weights, model = initial_weights(spec, seed), build(spec)
        # Untrained, it would say much the same of every face.
        weights["dense_3.weight"] *= 300
        set_weights(model, weights)
        convert(model, tmp_path / "network.onnx")
        manifest = replace(tiny_manifest, model="cnn_1", temperature=Temperature(temperature))
        path = tmp_path / f"{seed}.onnx"
        path.write_bytes(seal(wrap(canonical(onnx.load(tmp_path / "network.onnx"))), manifest))
        engines.append(Engine.load(path, provider="cpu", threads=1))
    settings = Settings("torch", "mlp_1", device="cpu")
    assert teacher_on_device(settings, engines) is None
    teacher = TorchTeacher(torch.device("cpu"), engines)
    pixels = np.ascontiguousarray(drawn.pixels[:40])
    expected = Ensemble(tuple(engines)).predict(pixels)
    assert expected.std(axis=0).max() > 0.03
    # bf16 has eight bits.
    assert np.abs(teacher.predict(pixels) - expected).max() < 0.02
