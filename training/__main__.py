"""Trains a model: `python -m training --framework torch --model cnn_1 --data fer2013.csv`.

Progress goes to stderr; the run folder is the last line of stdout. A grid of trainings: `python -m training sweep`.
What a training came to, small enough to commit: `python -m training result`.
"""

import argparse
import importlib
import importlib.util
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from data.classes import CLASSES_HELP
from data.commands import how_to_install, run_command
from data.errors import InputError
from data.splits import PROTOCOLS, SplitPlan
from training.recipe import CHOICES, FRAMEWORKS, RECIPES, Settings, recipe
from training.specs import MODELS

RUNS = Path("artifacts/runs")
DISTILLATION = 0.5
SPLIT_OPTIONS = {
    "protocol": "protocol",
    "test_share": "test_share",
    "split_seed": "seed",
    "drop_duplicates": "drop_duplicates",
    "folds": "folds",
    "fold": "fold",
}
SPLIT_PROTOCOLS = {"test_share": ("random",), "split_seed": ("random", "kfold"), "folds": ("kfold",)}


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, check every setting, and train."""
    given = sys.argv[1:] if arguments is None else arguments
    if given[:1] == ["sweep"]:
        from training.sweep import main as sweep

        return sweep(given[1:])
    if given[:1] == ["result"]:
        from training.result import main as result

        return result(given[1:])
    args = parse(given)
    if not 0 <= args.time_limit < 1e8 or (args.time_limit and args.finish):
        raise InputError(f"--time-limit is {args.time_limit:g}, expected seconds, 0 for none, without --finish")
    if args.ask_ahead < 0 or (args.ask_ahead and args.finish):
        raise InputError(f"--ask-ahead is {args.ask_ahead}, expected a number of epochs, without --finish")
    if args.resume is not None:
        return _resume(args, given)
    if args.finish:
        raise InputError("--finish is for a run that was stopped; name it with --resume RUN")
    if args.model is None:
        raise InputError(f"--model is missing; expected one of {', '.join(MODELS)}")
    return _train(settings_from(args), args)


def parse(arguments: list[str]) -> argparse.Namespace:
    """Parse the options of one training."""
    return _parser().parse_args(arguments)


def settings_from(args: argparse.Namespace) -> Settings:
    """Return the recipe's settings with the options that were given put over them."""
    settings = recipe(args.recipe, args.framework or FRAMEWORKS[0], args.model, args.optimizer)
    own = {field.name for field in fields(Settings)} - {"framework", "model", "recipe", "split", "teachers"}
    given = {name: getattr(args, name) for name in own if getattr(args, name, None) is not None}
    if args.teachers and args.distillation is None:
        given["distillation"] = DISTILLATION
    if bool(given.get("distillation")) != bool(args.teachers):
        raise InputError(
            f"--distillation is {given.get('distillation', 0):g} and there are {len(args.teachers or ())} teachers; "
            "expected a share above 0 of what teachers say; name them with --teachers MODEL.onnx"
        )
    if args.ask_ahead and args.teaching != "views":
        raise InputError(f"--ask-ahead is {args.ask_ahead}, but no teacher is asked about views; add --teaching views")
    if args.teaching and not args.teachers:
        raise InputError(f"--teaching is {args.teaching}, but there are no teachers; name them with --teachers")
    settings = replace(settings, **given, split=_split_plan(args))
    # Nesterov's form of no momentum is none at all, and PyTorch refuses it.
    return replace(settings, nesterov=settings.nesterov and settings.momentum > 0)


def _split_plan(args: argparse.Namespace) -> SplitPlan:
    division = {
        field: getattr(args, option) for option, field in SPLIT_OPTIONS.items() if getattr(args, option) is not None
    }
    plan = SplitPlan(**division)
    for option, protocols in SPLIT_PROTOCOLS.items():
        if getattr(args, option) is not None and plan.protocol not in protocols:
            name = option.replace("_", "-")
            raise InputError(f"--{name} belongs to --protocol {' or '.join(protocols)}, not to {plan.protocol!r}")
    return plan


