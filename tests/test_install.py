"""What `make check-install` makes of what uv says, with a uv that needs no network; and what the extras promise."""

import os
import subprocess
import sys
from pathlib import Path

import check_install
import pytest

# Refuses the commands that a pattern matches, and names two packages otherwise.
UV = """#!/bin/sh
case "$*" in
    *{refused}*) echo 'cause: no wheels' >&2; exit 1;;
    *) printf 'one==1\\ntwo==2\\n';;
esac
"""


def resolution(folder: Path, refused: str) -> subprocess.CompletedProcess[str]:
    uv = folder / "uv"
    uv.write_text(UV.format(refused=refused))
    uv.chmod(0o755)
    command = [sys.executable, check_install.__file__, "--only", "resolution", "--uv", str(uv)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | {"COLUMNS": "120"})


def test_an_extra_that_does_not_resolve_ends_with_1_and_says_where(tmp_path: Path) -> None:
    done = resolution(tmp_path, "3.13*lowest*export")
    assert done.returncode == 1
    refused = [line for line in done.stderr.splitlines() if line]
    assert refused[0] == "error: export for Python 3.13, lowest versions: cause: no wheels"
    assert len(refused) == 3
    rows = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines() if line}
    assert rows["export"] == ["2", "/", "2", "/", "2"] * 2 + ["2", "/", "2", "/", "no"]
    assert rows["3"] == ["failures"]


def test_extras_that_resolve_end_with_0(tmp_path: Path) -> None:
    done = resolution(tmp_path, "nothing")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert {"cpu", "gpu", "torch", "tensorflow", "paddle", "export", "demo", "serve", "dev", "all"} <= {
        line.split()[0] for line in done.stdout.splitlines() if line
    }


def test_no_python_of_the_promise_on_this_machine_is_a_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    uv = tmp_path / "uv"
    uv.write_text(UV.format(refused="python*find"))
    uv.chmod(0o755)
    assert check_install.main(["--only", "lowest", "--uv", str(uv)]) == 1
    assert "error: uv finds none of Python 3.11, 3.12, 3.13; put one into PATH" in capsys.readouterr().err


def test_the_pythons_promised() -> None:
    assert check_install.promised(">=3.11,<3.14") == ["3.11", "3.12", "3.13"]


def test_the_extra_for_a_gpu_brings_what_a_driver_lacks() -> None:
    (requirement,) = check_install.PROJECT["optional-dependencies"]["gpu"]
    assert requirement.startswith("onnxruntime-gpu[cuda,cudnn]>=")
