"""A run folder: one record that says all about a training, committed after every epoch.

`run.json` is the commit point. Checkpoints get names of their own and are referred to from it with their sha256;
it is replaced in one step, and only then is what it no longer refers to removed. So a run killed at any moment is as
it was after its last commit.
"""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from data.documents import STRICT, Count, Number, Seconds, parse_document, top_level
from data.errors import InputError
from data.faceset import FaceSet
from data.files import remove_temporaries, sha256, write_json
from data.load import load
from data.locks import take
from data.splits import Split, split
from inference.manifest import DataRecord, stated
from inference.report.training_result import Checkpoint, FinalFigures, Machine, Move
from training.history import read_history, write_history
from training.recipe import Settings
from training.weights import load_arrays, save_arrays

SCHEMA = 1
RECORD_FILE, LOCK_FILE = "run.json", ".lock"
ANSWERS_FILE = "answers.npz"


@dataclass(frozen=True)
class Progress:
    """Where to go on: `epoch` (from 1) is to be continued from step `step` (0: from its start).

    The sums belong to the steps already taken in that epoch. `state` is the framework's own file with weights,
    optimiser and random generators; `average` that of the weights' moving average, empty where there is none.
    """

    epoch: Number
    step: Count
    loss_sum: float
    correct: Count
    seen: Count
    seconds: Seconds
    state: str
    state_sha256: str
    average: str = ""
    average_sha256: str = ""


@dataclass(frozen=True)
class RunRecord:
    """Everything that `run.json` says.

    `seconds` is the time spent in epochs, all sessions together; `teachings_sha256` is of the file with what teachers
    said of the training faces, None where there are none; `inherited` is explained in `inference.manifest.Manifest`.
    `classes` says what folders of other names meant, `left_out` how many files were not taken, by reason.
    """

    __pydantic_config__: ClassVar = STRICT

    schema: int
    status: Literal["running", "stopped", "finished"]
    settings: Settings
    parameters: Count
    versions: dict[str, str]
    data: DataRecord
    data_path: str | None
    skip_bad_rows: bool
    machine: Machine
    commit: str | None
    started: str
    seconds: Seconds
    checkpoints: tuple[Checkpoint, ...]
    progress: Progress | None
    test: FinalFigures | None
    teachings_sha256: str | None = None
    inherited: tuple[DataRecord, ...] = ()
    moves: tuple[Move, ...] = ()
    classes: str = ""
    left_out: dict[str, int] = field(default_factory=dict)

    @property
    def best(self) -> Checkpoint | None:
        """The checkpoint with the highest accuracy, the earliest of equals."""
        return max(self.checkpoints, key=lambda checkpoint: (checkpoint.accuracy, -checkpoint.epoch), default=None)


def create_run(root: Path, settings: Settings) -> Path:
    """Create and return an empty folder `<framework>/<model>/<recipe>-<protocol>-<time>` below `root`."""
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    base = root / settings.framework / settings.model / f"{settings.recipe}-{settings.split.protocol}-{stamp}"
    for suffix in ("", *(f"-{number}" for number in range(2, 100))):
        folder = base.with_name(base.name + suffix)
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
    raise InputError(f"{base} exists 99 times over; choose another --out")


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Hold a run's folder for this process; an `InputError` if another one trains in it. Ends with the process."""
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder; expected a run that training made")
    with (folder / LOCK_FILE).open("w") as file:
        if not take(file):
            raise InputError(f"{folder} is being trained by another process; wait for it, or stop it")
        yield


def write_record(folder: Path, record: RunRecord) -> None:
    """Commit `record`, then remove checkpoints and states that it does not refer to."""
    write_json(folder / RECORD_FILE, plain(record))
    kept = {checkpoint.file for checkpoint in record.checkpoints}
    if record.progress:
        kept |= {record.progress.state, record.progress.average}
    for file in [path for kind in ("weights", "state", "average") for path in folder.glob(f"{kind}-*")]:
        if file.name not in kept:
            file.unlink()


def plain(record: RunRecord) -> dict[str, Any]:
    """Return a record as JSON-able values."""
    return asdict(record, dict_factory=stated) | {"settings": record.settings.record()}


def read_record(folder: Path) -> RunRecord:
    """Read a run's record; an `InputError` says what is missing or not understood."""
    file = folder / RECORD_FILE
    try:
        content = file.read_bytes()
    except OSError as error:
        raise InputError(
            f"{folder} is no training run ({RECORD_FILE}: {error.strerror}); expected a folder that training made"
        ) from error
    if (found := (top_level(content) or {}).get("schema")) != SCHEMA:
        raise InputError(f"{file} is of another version: its schema is {found!r:.40}, expected {SCHEMA}; train again")
    return parse_document(RunRecord, content, str(file), "restore it or train again")


def prepare_resume(folder: Path) -> RunRecord:
    """Read the record of a run to go on with, clear what a kill left half done, and check its state file."""
    record = read_record(folder)
    if record.progress is None:
        raise InputError(f"{folder} is {record.status}: nothing is left to resume; train a new run")
    remove_temporaries(folder)
    check_file(folder, record.progress.state, record.progress.state_sha256)
    if record.progress.average:
        check_file(folder, record.progress.average, record.progress.average_sha256)
    if record.best:
        check_file(folder, record.best.file, record.best.sha256)
    write_history(folder, [line for line in read_history(folder) if line.epoch < record.progress.epoch])
    return record


