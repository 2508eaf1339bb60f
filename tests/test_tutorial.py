"""The tutorial's commands, each as it stands there, on fewer drawn faces than a reader has time for."""

import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from gradio_client import Client

from demo.examples import draw_examples

OpenPage = Callable[[Sequence[str], Path, Mapping[str, str]], AbstractContextManager[Client]]
DRAWING = "ferox data draw faces.csv"
TUTORIAL = Path(__file__).parents[1] / "docs" / "tutorial.md"

pytest.importorskip("torch", reason="PyTorch is not installed (ferox[torch])")
pytest.importorskip("onnxscript", reason="exporting is not installed (ferox[export])")


def test_every_command_of_the_tutorial_works(tmp_path: Path, on_the_path: dict[str, str], open_page: OpenPage) -> None:
    install, *blocks = re.findall(r"```sh\n(.*?)```", TUTORIAL.read_text(), re.DOTALL)
    # Done by tests/test_wheel.py, in an environment of its own.
    assert install.startswith("make wheel\n")
    script = "".join(blocks)
    assert script.endswith("ferox demo\n")
    assert script.count(f"{DRAWING}\n") == 1
    script = script.replace(DRAWING, f"{DRAWING} --count 1400")
    (portrait,) = (path for path in draw_examples(tmp_path) if path.name == "group.jpg")
    portrait.rename(tmp_path / "photo.jpg")
    words = ["bash", "-euo", "pipefail", "-c", script.removesuffix("ferox demo\n")]
    done = subprocess.run(words, cwd=tmp_path, env=on_the_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("photo.jpg") == 8
    models = sorted(path.stem for path in (tmp_path / "artifacts" / "models").glob("*.onnx"))
    assert models == ["cnn_1.torch.published-official-tutorial", "vgg_32.torch.published-official-tuned.int8"]
    assert (tmp_path / "artifacts" / "reports" / "comparison" / "compare.html").is_file()
    with open_page(["ferox", "demo"], tmp_path, on_the_path) as client:
        assert set(models) < {model["name"] for model in client.predict(api_name="/models")}
