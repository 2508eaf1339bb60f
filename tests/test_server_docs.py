"""What docs/serving.md shows is run as it stands, against a real server."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from server_process import Served, serving

from demo.examples import draw_examples

pytest.importorskip("uvicorn", reason="the server needs ferox[serve]")

ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / "docs" / "serving.md").read_text()
MODEL = "vgg_32"
SHOWN = "127.0.0.1:8000"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("docs"), MODEL) as served:
        yield served


@pytest.mark.parametrize("code", blocks("python"), ids=["tritonclient", "python"])
def test_the_python_examples_print_answers(server: Served, code: str) -> None:
    if "tritonclient" in code:
        pytest.importorskip("tritonclient.http", reason="Triton's client needs ferox[dev]")
    shown = code.replace(SHOWN, f"127.0.0.1:{server.port}")
    done = subprocess.run([sys.executable, "-c", shown], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"\[[\d., e\-]+\]\n", done.stdout)


@pytest.mark.skipif(shutil.which("curl") is None, reason="the examples need curl")
def test_the_curl_examples_are_answered(server: Served, tmp_path: Path) -> None:
    (commands,) = [block for block in blocks("sh") if "curl" in block]
    draw_examples(tmp_path)
    (tmp_path / "group.jpg").rename(tmp_path / "photo.jpg")
    script = commands.replace(SHOWN, f"127.0.0.1:{server.port}").replace("curl ", "curl -sS --fail -w '\\n' ")
    done = subprocess.run(["bash", "-e", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    faces, whole, unsure, models, ready = done.stdout.splitlines()
    assert faces.startswith('{"file":"photo.jpg"')
    assert faces.count('"label"') == 4
    assert whole.count('"label"') == 1
    told = json.loads(unsure)["faces"]
    assert [face["label"] is None for face in told] == [max(face["probabilities"].values()) < 0.6 for face in told]
    assert '"name":"vgg_32"' in models
    assert ready == '{"ready":true}'


def test_every_figure_and_status_is_in_the_guide(server: Served) -> None:
    from ferox.serving.metrics import Metrics
    from ferox.serving.openapi import REFUSALS

    named = {family.name for family in Metrics().registry.collect() if family.name.startswith("ferox_")}
    assert len(named) == 7
    for name in named:
        assert f"`{name}" in GUIDE
    for status in REFUSALS:
        assert re.search(rf"^\| {status}\b", GUIDE, re.MULTILINE), status
