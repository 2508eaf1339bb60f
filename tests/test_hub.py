"""A model in the form of the Hugging Face Hub, read back by the Hub's own library."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from conftest import data_of, selection_of
from huggingface_hub import ModelCard

from data.errors import InputError
from data.faceset import LABELS
from export.contract import seal
from inference.catalogue import DEFAULT
from inference.engine import Engine
from inference.hub import config, hub_folder
from inference.manifest import Fidelity, Manifest, Parity
from inference.report.document import read_report

MODELS = Path(__file__).parents[1] / "artifacts" / "models"
BEST = MODELS / f"{DEFAULT}.onnx"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model that the page begins with, in the Hub's form."""
    return hub_folder(BEST, tmp_path_factory.mktemp("hub") / "best")


@pytest.fixture
def copied(tiny_model: Path, tmp_path: Path) -> Path:
    """A small artifact and a card beside it."""
    path = tmp_path / "models" / tiny_model.name
    path.parent.mkdir()
    path.write_bytes(tiny_model.read_bytes())
    path.with_suffix(".md").write_text("# A card\n")
    return path


def test_the_artifact_is_copied_to_the_last_byte(folder: Path) -> None:
    assert (folder / "model.onnx").read_bytes() == BEST.read_bytes()
    assert {path.name for path in folder.iterdir()} == {"README.md", "LICENSE.md", "config.json", "model.onnx"}
    manifest = Engine.load(folder / "model.onnx", provider="cpu", threads=1).manifest
    assert json.loads((folder / "config.json").read_text())["digest"] == manifest.digest


def test_the_configuration_says_what_numbers_mean_and_what_is_in_the_file(folder: Path) -> None:
    said = json.loads((folder / "config.json").read_text())
    assert said["id2label"] == {str(number): label for number, label in enumerate(LABELS)}
    assert {label: int(number) for number, label in said["id2label"].items()} == said["label2id"]
    assert said["input"] == {"name": "pixels", "dtype": "uint8", "shape": ["batch", 48, 48]}
    assert [output["shape"] for output in said["outputs"]] == [["batch", 7]] * 2
    assert said["in_the_file"][0] == "grey values to [-1, 1]"
    assert said["in_the_file"][-1] == "softmax"
    assert "resizing" not in said["in_the_file"]


def test_a_file_that_resizes_or_has_a_fixed_batch_says_so(tiny_model: Path, tiny_manifest: Manifest) -> None:
    graph = onnx.load(tiny_model)
    # A Resize to the same size: what counts is that it is there.
    sides = onnx.numpy_helper.from_array(np.array([48, 48]), "sides")
    graph.graph.initializer.append(sides)
    (unsqueeze,) = (node for node in graph.graph.node if node.op_type == "Unsqueeze")
    unsqueeze.output[0], entry = "whole", unsqueeze.output[0]
    resize = onnx.helper.make_node("Resize", ["whole", "", "", "sides"], [entry], mode="linear", axes=[2, 3])
    graph.graph.node.insert(list(graph.graph.node).index(unsqueeze) + 1, resize)
    manifest = replace(tiny_manifest, batch=3)
    said = config(manifest, seal(graph, manifest))
    assert "resizing" in said.in_the_file
    assert said.input.shape == (3, 48, 48)


def test_the_card_s_metadata_is_what_the_hub_reads(folder: Path) -> None:
    card = ModelCard.load(folder / "README.md")
    data = card.data
    assert (data.license, data.license_link) == ("other", "LICENSE.md")
    assert (data.pipeline_tag, data.library_name, data.datasets) == ("image-classification", "onnx", ["fer2013"])
    assert {"onnx", "vgg_32", "int8"} <= set(data.tags)
    figures = read_report(MODELS / "reports" / DEFAULT).figures
    assert {result.metric_type: result.metric_value for result in data.eval_results} == {
        "accuracy": figures.accuracy,
        "f1": figures.macro.f1.value,
    }
    assert {(one.dataset_type, one.dataset_split) for one in data.eval_results} == {("fer2013", "test")}
    assert "official test part of fer2013.csv, 3,589 faces" in {one.dataset_name for one in data.eval_results}
    assert BEST.with_suffix(".md").read_text() in card.text
    assert "research and teaching alone" in (folder / "LICENSE.md").read_text()


def test_the_card_s_program_runs_beside_the_file(folder: Path) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=folder, check=False)
    assert done.returncode == 0, done.stderr
    answer = [float(share) for share in done.stdout.strip("[]\n").split()]
    expected = Engine.load(BEST, provider="cpu").predict(np.zeros((1, 48, 48), np.uint8))[0]
    assert np.abs(np.array(answer) - expected).max() < 1e-4


def test_without_a_report_the_figures_are_those_of_the_export(
    copied: Path, tiny_manifest: Manifest, tmp_path: Path
) -> None:
    data = ModelCard.load(hub_folder(copied, tmp_path / "hub") / "README.md").data
    (result,) = data.eval_results
    assert (result.metric_value, result.dataset_split) == (selection_of(tiny_manifest).accuracy, "validation")
    assert "on which its epoch was picked" in result.dataset_name
    # These are drawn faces.
    assert (data.datasets, result.dataset_type) == (None, "other")
    # What float32 could do says nothing of int8.
    cost = Fidelity(part="test", faces=30, accuracy_fp32=0.5, accuracy=0.4, agreement=0.9)
    parity = Parity(passed=True, parts={"test": cost})
    copied.write_bytes(seal(onnx.load(copied), replace(tiny_manifest, precision="int8", parity=parity)))
    (result,) = ModelCard.load(hub_folder(copied, tmp_path / "hub") / "README.md").data.eval_results
    assert (result.metric_value, result.dataset_split) == (0.4, "test")


def test_names_from_a_stranger_s_file_stay_text(copied: Path, tiny_manifest: Manifest, tmp_path: Path) -> None:
    source = 'a: "b"\n---\nlicense: mit \x1b[31m \x85 é'
    manifest = replace(tiny_manifest, model="mlp\x85\n---", data=replace(data_of(tiny_manifest), source=source))
    copied.write_bytes(seal(onnx.load(copied), manifest))
    data = ModelCard.load(hub_folder(copied, tmp_path / "hub") / "README.md").data
    assert data.license == "other"
    (result,) = data.eval_results
    assert "license: mit" in result.dataset_name
    written = [path.read_text() for path in (tmp_path / "hub").iterdir() if path.suffix in (".md", ".json")]
    assert not any(sign in text for text in written for sign in ("\x1b", "\x85"))


def test_what_cannot_be_written_so_is_refused_in_a_sentence(copied: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is a report of another file .*; evaluate it again"):
        hub_folder(copied, tmp_path / "hub", MODELS / "reports" / DEFAULT)
    taken = tmp_path / "project"
    taken.mkdir()
    (taken / "README.md").write_text("# Somebody's own\n")
    with pytest.raises(InputError, match=r"has a README\.md and no model\.onnx: it is another project's"):
        hub_folder(copied, taken)
    assert [path.name for path in taken.iterdir()] == ["README.md"]
    with pytest.raises(InputError, match="is a file, expected a folder"):
        hub_folder(copied, taken / "README.md")
    copied.with_suffix(".md").unlink()
    with pytest.raises(InputError, match="expected the model card that export wrote beside"):
        hub_folder(copied, tmp_path / "hub")
    assert not (tmp_path / "hub").exists()
