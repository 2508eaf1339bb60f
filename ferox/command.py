"""One command for everything: `ferox predict`, `ferox train`, `ferox demo` and so on, each with `--help`.

It puts the rooms' own options under one name, and imports of a room only what its options need, until it runs.
"""

import argparse
import os
from collections.abc import Callable, Sequence
from functools import partial

import data.__main__
import demo.__main__
import demo.web.__main__
import export.__main__
import export.adopt.command
import inference.__main__
import training.__main__
from data.commands import EXIT_STATUSES, Commands, run_command
from ferox.benchmark import command as benchmark
from ferox.serving import command as serving
from ferox.serving.command import add_repository_arguments as repository_arguments
from training import options

COMPLETION = "_ARGCOMPLETE"  # Set by shells that ask what could come next.
SHELLS = ("bash", "zsh", "fish")
DESCRIPTION = """Facial emotions: read them in pictures; train models that do; prove, compare and serve these.

  ferox predict photo.jpg                  what the faces of a photo show
  ferox watch film.mp4 --out DIR           the faces of a film over time
  ferox demo                               the same in a browser: photo, webcam, folders, training
  ferox models                             the models there are
  ferox train --model cnn_1 --data FACES   an own model; then ferox export RUN, ferox evaluate MODEL
"""


def run_words(words: Sequence[str]) -> None:
    """Run a command line without its first word, and leave the process with its exit status."""
    run_command(partial(main, list(words)))


def main(words: list[str]) -> int:
    """Parse a command line, run it, and return the exit status."""
    parser = command_parser()
    if COMPLETION in os.environ:
        _complete(parser)
    args, others = parser.parse_known_args(words)
    if others and args.command != "sweep":
        parser.error(f"unrecognized arguments: {' '.join(others)}")
    given = words[words.index(args.command) + 1 :]
    if args.command == "train":
        return training.__main__.run(args, given)
    if args.command == "sweep":
        return training.__main__.run_sweep(args, others, given)
    status: int = args.main(args)
    return status


def command_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands; but for `train` and `sweep` each sets `main`, which returns the status."""
    parser = argparse.ArgumentParser(
        prog="ferox",
        description=DESCRIPTION,
        epilog=f"exit status: {EXIT_STATUSES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    inference.__main__.add_commands(commands)
    _add(commands, "demo", "the page: photo, webcam, folders, comparison, training", demo.__main__.add_arguments)
    _add(commands, "web", "a static site that reads faces in the visitor's browser", demo.web.__main__.add_arguments)
    _add(commands, "serve", "a server for programs: the Open Inference Protocol, and pictures", serving.add_arguments)
    _add(commands, "train", "train a model, or go on with a training", options.add_arguments)
    _add(commands, "sweep", "train a grid of models; other options are those of train", options.add_sweep_arguments)
    _add(commands, "doubts", "labels of a dataset that are probably wrong", options.add_doubts_arguments)
    _add(commands, "export", "prove a trained model equal, and publish it as an .onnx", export.__main__.add_arguments)
    _add(
        commands, "adopt", "put a model of others into the same form, and prove it", export.adopt.command.add_arguments
    )
    _add(commands, "export-repository", "files for Triton and KServe", repository_arguments)
    _add(commands, "benchmark", "one model in every runtime, or training steps, beside others", benchmark.add_arguments)
    _add(commands, "keep-result", "keep a training and its report as one small file", options.add_result_arguments)
    faces = commands.add_parser("data", help="look at a dataset, or draw one", allow_abbrev=False)
    data.__main__.add_commands(faces.add_subparsers(dest="data_command", required=True))
    _add(commands, "completion", "completion of commands and models in bash, zsh or fish", _add_shell)
    for name, run in (
        ("demo", demo.__main__.run),
        ("web", demo.web.__main__.run),
        ("serve", serving.main),
        ("doubts", training.__main__.find_doubts),
        ("export", export.__main__.run),
        ("adopt", export.adopt.command.run),
        ("export-repository", _export_repository),
        ("benchmark", benchmark.main),
        ("keep-result", training.__main__.keep_result),
        ("completion", _print_completion),
    ):
        commands.choices[name].set_defaults(main=run)
    return parser


class _Version(argparse.Action):
    """Prints the version, which is looked up only then: it takes longer than all of the help."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        parser.exit(message=f"ferox {version('ferox')}\n")


def _add(commands: Commands, name: str, words: str, add_arguments: Callable[[argparse.ArgumentParser], None]) -> None:
    add_arguments(commands.add_parser(name, help=words, description=words, allow_abbrev=False))


def _add_shell(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=SHELLS, help='in bash: eval "$(ferox completion bash)"')


def _export_repository(args: argparse.Namespace) -> int:
    from ferox.serving.repository import main as export_repository

    return export_repository(args)


def _print_completion(args: argparse.Namespace) -> int:
    import argcomplete.shell_integration

    print(argcomplete.shell_integration.shellcode(["ferox"], shell=args.shell))
    return 0


def _complete(parser: argparse.ArgumentParser) -> None:
    """Answer a shell that asks what could come next, and end the process."""
    import argcomplete

    for command in _commands_of(parser):
        for action in command._actions:
            if action.metavar in ("MODEL", "WEIGHTS"):
                action.completer = _model_names  # type: ignore[attr-defined]
    argcomplete.autocomplete(parser)


def _commands_of(parser: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    groups = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return [command for group in groups for command in group.choices.values()]


def _model_names(prefix: str, **_: object) -> list[str]:
    """Return the short names of models, and artifacts' files that begin with `prefix`."""
    from argcomplete.completers import FilesCompleter

    from inference.catalogue import known_models

    return [*(model.name for model in known_models()), *FilesCompleter(("onnx",))(prefix)]
