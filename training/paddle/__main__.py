"""`python -m training.paddle ...`: the same as `python -m training --framework paddle ...`."""

import sys

from data.commands import run_command
from training.__main__ import main

if __name__ == "__main__":
    run_command(lambda: main(["--framework", "paddle", *sys.argv[1:]]))
