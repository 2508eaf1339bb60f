"""Trains a model: `python -m training --framework torch --model cnn_1 --data fer2013.csv`.

Progress goes to stderr; the run folder is the last line of stdout. A grid of trainings: `python -m training sweep`.
What a training came to, small enough to commit: `python -m training result`.
"""

import sys

from data.commands import run_command
from training.options import check, parse


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, check every setting, and train."""
    given = sys.argv[1:] if arguments is None else arguments
    if given[:1] == ["sweep"]:
        from training.sweep import main as sweep

        return sweep(given[1:])
    if given[:1] == ["result"]:
        from training.result import main as result

        return result(given[1:])
    args = parse(given, description=__doc__)
    check(args)
    # Imported late: what trains takes a second to import, --help should not.
    from training.session import resume, train

    return train(args) if args.resume is None else resume(args, given)


if __name__ == "__main__":
    run_command(main)
