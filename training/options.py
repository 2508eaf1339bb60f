"""The options of one training, and the settings that they make."""

import argparse
import importlib.util
from dataclasses import fields, replace
from pathlib import Path

from data.addresses import CLUSTER_HELP
from data.classes import CLASSES_HELP
from data.commands import how_to_install
from data.errors import InputError
from data.places import artifacts, reports_folder, runs_folder
from data.splits import PROTOCOLS, SplitPlan
from training.recipe import CHOICES, FRAMEWORKS, RECIPES, WITH, Settings, recipe
from training.specs import MODELS

RESULTS = Path("docs/results")
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


def parse(arguments: list[str], description: str | None = None) -> argparse.Namespace:
    """Parse the options of one training; `description` heads the help."""
    parser = argparse.ArgumentParser(prog="python -m training", description=description, allow_abbrev=False)
    add_arguments(parser)
    return parser.parse_args(arguments)


def check(args: argparse.Namespace) -> None:
    """Raise an `InputError` where options are out of range or do not go together."""
    if not 0 <= args.time_limit < 1e8 or (args.time_limit and args.finish):
        raise InputError(f"--time-limit is {args.time_limit:g}, expected seconds, 0 for none, without --finish")
    if args.ask_ahead < 0 or (args.ask_ahead and args.finish):
        raise InputError(f"--ask-ahead is {args.ask_ahead}, expected a number of epochs, without --finish")
    if args.finish and args.resume is None:
        raise InputError("--finish is for a run that was stopped; name it with --resume RUN")
    if args.model is None and args.resume is None:
        raise InputError(f"--model is missing; expected one of {', '.join(MODELS)}")


def settings_from(args: argparse.Namespace) -> Settings:
    """Return the recipe's settings with the options that were given put over them."""
    settings = recipe(args.recipe, args.framework or FRAMEWORKS[0], args.model, args.optimizer)
    names = {field.name for field in fields(Settings)} - {"framework", "model", "recipe", "split", "teachers"}
    given = {name: getattr(args, name) for name in names if getattr(args, name, None) is not None}
    if args.weights:
        given["weights"] = WITH.join(args.weights)
    if args.teachers and args.distillation is None:
        given["distillation"] = DISTILLATION
    if bool(given.get("distillation")) != bool(args.teachers):
        raise InputError(
            f"--distillation is {given.get('distillation', 0):g} and there are {len(args.teachers or ())} teachers; "
            "expected a share above 0 of what teachers say; name them with --teachers MODEL.onnx"
        )
    if args.ask_ahead and args.teaching != "views":
        raise InputError(f"--ask-ahead is {args.ask_ahead}, but no teacher is asked about views; add --teaching views")
    if args.answers and args.teaching != "views":
        raise InputError(f"--answers is {args.answers}, but no teacher is asked about views; add --teaching views")
    if args.teaching and not args.teachers:
        raise InputError(f"--teaching is {args.teaching}, but there are no teachers; name them with --teachers")
    settings = replace(settings, **given, split=split_plan(args))
    # Nesterov's form of no momentum is none at all, and PyTorch refuses it.
    return replace(settings, nesterov=settings.nesterov and settings.momentum > 0)


def split_plan(args: argparse.Namespace) -> SplitPlan:
    """Return how faces are divided; an `InputError` where options do not go together."""
    division = {
        field: getattr(args, option) for option, field in SPLIT_OPTIONS.items() if getattr(args, option) is not None
    }
    plan = SplitPlan(**division)
    for option, protocols in SPLIT_PROTOCOLS.items():
        if getattr(args, option) is not None and plan.protocol not in protocols:
            name = option.replace("_", "-")
            raise InputError(f"--{name} belongs to --protocol {' or '.join(protocols)}, not to {plan.protocol!r}")
    return plan


