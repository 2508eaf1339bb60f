"""`python -m training.torch ...`: the same as `python -m training --framework torch ...`."""

import sys

from data.commands import run_command
from training.__main__ import main

if __name__ == "__main__":
    run_command(lambda: main(["--framework", "torch", *sys.argv[1:]]))
