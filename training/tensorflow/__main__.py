"""`python -m training.tensorflow ...`: the same as `python -m training --framework tensorflow ...`."""

import sys

from data.commands import run_command
from training.__main__ import main

if __name__ == "__main__":
    run_command(lambda: main(["--framework", "tensorflow", *sys.argv[1:]]))
