"""Whatever a file, a folder or a manifest is called, a terminal shows it as text and is steered by none of it."""

import os
import pty
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from data.draw import draw, write_csv
from data.errors import InputError, printable
from data.faceset import LABELS, FaceSet
from data.load import load
from data.splits import SplitPlan, split
from export.contract import seal, wrap
from inference.manifest import Manifest, Selection, data_record

# It gives the window a title, clears the screen, goes back to the line's beginning, forges a line, and turns
# the direction of writing.
STEERING = "\x1b]0;owned\x07\x1b[2J\r\nFORGED\u202e\x9b1m"


@given(st.text())
def test_a_sentence_is_one_line_of_printable_text(text: str) -> None:
    said = str(InputError(text))
    assert len(said) == len(text)
    assert said == printable(text) == printable(said)
    assert all(c.isprintable() or unicodedata.category(c) == "Zs" for c in said)
    assert len(said.splitlines()) <= 1
    said.encode()


@given(st.text())
def test_a_guarded_stream_lets_ends_of_lines_through_and_nothing_else_that_steers(text: str) -> None:
    from data.terminal import _shown

    shown = _shown(text)
    assert [line.expandtabs(1) for line in shown.split("\n")] == [
        printable(line.expandtabs(1)) for line in shown.split("\n")
    ]
    assert shown.count("\n") == text.count("\n")


def test_spaces_in_paths_stay_as_they_are() -> None:
    assert printable("a\u3000b\u00a0c d") == "a\u3000b\u00a0c d"


