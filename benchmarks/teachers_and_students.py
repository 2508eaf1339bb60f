"""Teachers, and students of theirs, trained side by side on one GPU within a time limit.

    python -m benchmarks.teachers_and_students --data fer2013.csv --out DIR --time-limit 480

Teachers are trained first and exported; students then learn from all of them together, each on its own views, and those
that see the same views share what the teachers say of them. Whatever the time limit stops goes on when the command is
repeated. It ends with a table of what there is. `--tiny` tries it out on a processor, with the smallest network.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from data.commands import run_command
from data.errors import InputError
from training.run import RunRecord, read_record

# What a training needs at its end, to save its state and to be measured.
SECONDS_TO_END = 15
CORRUPTED = ("--augmentation", "corruptions", "--mixup", "0.2", "--label-smoothing", "0", "--distillation", "0.8")


@dataclass(frozen=True)
class Plan:
    """A training: its name, which its folder has, its architecture, and its options besides `best`."""

    name: str
    model: str
    options: tuple[str, ...] = ()


TEACHERS = (
    Plan("resnet_18_48", "resnet_18_48"),
    Plan("vgg_32-seed1", "vgg_32", ("--seed", "1")),
    Plan("vgg_32-seed2", "vgg_32", ("--seed", "2")),
)
STUDENTS = (
    Plan("vgg_64-taught", "vgg_64", ("--epochs", "110", *CORRUPTED)),
    Plan("vgg_32-taught", "vgg_32", ("--epochs", "110", *CORRUPTED)),
    Plan("cnn_4-taught", "cnn_4", ("--epochs", "70", "--ema-decay", "0.999", *CORRUPTED)),
)
TINY = ("--epochs", "1", "--device", "cpu", "--precision", "fp32")


@dataclass
class Child:
    """A process of a training or an export, whose stderr goes to a file."""

    plan: Plan
    process: subprocess.Popen[str]
    log: IO[str] = field(repr=False)


@dataclass(frozen=True)
class Place:
    """Where everything lies, and until when there is time.

    Attributes:
        data: the faces.
        out: a folder of runs for each training, `models`, `answers` and `logs`.
        end: when the last process has to be told to stop, by `time.monotonic`.
        threads: of each training, for the faces of its next epoch.
        tiny: whether all is to be as small as can be.
    """

    data: Path | None
    out: Path
    end: float
    threads: int
    tiny: bool

    def run(self, plan: Plan) -> Path | None:
        """Return a training's run folder, the newest, or None where it has not begun."""
        found = sorted((self.out / plan.name).glob("*/*/*/run.json"))
        return found[-1].parent if found else None

    def record(self, plan: Plan) -> RunRecord | None:
        """Return a training's record, or None where it has not begun."""
        run = self.run(plan)
        return read_record(run) if run else None

    def finished(self, plan: Plan) -> bool:
        """Return whether a training has come to its end."""
        record = self.record(plan)
        return record is not None and record.status == "finished"

    @property
    def left(self) -> float:
        """Seconds until the end."""
        return self.end - time.monotonic()