def add_sweep_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of a sweep that are not those of its trainings."""
    add = parser.add_argument
    add(
        "--models",
        nargs="+",
        default=["published"],
        help="names, `published` (the eight) or `all` (default: published)",
    )
    add("--frameworks", nargs="+", default=["all"], help=f"{', '.join(FRAMEWORKS)} or `all` (default: all)")
    add("--optimizers", nargs="+", default=["adam"], help=f"{', '.join(CHOICES['optimizer'])} or `all` (default: adam)")
    add("--folds", type=int, help="cross-validate: train every combination this many times")
    add("--out", type=Path, default=artifacts() / "sweep", help="the sweep's folder (default: %(default)s)")
    add("--ray", metavar="ADDRESS", help=f"share it among machines that all see --out: {CLUSTER_HELP}")
    add("--ray-cpus", type=int, metavar="N", help="processors that each training takes (default: --threads, else 1)")
    add("--ray-gpus", type=float, metavar="SHARE", help="GPUs that each takes, 0.25 for a quarter (default: 0)")
    add(
        "--ray-lease",
        type=float,
        metavar="SECONDS",
        help="a machine is taken for lost after so long without a sign (default: 60)",
    )


def add_result_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `training.result` makes a result from, and where it goes."""
    parser.add_argument("run", type=Path, metavar="RUN", help="the folder that training made")
    parser.add_argument("reports", nargs="+", type=Path, metavar="REPORT", help="folders that evaluating it made")
    parser.add_argument("--out", type=Path, default=RESULTS, help="default: %(default)s")


def add_doubts_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `training.doubts` asks which models about, and where the answers go."""
    add = parser.add_argument
    _add_data(parser)
    add("--protocol", choices=("official", "random"), help="whose training part is looked at (default: official)")
    add("--test-share", type=float, help="random protocol: share of test faces (default: 0.2)")
    add("--split-seed", type=int, help="random protocol (default: 42)")
    add("--drop-duplicates", action="store_true", default=None, help="keep one copy of each picture")
    add("--folds", dest="fold_count", type=int, default=5, help="how many (default: 5)")
    add("--framework", choices=FRAMEWORKS, default=FRAMEWORKS[0], help="default: %(default)s")
    add("--model", choices=tuple(MODELS), default="cnn_1", metavar="MODEL", help="what is asked (default: cnn_1)")
    add("--epochs", type=int, default=12, help="of each fold's training (default: 12)")
    add("--seed", type=int, default=0, help="of folds and trainings (default: 0)")
    add("--threads", type=int, help="processor threads (default: all that this process may use)")
    for name in ("precision", "device"):
        add(f"--{name}", choices=CHOICES[name], help="default: the recipe's")
    add("--shown", type=int, default=200, metavar="N", help="most doubtful faces on the page (default: 200)")
    add("--out", type=Path, default=reports_folder() / "doubts", help="goes on if stopped (default: %(default)s)")
    parser.set_defaults(folds=None, fold=None)


def _add_data(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--data", type=Path, help="fer2013.csv, image folder or zip (default: drawn faces)")
    add("--skip-bad-rows", action="store_true", help="leave out and count rows that cannot be used")
    add("--classes", default="", help=CLASSES_HELP)


def check_framework(name: str, option: str = "--framework") -> None:
    """Raise an `InputError`, which names the option that asked for it, unless the framework is installed."""
    if importlib.util.find_spec(name) is None:
        raise InputError(f"{option} names {name!r}, which is not installed; {how_to_install(name)}")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of one training."""
    add = parser.add_argument
    add("--framework", choices=FRAMEWORKS, help=f"default: {FRAMEWORKS[0]}; with --resume: the run's")
    add("--model", choices=tuple(MODELS), metavar="MODEL", help=", ".join(MODELS))
    add("--recipe", choices=RECIPES, default="published", help="settings to start from (default: published)")
    _add_data(parser)
    add("--drop", type=Path, metavar="FILE", help="leave out training faces that this table names (see ferox doubts)")
    add("--relabel", type=Path, metavar="FILE", help="train with this table's likely labels instead of the given ones")
    add("--out", type=Path, default=runs_folder(), help="where run folders go (default: %(default)s)")
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
        nargs="+",
        metavar="WEIGHTS",
        help="begin with: none (new ones, the default), imagenet, or a model's file or name (fine-tuning); several "
        "models: with the mean of their weights",
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
        help="with --teaching views: keep what the teachers say in so many epochs (in --answers or the run), and stop",
    )
    add(
        "--answers",
        type=Path,
        metavar="FOLDER",
        help="with --teaching views: keep what the teachers say here, where other trainings of the same views find it",
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
