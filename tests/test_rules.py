"""What `make check` holds: each rule refuses an offence that is planted in a copy of the source."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("data", "training", "export", "inference", "demo", "ferox")
BIN = Path(sys.executable).parent

pytestmark = [
    pytest.mark.skipif(not (BIN / tool).exists(), reason=f"{tool} is not installed (ferox[all])")
    for tool in ("lint-imports", "ruff", "mypy")
]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A copy of the source, to plant offences in."""
    left_out = shutil.ignore_patterns("*.csv", "__pycache__", "node_modules")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=left_out)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def said(source: Path, *command: str) -> str:
    done = subprocess.run(
        [BIN / command[0], *command[1:]], cwd=source, capture_output=True, text=True, check=False, env={"PATH": ""}
    )
    return f"{done.stdout}{done.stderr}exit {done.returncode}"


def plant(file: Path, line: str) -> None:
    file.write_text(file.read_text() + f"\n\n{line}\n")


@pytest.mark.parametrize(
    ("file", "line", "rule"),
    [
        ("data/splits.py", "import inference.engine", "Each layer imports only what lies below it"),
        ("demo/app.py", "import ferox.serving.app", "Each layer imports only what lies below it"),
        ("ferox/serving/app.py", "import gradio", "The server takes its doors from the page, and no Gradio"),
        ("ferox/serving/places.py", "import ferox.serving.app", "The rooms of the server"),
        ("training/run.py", "import export.contract", "Each layer imports only what lies below it"),
        ("inference/measure/metrics.py", "import inference.report.page", "The rooms of inference"),
        ("inference/benchmark/messages.py", "import inference.benchmark.turns", "What measures beside others"),
        ("demo/intake/uploads.py", "import demo.view.cards", "The rooms of the page"),
        ("demo/web/cascade.py", "import demo.web.site", "The rooms of the page without a server"),
        ("demo/web/site.py", "import gradio", "The page without a server takes no Gradio"),
        ("inference/engine.py", "import torch", "Faces, engine, demo and server know no training framework"),
        ("training/loop.py", "import torch", "Training and export know a framework in its own room alone"),
        ("export/canonical.py", "import tensorflow", "Training and export know a framework in its own room alone"),
        ("training/torch/train.py", "import paddle", "Training and export know a framework in its own room alone"),
        ("training/cluster.py", "import ray", "Ray is started and joined in one place, and imported nowhere else"),
        ("training/torch/model.py", "import training.paddle.model", "No framework's room imports another's"),
        ("export/from_paddle.py", "import export.from_torch", "No framework's converter imports another's"),
    ],
)
def test_an_import_out_of_its_room_is_refused(file: str, line: str, rule: str, source: Path) -> None:
    plant(source / file, line)
    words = said(source, "lint-imports", "--no-cache")
    assert any(line.startswith(rule) and "BROKEN" in line for line in words.splitlines())
    assert words.endswith("exit 1")


@pytest.mark.parametrize(
    ("lines", "rule"),
    [
        ("def undocumented() -> None:\n    return None", "D103"),
        ("def long(a, b, c, d, e, f, g, h, i):  # type: ignore\n    'Take nine.'", "PLR0913"),
        (
            "def twisted(a):  # type: ignore\n    'Branch.'\n"
            + "".join(f"    if a == {n}:\n        a = 0\n" for n in range(13)),
            "C901",
        ),
    ],
)
def test_undocumented_long_and_twisted_functions_are_refused(lines: str, rule: str, source: Path) -> None:
    plant(source / "data" / "errors.py", lines)
    words = said(source, "ruff", "check", "--no-cache", "data")
    assert rule in words
    assert words.endswith("exit 1")


def test_the_source_itself_keeps_all_of_these(source: Path) -> None:
    assert said(source, "lint-imports", "--no-cache").endswith("exit 0")
    assert said(source, "ruff", "check", "--no-cache", *PACKAGES).endswith("exit 0")