def main() -> int:
    """Train what is not finished yet, and print what there is; the exit status is 1 where something failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--data", type=Path, help="fer2013.csv, image folder or zip (default: drawn faces)")
    add("--out", type=Path, required=True, help="goes on with what is there")
    add(
        "--time-limit",
        type=float,
        required=True,
        metavar="SECONDS",
        help="in which trainings end; exports are not cut short",
    )
    add("--teachers", type=Path, nargs="+", metavar="MODEL", help="artifacts to learn from, in place of training some")
    add("--students", nargs="+", choices=[plan.name for plan in STUDENTS], help="default: all")
    add("--threads", type=int, default=4, help="of each training (default: %(default)s)")
    add("--tiny", action="store_true", help="one epoch of mlp_1 each, on a processor")
    args = parser.parse_args()
    if args.time_limit <= SECONDS_TO_END:
        raise InputError(f"--time-limit is {args.time_limit:g}, expected more than {SECONDS_TO_END} seconds")
    end = time.monotonic() + args.time_limit - SECONDS_TO_END
    place = Place(args.data, args.out, end, args.threads, args.tiny)
    teachers = () if args.teachers else TEACHERS
    students = [plan for plan in STUDENTS if args.students is None or plan.name in args.students]
    failed = [*_train(place, teachers, ())]
    if all(map(place.finished, teachers)) and place.left > 0:
        artifacts = args.teachers or _export(place, teachers)
        failed += _train(place, students, artifacts)
    _print_table(place, [*teachers, *students])
    for name in failed:
        print(f"{name} failed: see {place.out / 'logs' / name}.log", file=sys.stderr)
    return 1 if failed else 0


def _train(place: Place, plans: Sequence[Plan], teachers: Sequence[Path]) -> list[str]:
    """Train side by side what is not finished, to the end or to the time limit; return the names of what failed."""
    children = [_begin(place, plan, teachers) for plan in plans if not place.finished(plan)]
    stopped = []
    for child in children:
        child.process.wait()
        child.log.close()
        record = place.record(child.plan)
        if child.process.returncode and (record is None or record.status != "stopped"):
            stopped.append(child.plan.name)
    return stopped


def _begin(place: Place, plan: Plan, teachers: Sequence[Path]) -> Child:
    run = place.run(plan)
    shared = ["--answers", place.out / "answers"] if teachers else []
    limit = ["--time-limit", max(1.0, place.left)]
    if run:
        return _child(place, plan, "training", "--resume", run, *limit, *shared)
    model = "mlp_1" if place.tiny else plan.model
    options = ["--model", model, "--recipe", "best", "--precision", "bf16", "--threads", place.threads, *plan.options]
    taught = ["--teachers", *teachers, "--teaching", "views", *shared] if teachers else []
    return _child(
        place,
        plan,
        *("training", *options, *(TINY if place.tiny else ()), *taught, *limit, "--out", place.out / plan.name),
        *(["--data", place.data] if place.data else []),
    )


def _export(place: Place, plans: Sequence[Plan]) -> list[Path]:
    """Export at once what has not been exported yet; return all artifacts."""
    models = place.out / "models"
    options = [*(["--data", place.data] if place.data else []), "--out", models, "--replace"]
    artifacts = [found for plan in plans for found in models.glob(f"*-{plan.name}.onnx")]
    missing = [plan for plan in plans if not any(models.glob(f"*-{plan.name}.onnx"))]
    children = [_child(place, plan, "export", place.run(plan), "--tag", plan.name, *options) for plan in missing]
    for child in children:
        printed, _ = child.process.communicate()
        child.log.close()
        if child.process.returncode:
            raise InputError(f"{child.plan.name} was not exported; see {child.log.name}")
        artifacts.append(Path(printed.splitlines()[-1]))
    return artifacts


def _child(place: Place, plan: Plan, module: str, *words: object) -> Child:
    logs = place.out / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    log = (logs / f"{plan.name}.log").open("a")
    command = [sys.executable, "-m", module, *map(str, words)]
    return Child(plan, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True), log)


def _print_table(place: Place, plans: Sequence[Plan]) -> None:
    for plan in plans:
        record = place.record(plan)
        if record is None:
            print(f"{plan.name}: not begun")
            continue
        best = record.best
        done = max((checkpoint.epoch for checkpoint in record.checkpoints), default=0)
        figures = [f"{plan.name}: {record.status}, epoch {done} of {record.settings.epochs}, {record.seconds:.0f} s"]
        if best and done:
            faces = record.data.counts["train"] * done / record.seconds
            figures += [f"validation {100 * best.accuracy:.2f} % in epoch {best.epoch}", f"{faces:,.0f} images/s"]
        if record.test:
            figures += [f"test {100 * record.test.accuracy:.2f} %"]
        print(", ".join(figures))


if __name__ == "__main__":
    run_command(main)
