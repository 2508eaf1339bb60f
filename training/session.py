"""One session of a training: a new run, or a run that goes on where it stopped."""

import argparse
import importlib
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from data.corrections import DROP_FILE, RELABEL_FILE, CorrectedPart, Corrections, corrected, read_corrections
from data.errors import InputError
from data.faceset import FaceSet
from data.files import sha256
from data.load import load
from data.splits import Split, split
from data.terminal import hand_over, say, warn
from inference.catalogue import find_model
from inference.manifest import CorrectionsRecord, data_record
from inference.report.training_result import Machine
from training.ancestry import Ancestor, inherited, overlaps
from training.epoch import class_weights
from training.finetune import learned_weights, mean_of
from training.imagenet import imagenet_weights
from training.loop import Learner, Trainer, start_record
from training.options import check_framework, settings_from
from training.recipe import WITH, Settings
from training.run import (
    RunRecord,
    check_file,
    create_run,
    exclusive,
    prepare_resume,
    run_faces,
    source_commit,
    with_epochs,
    with_move,
    write_record,
)
from training.specs import model_spec
from training.teachers import (
    TEACHINGS_FILE,
    KeptAnswers,
    LabelShares,
    ancestors_of,
    answers_folder,
    keep_teachers,
    kept_teachers,
    load_teachings,
    save_teachings,
    teach,
)
from training.views import EpochLoader
from training.weights import Weights, initial_weights, parameter_count

RESUME_OPTIONS = {
    *("--resume", "--data", "--framework", "--epochs", "--finish", "--device", "--threads"),
    *("--time-limit", "--ask-ahead", "--answers"),
}


class Framework(Protocol):
    """What the `train` module of a framework offers; torch's also `teacher_on_device`."""

    def versions(self) -> dict[str, str]:
        """Return the versions that a run record names."""

    def device_name(self, settings: Settings) -> str:
        """Return what the run's device is called."""

    def learner(self, settings: Settings, weights: Weights, class_weights: NDArray[np.float32]) -> Learner:
        """Return a model in training that begins with `weights`; `class_weights` is float32[7]."""


def train(args: argparse.Namespace) -> int:
    """Begin a run with the settings that `training.options` makes of `args`; return the exit status.

    Raises:
        InputError: settings, data, weights or teachers cannot be used.
    """
    settings = settings_from(args)
    teacher_files = [find_model(named) for named in args.teachers or ()]
    framework = load_framework(settings.framework)
    spec = model_spec(settings.model)
    machine = _machine(framework, settings)
    faces = load(args.data, args.classes, skip_bad_rows=args.skip_bad_rows)
    corrections = read_corrections(args.drop, args.relabel)
    whole = split(faces, settings.split)
    part = corrected(faces, whole, corrections)
    division = part.division
    say(f"{faces.source}: {division.counts}, protocol {settings.split.protocol}")
    bases, weights = _first_weights(settings, args.weights or [], faces, division)
    if bases:
        settings = replace(settings, weights=WITH.join(base.name for base in bases))
    teachers = ancestors_of(teacher_files, faces, division)
    asked_once = bool(teachers) and settings.teaching == "faces"
    teachings = teach(teacher_files, faces, division) if asked_once else None
    settings = replace(settings, teachers=tuple(teacher.name for teacher in teachers))
    data = replace(data_record(faces.source, faces.fingerprint, whole), corrections=_record_of(part, corrections))
    for sentence in overlaps([*bases, *teachers], data):
        warn(sentence)
    # Whoever asks teachers on a GPU may train without one.
    record = start_record(
        replace(settings, device="auto") if args.ask_ahead else settings,
        parameters=parameter_count(spec),
        versions=framework.versions(),
        data=data,
        inherited=inherited([*bases, *teachers], data),
        data_path=str(args.data.resolve()) if args.data else None,
        skip_bad_rows=args.skip_bad_rows,
        classes=args.classes,
        left_out={left.reason: left.count for left in faces.left_out},
        machine=machine,
        commit=source_commit(),
    )
    folder = create_run(args.out, settings)
    with exclusive(folder):
        if teachings is not None:
            save_teachings(folder / TEACHINGS_FILE, teachings)
            record = replace(record, teachings_sha256=sha256(folder / TEACHINGS_FILE))
        elif teachers:
            keep_teachers(folder, teacher_files)
        corrections.write(folder)
        return _run(folder, record, settings, framework, faces, part, weights, args)


def resume(args: argparse.Namespace, given: list[str]) -> int:
    """Go on with the run `args.resume`; `given` are the command line's words. Return the exit status.

    Raises:
        InputError: the run or its data cannot be used, another process trains it, or an option would change it.
    """
    if args.finish and args.epochs is not None:
        raise InputError("--finish ends the run where it stands, --epochs somewhere else; leave out one of them")
    if odd := [option for option in given if option.startswith("--") and option.split("=")[0] not in RESUME_OPTIONS]:
        raise InputError(f"--resume goes on with the run's own settings; leave out {' '.join(odd)}")
    with exclusive(args.resume):
        return _go_on(args.resume, args)


