"""The grid of a sweep: its trials, what each has reached, and the tables over them.

What a trial has reached is read from its own folder, never remembered elsewhere.
"""

import csv
import io
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from data.documents import STRICT
from data.errors import InputError, printable
from data.files import write_text
from data.leases import held_folders
from data.terminal import say
from inference.text import PLAIN_DASH, percent
from training.history import read_history
from training.recipe import CHOICES, FRAMEWORKS
from training.run import RECORD_FILE, read_record
from training.specs import MODELS

PUBLISHED = tuple(f"{kind}_{number}" for kind in ("mlp", "cnn") for number in range(1, 5))
GROUPS: dict[str, dict[str, tuple[str, ...]]] = {
    "models": {"all": tuple(MODELS), "published": PUBLISHED},
    "frameworks": {"all": FRAMEWORKS},
    "optimizers": {"all": CHOICES["optimizer"]},
}
PLAN_FILE, FAILURE_FILE = "sweep.json", "failed"


@dataclass(frozen=True)
class Trial:
    """One training of the grid; `fold` is None without cross-validation."""

    framework: str
    model: str
    optimizer: str
    fold: int | None

    @property
    def name(self) -> str:
        """The trial's folder below the sweep's."""
        parts = (self.framework, self.model, self.optimizer)
        return "-".join(parts) + (f"-fold{self.fold}" if self.fold else "")

    def options(self, folds: int | None) -> list[str]:
        """Return the training options that make this trial."""
        options = ["--framework", self.framework, "--model", self.model, "--optimizer", self.optimizer]
        return (
            options
            if self.fold is None
            else [*options, "--protocol", "kfold", "--folds", str(folds), "--fold", str(self.fold)]
        )


@dataclass(frozen=True)
class FoldSummary:
    """The mean accuracy, a share of 1, over the finished folds of a combination, and the sample's standard deviation.

    `deviation` is None where one fold has finished.
    """

    framework: str
    model: str
    optimizer: str
    folds: int
    mean: float
    deviation: float | None


@dataclass(frozen=True)
class SweepPlan:
    """What a sweep trains: its trials, and the options that are handed to each.

    `leased` tells a sweep that is shared by machines (`--ray`): its trials are trained in their leases' folders.
    """

    __pydantic_config__ = STRICT

    options: tuple[str, ...]
    jobs: tuple[Trial, ...]
    leased: bool = False


@dataclass(frozen=True)
class TrialState:
    """What a trial has reached: `waiting`, `running`, `stopped`, `finished` or `failed`; accuracy is a share of 1."""

    status: str
    epoch: int | None = None
    accuracy: float | None = None
    seconds: float | None = None
    note: str = ""


def grid(models: Sequence[str], frameworks: Sequence[str], optimizers: Sequence[str], folds: int | None) -> list[Trial]:
    """Return every combination; an `InputError` names what is no model, framework or optimiser."""
    if folds is not None and folds < 2:
        raise InputError(f"--folds is {folds}, expected 2 to 100")
    numbers = [None] if folds is None else list(range(1, folds + 1))
    return [
        Trial(framework, model, optimizer, fold)
        for model in _expanded("models", models)
        for optimizer in _expanded("optimizers", optimizers)
        for framework in _expanded("frameworks", frameworks)
        for fold in numbers
    ]


def _expanded(option: str, names: Sequence[str]) -> list[str]:
    groups = GROUPS[option]
    expanded: dict[str, None] = {}
    for name in names:
        if name not in groups and name not in groups["all"]:
            raise InputError(f"--{option} has {name!r}, expected {', '.join((*groups, *groups['all']))}")
        expanded |= dict.fromkeys(groups.get(name, (name,)))
    return list(expanded)


def trial_folder(place: Path) -> Path:
    """Return where a trial's files are: its newest lease's folder that holds any, its own folder without leases."""
    for folder in (leases := held_folders(place)):
        if (folder / FAILURE_FILE).exists() or find_run(folder) is not None:
            return folder
    return leases[0] if leases else place


def find_run(folder: Path) -> Path | None:
    """Return the trial's run folder, the newest of several, if it has been committed to."""
    records = sorted(folder.glob(f"*/*/*/{RECORD_FILE}"), key=lambda file: file.stat().st_mtime)
    return records[-1].parent if records else None


def read_state(place: Path) -> TrialState:
    """Return what a trial has reached, from its folder."""
    folder = trial_folder(place)
    failed = folder / FAILURE_FILE
    note = failed.read_text(errors="replace").strip() if failed.exists() else ""
    run = find_run(folder)
    if run is None:
        return TrialState("failed" if note else "stopped" if folder.exists() else "waiting", note=note)
    try:
        record, history = read_record(run), read_history(run)
    except InputError as error:
        return TrialState("failed", note=str(error))
    if record.test:
        return TrialState("finished", record.test.epoch, record.test.accuracy, record.seconds)
    status, last = "failed" if note else "stopped", history[-1] if history else None
    epoch, accuracy = (last.epoch, last.validation_accuracy) if last else (0, None)
    return TrialState(status, epoch, accuracy, record.seconds, note)


def table(states: dict[Trial, TrialState]) -> str:
    """Return the grid as text for a terminal."""
    head = ("framework", "model", "optimizer", "fold", "status", "epoch", "accuracy", "seconds", "")
    rows = [head, *(tuple(map(printable, _cells(trial, state))) for trial, state in states.items())]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def summary(states: dict[Trial, TrialState]) -> list[FoldSummary]:
    """Return what the finished folds of each combination come to."""
    groups: dict[tuple[str, str, str], list[float]] = {}
    for trial, state in states.items():
        if trial.fold is not None and state.status == "finished" and state.accuracy is not None:
            groups.setdefault((trial.framework, trial.model, trial.optimizer), []).append(state.accuracy)
    return [
        FoldSummary(
            *names,
            len(accuracies),
            statistics.fmean(accuracies),
            statistics.stdev(accuracies) if len(accuracies) > 1 else None,
        )
        for names, accuracies in groups.items()
    ]


def write_tables(out: Path, states: dict[Trial, TrialState]) -> list[Path]:
    """Write `results.csv`, and with cross-validation `folds.csv`; return their paths."""
    rows = [asdict(trial) | asdict(state) for trial, state in states.items()]
    paths = [_write_csv(out / "results.csv", rows)]
    if folds := summary(states):
        for line in folds:
            name = f"{line.framework} {line.model} {line.optimizer}"
            say(f"{name}: {percent(line.mean, 2)} ± {share(line.deviation)} over {line.folds} folds")
        paths.append(_write_csv(out / "folds.csv", [asdict(line) for line in folds]))
    return paths


def _write_csv(path: Path, rows: list[dict[str, Any]]) -> Path:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())
    return path


def _cells(trial: Trial, state: TrialState) -> tuple[str, ...]:
    return (
        trial.framework,
        trial.model,
        trial.optimizer,
        str(trial.fold or "-"),
        state.status,
        str(state.epoch or "-"),
        share(state.accuracy),
        f"{state.seconds:.0f}" if state.seconds else "-",
        state.note[:80],
    )


def share(value: float | None) -> str:
    """Return a share of 1 as percent, a dash for None."""
    return percent(value, 2, PLAIN_DASH)
