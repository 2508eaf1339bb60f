"""What all commands have in common."""

import subprocess
import sys

import pytest

COMMANDS = {
    "data info": "--js",
    "data draw x.csv": "--coun=3",
    "training": "--mod=mlp_1",
    "training sweep": "--fram=torch",
    "training result x y": "--ou=x",
    "export x": "--repl",
    "inference evaluate x": "--allow",
    "inference compare x": "--no-rob",
    "inference results x": "--int=x",
    "inference predict x y": "--js",
    "demo": "--repo=x",
    "ferox benchmark x": "--round=1",
    "benchmarks.serving x": "--run=1",
    "benchmarks.rivals --environment x": "--round=1",
}


@pytest.mark.parametrize("command", COMMANDS)
def test_an_abbreviated_option_is_refused(command: str) -> None:
    """`--repl` would replace an artifact that somebody did not mean."""
    words = [sys.executable, "-m", *command.split(), COMMANDS[command]]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "unrecognized arguments" in done.stderr