def _train(settings: Settings, args: argparse.Namespace) -> int:
    from data.files import sha256
    from data.load import load
    from data.splits import split
    from inference.manifest import data_record
    from training.ancestry import inherited, overlaps
    from training.loop import start_record
    from training.run import create_run, exclusive, source_commit
    from training.specs import model_spec
    from training.teachers import TEACHINGS_FILE, ancestors_of, keep_teachers, save_teachings, teach
    from training.weights import parameter_count

    framework = _framework(settings.framework)
    spec = model_spec(settings.model)
    machine = _machine(framework, settings)
    faces = load(args.data, args.classes, skip_bad_rows=args.skip_bad_rows)
    division = split(faces, settings.split)
    print(f"{faces.source}: {division.counts}, protocol {settings.split.protocol}", file=sys.stderr)
    bases, initial = _initial(settings, faces, division)
    settings = replace(settings, weights=bases[0].name if bases else settings.weights)
    teachers = ancestors_of(args.teachers or (), faces, division)
    asked = bool(teachers) and settings.teaching == "faces"
    teachings = teach(args.teachers, faces, division) if asked else None
    settings = replace(settings, teachers=tuple(teacher.name for teacher in teachers))
    own = data_record(faces.source, faces.fingerprint, division)
    for sentence in overlaps([*bases, *teachers], own):
        print(f"warning: {sentence}", file=sys.stderr)
    # Whoever asks teachers on a GPU may train without one.
    record = start_record(
        replace(settings, device="auto") if args.ask_ahead else settings,
        parameters=parameter_count(spec),
        versions=framework.versions(),
        data=own,
        inherited=inherited([*bases, *teachers], own),
        data_path=str(args.data.resolve()) if args.data else None,
        skip_bad_rows=args.skip_bad_rows,
        classes=args.classes,
        left_out={one.reason: one.count for one in faces.left_out},
        machine=machine,
        commit=source_commit(),
    )
    folder = create_run(args.out, settings)
    with exclusive(folder):
        if teachings is not None:
            save_teachings(folder / TEACHINGS_FILE, teachings)
            record = replace(record, teachings_sha256=sha256(folder / TEACHINGS_FILE))
        elif teachers:
            keep_teachers(folder, args.teachers)
        return _run(folder, record, settings, framework, faces, division, initial, args)


def _resume(args: argparse.Namespace, given: list[str]) -> int:
    from training.run import exclusive

    if args.finish and args.epochs is not None:
        raise InputError("--finish ends the run where it stands, --epochs somewhere else; leave out one of them")
    allowed = {"--resume", "--data", "--framework", "--epochs", "--finish", "--device", "--threads"}
    allowed |= {"--time-limit", "--ask-ahead"}
    if odd := [option for option in given if option.startswith("--") and option.split("=")[0] not in allowed]:
        raise InputError(f"--resume goes on with the run's own settings; leave out {' '.join(odd)}")
    with exclusive(args.resume):
        return _go_on(args.resume, args)


def _go_on(folder: Path, args: argparse.Namespace) -> int:
    from training.run import prepare_resume, run_faces, source_commit, with_epochs, with_move, write_record
    from training.specs import model_spec
    from training.weights import initial_weights

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
    if args.ask_ahead and settings.teaching != "views":
        raise InputError(f"--ask-ahead is {args.ask_ahead}, but {folder} asks no teacher about views; leave it out")
    faces, division = run_faces(record, args.data)
    if args.finish:
        # Nothing is trained, and a processor that lacks bf16 can evaluate.
        settings = replace(settings, precision="fp32")
    framework = _framework(settings.framework)
    if not args.ask_ahead:
        record = with_move(record, source_commit(), framework.versions(), _machine(framework, settings))
        # Before the next epoch ends: a kill in it must not undo this.
        write_record(folder, record)
    # A resumed run takes its weights from its state; these only give them their shapes.
    blank = initial_weights(model_spec(settings.model), settings.seed)
    return _run(folder, record, settings, framework, faces, division, blank, args)


def _machine(framework: Any, settings: Settings) -> Any:
    from inference.report.training_result import Machine

    return Machine(framework.device_name(settings), settings.thread_count)


def _initial(settings: Settings, faces: Any, division: Any) -> tuple[list[Any], Any]:
    """What a run begins with: the models that its weights are from, and the arrays."""
    from training.finetune import learned_weights
    from training.imagenet import imagenet_weights
    from training.specs import model_spec
    from training.weights import initial_weights

    spec = model_spec(settings.model)
    match settings.weights:
        case "none":
            return [], initial_weights(spec, settings.seed)
        case "imagenet":
            return [], imagenet_weights(spec, initial_weights(spec, settings.seed))
        case artifact:
            base, weights = learned_weights(Path(artifact), spec, faces, division)
            return [base], weights


def _run(
    folder: Path,
    record: Any,
    settings: Settings,
    framework: Any,
    faces: Any,
    division: Any,
    initial: Any,
    args: argparse.Namespace,
) -> int:
    from training.epoch import class_weights
    from training.loop import Trainer
    from training.run import check_file
    from training.teachers import TEACHINGS_FILE, LabelShares, load_teachings
    from training.views import EpochLoader

    # Whoever watches has to know the folder before the first epoch is in it.
    print(f"run folder: {folder}", file=sys.stderr, flush=True)
    records = faces.records[division.train]
    pixels, labels = records["pixels"].copy(), records["label"].copy()
    teachings = None
    if record.teachings_sha256:
        teachings = load_teachings(check_file(folder, TEACHINGS_FILE, record.teachings_sha256))
    asked = settings.teachers and settings.teaching == "views"
    teacher = _teacher(folder, settings, framework, faces, division, keep=args.ask_ahead > 0) if asked else None
    give_up = teacher.stop if teacher else lambda: None
    loader = EpochLoader(settings, pixels, labels, LabelShares(settings, labels, teachings, teacher), give_up)
    learner = framework.learner(settings, initial, class_weights(settings.balance, labels))
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
    print(folder)
    return status