def _go_on(folder: Path, args: argparse.Namespace) -> int:
    record = prepare_resume(folder)
    if args.epochs is not None:
        record = with_epochs(record, args.epochs)
    # Where it goes on may have no GPU, or other processors.
    here = {name: value for name in ("device", "threads") if (value := getattr(args, name)) is not None}
    settings = replace(record.settings, **here)
    if here and not args.ask_ahead:
        record = replace(record, settings=settings)
    if args.framework not in (None, settings.framework):
        raise InputError(
            f"--framework is {args.framework}, but {folder} is trained in {settings.framework}; leave it out"
        )
    if (args.ask_ahead or args.answers) and settings.teaching != "views":
        raise InputError(f"{folder} asks no teacher about views; leave out --ask-ahead and --answers")
    faces, whole = run_faces(record, args.data)
    part = _corrected_again(folder, record, faces, whole)
    if args.finish:
        # Nothing is trained, and a processor that lacks bf16 can evaluate.
        settings = replace(settings, precision="fp32")
    framework = load_framework(settings.framework)
    if not args.ask_ahead:
        record = with_move(record, source_commit(), framework.versions(), _machine(framework, settings))
        # Before the next epoch ends: a kill in it must not undo this.
        write_record(folder, record)
    # A resumed run takes its weights from its state; these only give them their shapes.
    blank = initial_weights(model_spec(settings.model), settings.seed)
    return _run(folder, record, settings, framework, faces, part, blank, args)


def _corrected_again(folder: Path, record: RunRecord, faces: FaceSet, whole: Split) -> CorrectedPart:
    """The run's training part, by the corrections that lie in its folder; an `InputError` where these are others."""
    said = record.data.corrections
    files = [folder / name if (folder / name).exists() else None for name in (DROP_FILE, RELABEL_FILE)]
    corrections = read_corrections(*files) if said else Corrections()
    part = corrected(faces, whole, corrections)
    if _record_of(part, corrections) != said:
        raise InputError(
            f"{folder}: {DROP_FILE} and {RELABEL_FILE} are not what the run was begun with; restore them or train again"
        )
    return part


def _record_of(part: CorrectedPart, corrections: Corrections) -> CorrectionsRecord | None:
    return CorrectionsRecord(part.dropped, part.relabelled, part.fingerprint) if corrections else None


def _run(
    folder: Path,
    record: RunRecord,
    settings: Settings,
    framework: Framework,
    faces: FaceSet,
    part: CorrectedPart,
    weights: Weights,
    args: argparse.Namespace,
) -> int:
    # Whoever watches has to know the folder before the first epoch is in it.
    say(f"run folder: {folder}")
    division, labels = part.division, part.labels
    pixels = faces.records["pixels"][division.train]
    teachings = None
    if record.teachings_sha256:
        teachings = load_teachings(check_file(folder, TEACHINGS_FILE, record.teachings_sha256))
    asked = settings.teachers and settings.teaching == "views"
    teacher = _teacher(folder, settings, framework, args) if asked else None
    give_up = teacher.stop if teacher else lambda: None
    loader = EpochLoader(settings, pixels, labels, LabelShares(settings, labels, teachings, teacher), give_up)
    learner = framework.learner(settings, weights, class_weights(settings.balance, labels))
    if record.progress:
        learner.load_state(folder / record.progress.state)
    trainer = Trainer(folder, record, learner, loader, faces, division)
    try:
        if args.ask_ahead:
            status = trainer.ask_ahead(args.ask_ahead, args.time_limit)
        else:
            status = trainer.finish() if args.finish else trainer.run(args.time_limit)
    finally:
        loader.close()
    hand_over(folder)
    return status


def _first_weights(
    settings: Settings, given: list[str], faces: FaceSet, division: Split
) -> tuple[list[Ancestor], Weights]:
    """What a run begins with: the models that its weights are from, `given` by file or name, and the arrays."""
    spec = model_spec(settings.model)
    match settings.weights:
        case "none":
            return [], initial_weights(spec, settings.seed)
        case "imagenet":
            return [], imagenet_weights(spec, initial_weights(spec, settings.seed))
        case _:
            learned = [learned_weights(find_model(artifact), spec, faces, division) for artifact in given]
            bases, weights = zip(*learned, strict=True)
            return list(bases), mean_of(weights)


def _teacher(folder: Path, settings: Settings, framework: Framework, args: argparse.Namespace) -> KeptAnswers:
    """Return who is asked about the views of a run: its teachers on the framework's GPU, or on onnxruntime."""
    # Training alone does without onnxruntime.
    from inference.ensemble import Ensemble

    engines = kept_teachers(folder, settings)
    on_device = getattr(framework, "teacher_on_device", lambda *_: None)
    teacher = on_device(settings, engines) or Ensemble(tuple(engines))
    if args.answers is None:
        return KeptAnswers(folder, teacher, keep=args.ask_ahead > 0)
    return KeptAnswers(answers_folder(args.answers, settings), teacher, keep=True, others=(folder,))


def _machine(framework: Framework, settings: Settings) -> Machine:
    return Machine(framework.device_name(settings), settings.thread_count)


def load_framework(name: str) -> Framework:
    """Import what trains in a framework; an `InputError` where it is not installed."""
    # Only the framework asked for is imported: two of them in one process can crash it.
    check_framework(name)
    module: Any = importlib.import_module(f"training.{name}.train")
    framework: Framework = module
    return framework