def with_epochs(record: RunRecord, epochs: int) -> RunRecord:
    """Return the record of a run that is to end after another number of epochs, as if it had been meant to.

    Raises:
        InputError: the number is out of range, the learning rate depends on it, or fewer epochs would leave out some
            that the best one may be among.
    """
    before = record.settings
    settings = replace(before, epochs=epochs)
    if settings.schedule != "constant" and settings != before:
        raise InputError(
            f"--epochs cannot be changed in a run whose learning rate follows a {settings.schedule}: the epochs before "
            "would have had another one; leave it out, or train a new run"
        )
    done = max((checkpoint.epoch for checkpoint in record.checkpoints), default=0)
    if epochs < done:
        raise InputError(f"--epochs is {epochs}, but {done} are done already; expected at least that many")
    return replace(record, settings=settings)


def run_faces(record: RunRecord, data: Path | None) -> tuple[FaceSet, Split]:
    """Load a run's faces, from `data` where they have moved, and divide them as it did.

    Raises:
        InputError: they are not there, or others are.
    """
    faces = undivided_faces(record, data)
    return faces, run_split(record, faces)


def undivided_faces(record: RunRecord, data: Path | None) -> FaceSet:
    """Load what lies where a run's faces were, or at `data`; an `InputError` where nothing does."""
    path = faces_path(record, data)
    if data is None and path is not None and not path.exists():
        raise InputError(f"the run's faces were at {path}, where nothing is now; give their new place with --data")
    return load(path, record.classes, skip_bad_rows=record.skip_bad_rows)


def faces_path(record: RunRecord, data: Path | None) -> Path | None:
    """Return where a run's faces are, or `data`; None where they are drawn."""
    return data or (Path(record.data_path) if record.data_path else None)


def run_split(record: RunRecord, faces: FaceSet) -> Split:
    """Divide faces as a run did; an `InputError` where they are not those that it was trained on."""
    division = split(faces, record.data.plan())
    if division.fingerprint != record.data.fingerprint:
        raise InputError(
            f"{faces.source} has the fingerprint {division.fingerprint[:12]}, the run was trained on "
            f"{record.data.fingerprint[:12]}; give the run's own data with --data"
        )
    return division


def with_move(record: RunRecord, commit: str | None, versions: dict[str, str], machine: Machine) -> RunRecord:
    """Return the record of a run that goes on here, which it says where that is not as it was before."""
    if (
        record.progress is not None
        and not record.checkpoints
        and (record.progress.epoch, record.progress.step) == (1, 0)
    ):
        # Nothing was trained where it was made: its teachers were asked there, or it was killed at once.
        return replace(record, commit=commit, versions=versions, machine=machine)
    before = record.moves[-1] if record.moves else record
    if (before.commit, before.versions, before.machine) == (commit, versions, machine):
        return record
    epoch = record.progress.epoch if record.progress else 1
    return replace(record, moves=(*record.moves, Move(epoch=epoch, commit=commit, versions=versions, machine=machine)))


def check_file(folder: Path, name: str, digest: str) -> Path:
    """Return the path of a run's file after checking that it is the one the record speaks of."""
    path = folder / name
    if not path.is_file():
        raise InputError(f"{path} is missing, but the run's record refers to it; restore it or train again")
    if sha256(path) != digest:
        raise InputError(
            f"{path} is not the file that the run recorded (its sha256 differs); restore it or train again"
        )
    return path


def write_answers(folder: Path, epoch: int, labels: NDArray[np.uint8], probabilities: NDArray[np.float64]) -> None:
    """Write what the newest epoch said of the part that the best one is picked on, for confusion and ROC meanwhile."""
    answers = {"epoch": np.array(epoch), "labels": labels, "probabilities": probabilities.astype(np.float32)}
    save_arrays(folder / ANSWERS_FILE, answers)


def answers_written(folder: Path) -> int | None:
    """When `write_answers` wrote last, in nanoseconds since 1970; None before it did."""
    try:
        return (folder / ANSWERS_FILE).stat().st_mtime_ns
    except FileNotFoundError:
        return None


def read_answers(folder: Path) -> tuple[int, NDArray[np.uint8], NDArray[np.float32]] | None:
    """Return epoch, labels uint8[N] and probabilities float32[N, 7], or None before the first epoch has ended."""
    file = folder / ANSWERS_FILE
    if not file.exists():
        return None
    content = load_arrays(file, f"{ANSWERS_FILE} is not what an epoch answered; it is written anew by the next one")
    return int(content["epoch"]), content["labels"], content["probabilities"]


def source_commit() -> str | None:
    """Return the commit of the source tree that is running, with `+` behind it where files differ; None outside git."""
    commit = _git("rev-parse", "HEAD")
    # Without a lock: looking must not write into the source tree, as `git describe --dirty` does.
    return commit and commit + ("+" if _git("status", "--porcelain", "--untracked-files=no") else "")


def _git(*arguments: str) -> str | None:
    command = ["git", "--no-optional-locks", *arguments]
    try:
        run = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return run.stdout.strip()


def now() -> str:
    """Return this moment in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