def _teacher(folder: Path, settings: Settings, framework: Any, faces: Any, division: Any, *, keep: bool) -> Any:
    """Return who is asked about the views of a run: its teachers on the framework's GPU, or on onnxruntime."""
    from inference.ensemble import Ensemble
    from training.teachers import KeptAnswers, kept_teachers

    engines = kept_teachers(folder, settings)
    on_device = getattr(framework, "teacher_on_device", lambda *_: None)
    return KeptAnswers(folder, on_device(settings, engines, faces, division) or Ensemble(tuple(engines)), keep)


def check_framework(name: str, option: str = "--framework") -> None:
    """Raise an `InputError`, which names the option that asked for it, unless the framework is installed."""
    if importlib.util.find_spec(name) is None:
        raise InputError(f"{option} names {name!r}, which is not installed; {how_to_install(name)}")


def _framework(name: str) -> Any:
    # Only the framework asked for is imported: two of them in one process can crash it.
    check_framework(name)
    return importlib.import_module(f"training.{name}.train")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__, allow_abbrev=False)
    add = parser.add_argument
    add("--framework", choices=FRAMEWORKS, help=f"default: {FRAMEWORKS[0]}; with --resume: the run's")
    add("--model", choices=tuple(MODELS), metavar="MODEL", help=", ".join(MODELS))
    add("--recipe", choices=RECIPES, default="published", help="settings to start from (default: published)")
    add("--data", type=Path, help="fer2013.csv, image folder or zip (default: drawn faces)")
    add("--skip-bad-rows", action="store_true", help="leave out and count rows that cannot be used")
    add("--classes", default="", help=CLASSES_HELP)
    add("--out", type=Path, default=RUNS, help=f"where run folders go (default: {RUNS})")
    add(
        "--resume",
        type=Path,
        metavar="RUN",
        help="go on with a run that was stopped; --epochs ends it earlier or later",
    )
    add("--time-limit", type=float, metavar="SECONDS", default=0, help="stop after so long, to be resumed")
    add("--finish", action="store_true", help="with --resume: end the run with the epochs that it has, and measure it")
    add("--protocol", choices=PROTOCOLS, help="how faces are divided (default: official)")
    add("--test-share", type=float, help="random protocol: share of test faces (default: 0.2)")
    add("--split-seed", type=int, help="random and kfold protocol (default: 42)")
    add("--folds", type=int, help="kfold protocol: how many (default: 5)")
    add("--fold", type=int, help="kfold protocol: the one to test on, from 1")
    add("--drop-duplicates", action="store_true", default=None, help="keep one copy of each picture")
    for name, kind in (
        ("epochs", int),
        ("batch-size", int),
        ("learning-rate", float),
        ("weight-decay", float),
        ("momentum", float),
        ("label-smoothing", float),
        ("seed", int),
        ("threads", int),
    ):
        add(f"--{name}", type=kind, help="default: the recipe's")
    add(
        "--weights",
        metavar="WEIGHTS",
        help="begin with: none (new ones, the default), imagenet, or MODEL.onnx (fine-tuning)",
    )
    add("--mixup", type=float, metavar="ALPHA", help="mix faces in pairs, by shares drawn from Beta(ALPHA, ALPHA)")
    add("--ema-decay", type=float, metavar="DECAY", help="keep a moving average of the weights, this decay a step")
    add("--teachers", type=Path, nargs="+", metavar="MODEL", help="learn from what these artifacts say, too")
    add("--distillation", type=float, metavar="SHARE", help=f"what teachers have of a label (default: {DISTILLATION})")
    add(
        "--teaching",
        choices=CHOICES["teaching"],
        help="ask teachers once about each face (the default), or about all that the model is shown",
    )
    add(
        "--ask-ahead",
        type=int,
        default=0,
        metavar="EPOCHS",
        help="with --teaching views: keep in the run's folder what the teachers say in so many epochs, and stop",
    )
    add("--patience", type=int, metavar="EPOCHS", help="end after so many epochs without a better one")
    for name in (
        "optimizer",
        "schedule",
        "augmentation",
        "balance",
        "precision",
        "device",
        "keep",
    ):
        add(f"--{name}", choices=CHOICES[name], help="default: the recipe's")
    return parser


if __name__ == "__main__":
    run_command(main)
