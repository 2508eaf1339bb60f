"""The wheel, installed into an empty environment outside the checkout and used there, as a newcomer would."""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from gradio_client import Client, handle_file

from demo.examples import draw_examples
from ferox.ownership import NAMES

OpenPage = Callable[[Sequence[str], Path, Mapping[str, str]], AbstractContextManager[Client]]
ROOT = Path(__file__).parents[1]
UNREACHABLE = re.compile(r"error sending request|dns error|Network unreachable|Connection refused", re.IGNORECASE)
READ = """
import sys, ferox
faces = ferox.load().read(sys.argv[1])
print(len(faces), sorted(name for name in ("torch", "tensorflow", "paddle", "gradio") if name in sys.modules))
"""


def uv() -> str:
    beside = Path(sys.executable).with_name("uv")
    found = shutil.which("uv") or (str(beside) if beside.exists() else None)
    if found is None:
        pytest.skip("uv is not installed: make installs it into .venv where there is none")
    return found


def said(*words: object, folder: Path, **variables: str) -> str:
    """Run a command outside the checkout and return its stdout; skip where no package index can be reached."""
    done = subprocess.run(
        list(map(str, words)), cwd=folder, env=outside() | variables, capture_output=True, text=True, check=False
    )
    if done.returncode and UNREACHABLE.search(done.stderr):
        pytest.skip("no package index can be reached, which building and installing needs")
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    said("make", "--silent", "wheel", f"UV={uv()}", f"DIST={folder}", folder=ROOT)
    (path,) = folder.glob("ferox-*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an environment's commands, with the wheel and what it needs to serve."""
    folder = tmp_path_factory.mktemp("environment")
    said(uv(), "venv", "--quiet", "--python", sys.executable, folder / "env", folder=folder)
    python = folder / "env" / "bin" / "python"
    said(uv(), "pip", "install", "--quiet", "--python", python, f"{wheel}[cpu,demo]", folder=folder)
    return python.parent


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    (path,) = (path for path in draw_examples(tmp_path) if path.name == "group.jpg")
    return path


def test_it_holds_the_code_and_the_models_that_git_has_the_built_page_and_nothing_else(wheel: Path) -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    code = {file for file in tracked if file.split("/")[0] in (*NAMES, "ferox")}
    # What the page without a server is built from stays outside; it comes built, where npm is.
    code = {file for file in code if not file.startswith("demo/web/") or file.endswith(".py")}
    code |= {f"demo/web/built/{path.name}" for path in (ROOT / "demo" / "web" / "built").glob("*")}
    models = {f"inference/shipped/{file.removeprefix('artifacts/models/')}" for file in tracked if "/models/" in file}
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert held == code | models


def test_a_newcomer_predicts(installed: Path, photo: Path, tmp_path: Path) -> None:
    (record,) = json.loads(said(installed / "ferox", "predict", "--json", photo, folder=tmp_path))
    assert len(record["faces"]) == 4
    assert said(installed / "python", "-c", READ, photo, folder=tmp_path) == "4 []\n"
    listed = json.loads(said(installed / "ferox", "models", "--json", "--no-speed", folder=tmp_path))
    assert {entry["stem"] for entry in listed} == {path.stem for path in (ROOT / "artifacts" / "models").glob("*.onnx")}
    assert all(entry["shipped"] and entry["part"] == "test" for entry in listed)


def test_a_newcomer_writes_the_page_that_needs_no_server(installed: Path, tmp_path: Path) -> None:
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed: the wheel has no page built")
    assert said(installed / "ferox", "web", "site", folder=tmp_path) == "site\n"
    assert (tmp_path / "site" / "index.html").is_file()


def outside() -> dict[str, str]:
    """An environment that knows nothing of this checkout."""
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}


def test_a_newcomer_opens_the_page_with_the_models_that_come_along(
    installed: Path, photo: Path, tmp_path: Path, open_page: OpenPage
) -> None:
    with open_page([str(installed / "ferox"), "demo"], tmp_path, outside()) as client:
        assert len(client.predict(handle_file(str(photo)), api_name="/predict")["faces"]) == 4
        assert len(client.predict(api_name="/models")) == len(list((ROOT / "artifacts" / "models").glob("*.onnx")))


def test_it_is_a_tool_of_uv(wheel: Path, photo: Path, tmp_path: Path) -> None:
    places = {"UV_TOOL_DIR": str(tmp_path / "tools"), "UV_TOOL_BIN_DIR": str(tmp_path / "bin")}
    said(uv(), "tool", "install", "--quiet", f"{wheel}[cpu]", folder=tmp_path, **places)
    assert "group.jpg" in said(tmp_path / "bin" / "ferox", "predict", photo, folder=tmp_path)


def foreign(folder: Path, name: str) -> Path:
    """A project that has a package of a name that ferox uses."""
    (folder / name).mkdir(parents=True)
    (folder / name / "__init__.py").write_text("'''Another one.'''\n")
    (folder / "pyproject.toml").write_text(
        f'[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
        f'[project]\nname = "other-{name}"\nversion = "1"\n'
        f'[tool.hatch.build.targets.wheel]\npackages = ["{name}"]\n'
    )
    return folder


def refused(ferox: Path, folder: Path, **variables: str) -> str:
    done = subprocess.run(
        [str(ferox), "models"], cwd=folder, env=outside() | variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def test_it_refuses_to_run_where_another_package_stands_in_its_place(installed: Path, tmp_path: Path) -> None:
    folder = foreign(tmp_path / "other", "inference")
    sentence = refused(installed / "ferox", tmp_path, PYTHONPATH=str(folder))
    assert f"error: the package 'inference' is that of {folder}" in sentence
    assert "an environment of its own" in sentence


def test_it_names_the_distribution_that_has_replaced_a_package(wheel: Path, tmp_path: Path) -> None:
    said(uv(), "venv", "--quiet", "--python", sys.executable, tmp_path / "env", folder=tmp_path)
    python = tmp_path / "env" / "bin" / "python"
    for project in (f"{wheel}[cpu]", foreign(tmp_path / "other", "data")):
        said(uv(), "pip", "install", "--quiet", "--python", python, project, folder=tmp_path)
    assert "was replaced by other-data, expected ferox's" in refused(python.with_name("ferox"), tmp_path)
    code = "import ferox; ferox.load()"
    done = subprocess.run([str(python), "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "ForeignNameError" in done.stderr
