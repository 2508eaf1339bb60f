"""Trains a model: `ferox train --framework torch --model cnn_1 --data fer2013.csv`.

Progress goes to stderr; the run folder is the last line of stdout. A grid of trainings: `ferox sweep`.
What a training came to, small enough to commit: `ferox keep-result`. Labels that are probably wrong: `ferox doubts`.
"""

import argparse
import sys

from data.commands import run_command
from training.options import add_doubts_arguments, add_result_arguments, add_sweep_arguments, check, parse


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, check every setting, and train."""
    given = sys.argv[1:] if arguments is None else arguments
    if given[:1] == ["sweep"]:
        parser = argparse.ArgumentParser(prog="python -m training sweep", allow_abbrev=False)
        add_sweep_arguments(parser)
        return run_sweep(*parser.parse_known_args(given[1:]), given[1:])
    if given[:1] == ["result"]:
        parser = argparse.ArgumentParser(prog="python -m training result", allow_abbrev=False)
        add_result_arguments(parser)
        return keep_result(parser.parse_args(given[1:]))
    if given[:1] == ["doubts"]:
        parser = argparse.ArgumentParser(prog="python -m training doubts", allow_abbrev=False)
        add_doubts_arguments(parser)
        return find_doubts(parser.parse_args(given[1:]))
    return run(parse(given, description=__doc__), given)


def run_sweep(args: argparse.Namespace, common: list[str], given: list[str]) -> int:
    """Train a grid, see `training.sweep.run`; return the exit status."""
    from training.sweep import run as sweep

    return sweep(args, common, given)


def keep_result(args: argparse.Namespace) -> int:
    """Keep a training and its reports as small files, see `training.result`; return the exit status."""
    from training.result import run as keep

    return keep(args)


def find_doubts(args: argparse.Namespace) -> int:
    """Look for labels that are probably wrong, see `training.doubts.command`; return the exit status."""
    from training.doubts.command import main as doubts

    return doubts(args)


def run(args: argparse.Namespace, given: list[str]) -> int:
    """Train as `args` say, which were parsed from the words `given`; return the exit status."""
    check(args)
    # Imported late: what trains takes a second to import, --help should not.
    from training.session import resume, train

    return train(args) if args.resume is None else resume(args, given)


if __name__ == "__main__":
    run_command(main)
