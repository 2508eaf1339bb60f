"""The server alone: `python -m ferox.serving MODEL...`."""

import argparse

from data.commands import run_command
from ferox.serving import command


def main() -> int:
    """Parse the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m ferox.serving", description=command.__doc__, allow_abbrev=False)
    command.add_arguments(parser)
    return command.main(parser.parse_args())


if __name__ == "__main__":
    run_command(main)
