"""Results: a training's record and a report that belong together, and the tables that are generated from them."""

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from data.draw import write_csv
from data.errors import InputError
from data.faceset import FaceSet
from inference.markers import markers, put_between
from inference.report.published import FER2013_COUNTS, OTHERS, published_accuracy
from inference.results import NAME, main, read
from training.__main__ import main as training_main
from training.result import result

pytest.importorskip("torch", reason="PyTorch is not installed (ferox[torch])")
BEGIN, END = markers(NAME)
PUBLISHED = json.loads((Path(__file__).parent / "published_results.json").read_text())


def run(*arguments: object) -> Path:
    command = [sys.executable, "-m", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return Path(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def trained(drawn: FaceSet, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Path]]:
    """Run folder and report folder of a training under each protocol."""
    folder = tmp_path_factory.mktemp("trained")
    data = folder / "fer2013.csv"
    write_csv(drawn, data)
    found = {}
    for protocol in ("official", "random"):
        options = ["--model", "mlp_4", "--data", data, "--protocol", protocol, "--epochs", 6, "--threads", 1]
        training = run("training", *options, "--out", folder / "runs")
        model = run("export", training, "--out", folder / "models")
        found[protocol] = (training, run("inference", "evaluate", model, "--data", data, "--out", folder / "reports"))
    return found


@pytest.fixture(scope="module")
def kept(trained: dict[str, tuple[Path, Path]], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    out = tmp_path_factory.mktemp("results")
    return [run("training", "result", *paths, "--out", out) for paths in trained.values()]


def test_a_result_holds_what_a_row_rests_on_and_nothing_of_this_machine(
    kept: list[Path], trained: dict[str, tuple[Path, Path]]
) -> None:
    for path, (training, report) in zip(kept, trained.values(), strict=True):
        content = json.loads(path.read_text())
        record = json.loads((training / "run.json").read_text())
        assert path.stem == report.name == content["report"]["name"]
        for name in ("commit", "seconds", "machine", "settings", "data", "test"):
            assert content["run"][name] == record[name]
        assert content["run"]["settings"]["seed"] == 0
        assert content["run"]["best"]["sha256"] == content["report"]["manifest"]["checkpoint_sha256"]
        assert [line["epoch"] for line in content["epochs"]] == [1, 2, 3, 4, 5, 6]
        assert content["report"]["figures"]["correct"] == record["test"]["correct"]
        assert str(training.parents[3]) not in path.read_text()
        assert path.stat().st_size < 40_000


def test_a_run_and_a_report_that_do_not_belong_together_are_refused(
    trained: dict[str, tuple[Path, Path]], tmp_path: Path
) -> None:
    (first, report), (second, _) = trained.values()
    with pytest.raises(InputError, match="which is not the best of"):
        result(second, report)
    changed = json.loads((report / "report.json").read_text())
    changed["figures"]["correct"] += 1
    (tmp_path / "report.json").write_text(json.dumps(changed))
    with pytest.raises(InputError, match="is not of this model: evaluate it again"):
        result(first, tmp_path)
    changed["manifest"]["parity"]["near_ties"] = [{"index": 0, "margin": 1e-7}]
    (tmp_path / "report.json").write_text(json.dumps(changed))
    assert result(first, tmp_path).report.figures.correct == changed["figures"]["correct"]
    with pytest.raises(InputError, match="is no report"):
        result(first, tmp_path / "none")
    shutil.copy(first / "run.json", tmp_path / "run.json")
    record = json.loads((first / "run.json").read_text())
    (tmp_path / "run.json").write_text(json.dumps(record | {"status": "stopped"}))
    with pytest.raises(InputError, match="is stopped, expected a finished run"):
        result(tmp_path, report)


def test_a_result_of_another_run_stays(
    trained: dict[str, tuple[Path, Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, report = next(iter(trained.values()))
    line = [str(run), str(report), "--out", str(tmp_path)]
    for _ in range(2):
        assert training_main(["result", *line]) == 0
    (path,) = tmp_path.glob("*.json")
    content = json.loads(path.read_text())
    content["run"]["best"]["sha256"] = "f" * 64
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"of another run's checkpoint .*rename it"):
        training_main(["result", *line])
    assert json.loads(path.read_text()) == content


def test_results_and_comparisons_go_between_the_markers_and_nowhere_else(
    kept: list[Path], compared: Path, tmp_path: Path
) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"# Title\n\n{BEGIN}\nold\n{END}\n\nend\n")
    assert main(argparse.Namespace(files=[*reversed(kept), compared], into=readme)) == 0
    text = readme.read_text()
    assert text.startswith(f"# Title\n\n{BEGIN}\n**Official test part")
    assert text.endswith(f"\n{END}\n\nend\n")
    assert "old" not in text
    content = json.loads((compared / "report.json").read_text())
    for table in content["tables"]:
        for row in table["rows"]:
            opening = f"| {row['label']} | {row['framework']} | {row['recipe']} | "
            assert f"{opening}{100 * row['figures']['accuracy']:.2f} |" in text
    assert main(argparse.Namespace(files=[*reversed(kept), compared / "report.json"], into=readme)) == 0
    assert readme.read_text() == text


def of_fer2013(path: Path, folder: Path) -> Path:
    """A result as it would be of all of FER2013, by how many faces its parts have."""
    content = json.loads(path.read_text())
    on = content["report"]["evaluated_on"]
    on["counts"] = FER2013_COUNTS[on["protocol"]]
    (folder / path.name).write_text(json.dumps(content))
    return folder / path.name


@pytest.mark.parametrize("fer2013", [True, False])
def test_every_protocol_has_its_table_with_what_others_report_of_the_same_faces(
    kept: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], fer2013: bool
) -> None:
    files = [of_fer2013(path, tmp_path) for path in kept] if fer2013 else kept
    assert main(argparse.Namespace(files=files, into=None)) == 0
    official, random = capsys.readouterr().out.split("**Random test part")
    for text, path, published in ((official, kept[0], "–"), (random, kept[1], "44.19" if fer2013 else "–")):
        figures = json.loads(path.read_text())["report"]["figures"]
        interval = "–".join(f"{100 * bound:.2f}" for bound in figures["interval"])
        row = f"| mlp_4 | torch | published, adam | {100 * figures['accuracy']:.2f} | {interval} | {published} |"
        assert row in text
    for other in OTHERS:
        assert (f"| {other.name} | – | – | {100 * other.accuracy:.4g} |" in official) == fer2013
        assert other.name not in random


@pytest.mark.parametrize("text", ["nothing", BEGIN, f"{END} {BEGIN}", f"{BEGIN}{BEGIN}{END}"])
def test_file_without_both_markers_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"README\.md does not hold"):
        put_between(text, "new", NAME, "README.md")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not a JSON object"),
        ('{"report": 1}', "is neither"),
        ('{"comparison": 1}', "created is missing"),
        ('{"result": null}', "result is None, and input should be a valid integer"),
        ("[]", "is not a JSON object"),
    ],
)
def test_what_is_neither_result_nor_comparison_is_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "report.json").write_text(content)
    with pytest.raises(InputError, match=message):
        read(tmp_path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot be read .*expected a result"):
        read(tmp_path / "none")


def test_published_figures_are_those_of_the_published_counts() -> None:
    best: dict[tuple[str, str, str], float] = {}
    for published in PUBLISHED:
        model, *words = published["run"].split()
        default = "adamax" if model == "resnet_18" else "adam"
        optimizer = next((word.lower() for word in words if word != "weighted"), default)
        key = (model, optimizer, "class-weights" if "weighted" in words else "none")
        best[key] = max(best.get(key, 0), published["test_accuracy"])
    for (model, optimizer, balance), accuracy in best.items():
        settings: dict[str, Any] = {"recipe": "published", "model": model, "optimizer": optimizer, "balance": balance}
        settings |= {"learning_rate": 0.01, "teachers": (), "weights": "imagenet" if model == "resnet_18" else "none"}
        random: Any = SimpleNamespace(protocol="random", part="test", counts=FER2013_COUNTS["random"])
        assert published_accuracy(settings, random) == pytest.approx(accuracy / 100, abs=5e-7)
        for others in (
            {"protocol": "official", "counts": FER2013_COUNTS["official"]},
            {"part": "train"},
            {"counts": {"train": 17_943, "validation": 17_944, "test": 17_944}},
        ):
            other: Any = SimpleNamespace(**vars(random) | others)
            assert published_accuracy(settings, other) is None
        for change in ({"recipe": "best"}, {"teachers": ("a.onnx",)}, {"weights": "a.onnx"}):
            assert published_accuracy(settings | change, random) is None
        if optimizer == "sgd":
            assert published_accuracy(settings | {"learning_rate": 0.001}, random) is None