@pytest.fixture(scope="module")
def hostile(linear_network: onnx.ModelProto, tiny_manifest: Manifest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Faces, a picture and models whose names, in the file system and within the files, steer terminals."""
    folder = tmp_path_factory.mktemp("hostile")
    faces = draw(300, seed=3)
    write_csv(faces, folder / f"faces{STEERING}.csv")
    loaded = load(folder / f"faces{STEERING}.csv")
    Image.fromarray(np.ascontiguousarray(loaded.pixels[0])).save(folder / f"face{STEERING}.png")
    for number, protocol in enumerate(("official", "random")):
        record = data_record(loaded.source, loaded.fingerprint, split(loaded, SplitPlan(protocol)))
        manifest = replace(
            tiny_manifest,
            model=f"mlp{STEERING}",
            recipe={"recipe": f"best{STEERING}"},
            versions={f"torch{STEERING}": STEERING},
            data=replace(record, source=f"faces{STEERING}"),
            selection=Selection("validation" if protocol == "official" else "test", 1, 0.5, 1.5),
            created=STEERING,
        )
        (folder / f"model{STEERING}{number}.onnx").write_bytes(seal(wrap(linear_network), manifest))
    classes(folder / f"classes{STEERING}", loaded)
    (folder / f"run{STEERING}").mkdir()
    (folder / f"run{STEERING}" / "run.json").write_text('{"schema": 1, "status": "\\u001b[2J\\r\\nFORGED"}')
    return folder


def classes(folder: Path, faces: FaceSet) -> None:
    for number in range(14):
        pictured = folder / (LABELS[number % 7] if number < 7 else f"{LABELS[number % 7]}{STEERING}")
        pictured.mkdir(parents=True)
        Image.fromarray(np.ascontiguousarray(faces.pixels[number])).save(pictured / f"face{STEERING}.png")


Words = Callable[[Path], list[object]]
DATA = f"faces{STEERING}.csv"
COMMANDS: dict[str, Words] = {
    "evaluate": lambda at: ["inference", "evaluate", at / f"model{STEERING}0.onnx", "--data", at / DATA],
    "evaluate, no such model": lambda at: ["inference", "evaluate", at / f"gone{STEERING}.onnx", "--data", at / DATA],
    "evaluate, no model": lambda at: ["inference", "evaluate", at / f"face{STEERING}.png", "--data", at / DATA],
    "evaluate, other faces": lambda at: ["inference", "evaluate", at / f"model{STEERING}0.onnx"],
    "compare": lambda at: [
        *("inference", "compare", at / f"model{STEERING}0.onnx", at / f"model{STEERING}1.onnx", "--data", at / DATA),
        *("--no-latency", "--no-robustness"),
    ],
    "compare, one model twice": lambda at: ["inference", "compare", *[at / f"model{STEERING}0.onnx"] * 2],
    "predict": lambda at: [
        *("inference", "predict", at / f"model{STEERING}0.onnx", at / f"face{STEERING}.png", at / DATA),
        *("--faces", "whole"),
    ],
    "predict, no such picture": lambda at: [
        *("inference", "predict", at / f"model{STEERING}0.onnx", at / f"gone{STEERING}.png"),
    ],
    "predict, as JSON": lambda at: [
        *("inference", "predict", at / f"model{STEERING}0.onnx", at / f"face{STEERING}.png", "--faces", "whole"),
        "--json",
    ],
    "export, no run": lambda at: ["export", at / f"gone{STEERING}"],
    "export, a damaged run": lambda at: ["export", at / f"run{STEERING}"],
    "export, a tag": lambda at: ["export", at / f"run{STEERING}", "--tag", STEERING],
    "data info": lambda at: ["data", "info", at / DATA, "--out", at / f"out{STEERING}"],
    "data info, classes": lambda at: ["data", "info", at / f"classes{STEERING}"],
    "data info, no such file": lambda at: ["data", "info", at / f"gone{STEERING}.csv"],
    "an unknown option": lambda at: ["data", "info", f"--{STEERING.replace(chr(10), '')}"],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_lets_a_name_steer_the_terminal(command: str, hostile: Path, tmp_path: Path) -> None:
    words = [sys.executable, "-m", *map(str, COMMANDS[command](hostile))]
    if words[3] in ("evaluate", "compare"):
        words += ["--out", str(tmp_path / f"reports{STEERING}")]
    done = subprocess.run(words, capture_output=True, check=False)
    assert done.returncode in (0, 2), done.stderr
    check_steers_nothing((done.stdout + done.stderr).decode())
    assert b"Traceback" not in done.stderr


def check_steers_nothing(shown: str) -> None:
    assert shown
    steering = {c for c in shown if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")}
    assert steering <= {"\n"}
    assert not [line for line in shown.splitlines() if line.startswith("FORGED")]


def test_no_progress_bar_lets_a_name_steer_the_terminal(hostile: Path, tmp_path: Path) -> None:
    """On a terminal, where bars are drawn: they go back to the line's beginning, which names in them cannot."""
    words = [*map(str, COMMANDS["evaluate"](hostile)), "--out", str(tmp_path)]
    ours, theirs = pty.openpty()
    process = subprocess.Popen([sys.executable, "-m", *words], stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:  # The last one that writes has gone.
            break
        shown += part
    os.close(ours)
    assert process.wait() == 0
    text = shown.decode()
    assert "face/s" in text or "%|" in text
    assert not {"\x1b", "\x07", "\x9b", "\u202e"} & set(text)
    assert "\rFORGED" not in text
    assert "\nFORGED" not in text


def test_a_traceback_is_guarded_too() -> None:
    program = "from data.commands import run_command\ndef main(): raise ValueError('\\x1b[2J')\nrun_command(main)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stderr.endswith("ValueError: ?[2J\n")
    assert done.returncode == 1


def test_a_terminal_that_cannot_show_a_name_gets_question_marks(tmp_path: Path) -> None:
    """Not a traceback: the file is read all the same."""
    Image.fromarray(np.zeros((48, 48), np.uint8)).save(tmp_path / "happy-\u9ad8\u5174.png")
    command = [sys.executable, "-m", "data", "info", str(tmp_path)]
    ascii_terminal = os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "LC_ALL": "C"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=ascii_terminal)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    named = subprocess.run(
        [sys.executable, "-c", "from data.terminal import guard, say; guard(); say(chr(0x9ad8) + ' is read')"],
        capture_output=True,
        text=True,
        check=False,
        env=ascii_terminal,
    )
    assert named.stderr == "? is read\n"
