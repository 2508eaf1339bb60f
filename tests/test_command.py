"""The command `ferox`: its help, its exit statuses, names of models, completion in real shells."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.films import write_film
from data.commands import EXIT_STATUSES
from data.draw import write_csv
from data.faceset import FaceSet
from data.places import HOME_VARIABLE
from demo.examples import draw_examples
from ferox.command import command_parser
from inference.catalogue import known_models

ROOT = Path(__file__).parents[1]
COMMANDS = (
    *("evaluate", "compare", "results", "predict", "explain", "watch", "faces", "models", "demo", "web", "serve"),
    *(
        "train",
        "sweep",
        "doubts",
        "export",
        "adopt",
        "export-repository",
        "keep-result",
        "benchmark",
        "data",
        "completion",
    ),
)
# Each command with what it cannot use, what may not be, or what it does at once; `{...}` are the fixture's files.
STATUSES = [
    ("", 2),
    ("--help", 0),
    ("--version", 0),
    ("nonsense", 2),
    *((f"{command} --help", 0) for command in COMMANDS),
    *((f"{command} --nonsense", 2) for command in COMMANDS if command != "data"),
    ("data info missing.csv", 2),
    ("data info {table} --out {out}", 0),
    ("data draw {out}/drawn.csv --count 21", 0),
    ("predict {photo}", 0),
    ("predict {photo} --model missing", 2),
    ("predict {photo} {broken}", 2),
    ("predict missing.jpg", 2),
    ("predict {photo} --out {out}/table --format csv", 0),
    ("predict {photo} {broken} --out {out}/tables --format jsonl --jobs 1", 2),
    ("predict {photo} --out {out}/table --json", 2),
    ("predict {photo} --jobs 2", 2),
    ("predict {photo} --min-confidence 0.9", 0),
    ("predict {photo} --min-confidence 60", 2),
    ("predict {photo} --min-confidence nan", 2),
    ("explain {photo} --out {out}/maps", 0),
    ("explain {photo} --model cnn_1.torch --method cam", 2),
    ("explain missing.jpg", 2),
    ("predict {photo} --ray local", 2),
    ("predict {photo} --out {out}/rayed --format csv --ray nowhere", 2),
    ("models --hub-folder {out}/hub resnet_18_48 --json", 2),
    ("watch missing.mp4 --out {out}/watched", 2),
    ("watch {broken} --out {out}/watched", 2),
    ("watch 97 --out {out}/watched", 2),
    ("watch {film} --out {out}/watched --every never", 2),
    ("watch {film} --out {out}/watched --limit 0", 2),
    ("watch {film} --out {out}/watched --min-confidence 2", 2),
    ("watch {film} --out {out}/watched --annotate", 0),
    ("watch {film} --out {out}/watched --every frame", 2),
    ("watch {film}", 2),
    ("faces", 0),
    ("faces --yunet missing.onnx", 2),
    ("models --no-speed", 0),
    ("models --hub-folder {out}/hub resnet_18_48", 0),
    ("models --hub-folder {out}/hub missing", 2),
    ("models resnet_18_48", 2),
    ("export missing --fixed-batch 0", 2),
    ("adopt missing.onnx --preset fer", 2),
    ("adopt {broken} --preset fer --out {out}/adopted", 2),
    ("adopt {model} --divide-by half --out {out}/adopted", 2),
    ("evaluate {model} --data {table} --out {out}/explained --explain", 0),
    ("evaluate missing", 2),
    ("evaluate {model} --data {table} --out {out}", 0),
    ("evaluate vgg_32 --data {table} --out {out} --part all", 0),
    ("compare missing", 2),
    ("results missing.json", 2),
    ("results {results}", 0),
    ("benchmark", 2),
    ("benchmark missing", 2),
    ("benchmark training --rounds 0", 2),
    ("benchmark {results} --into {out}/none.md", 2),
    ("train", 2),
    ("train --model mlp_9", 2),
    ("train --resume missing", 2),
    ("sweep --models mlp_9", 2),
    ("sweep --models mlp_1 --ray-gpus 1", 2),
    ("sweep --models mlp_1 --frameworks torch --ray 127.0.0.1:9 --out {out}/sweep", 2),
    ("doubts --data missing.csv", 2),
    ("doubts --data {table} --folds 1", 2),
    ("doubts --data {table} --shown -1", 2),
    ("train --model mlp_4 --drop missing.csv", 2),
    ("train --model mlp_4 --relabel {photo}", 2),
    ("export missing", 2),
    ("keep-result missing missing", 2),
    ("demo --port 0", 2),
    ("web", 2),
    ("web {out}/site missing", 2),
    ("serve", 2),
    ("serve missing", 2),
    ("serve vgg_32 --token=", 2),
    ("serve vgg_32 --port 70000", 2),
    ("export-repository {out}/repository vgg_32", 0),
    ("export-repository {out}/repository vgg_32", 2),
    ("export-repository {out}/other missing", 2),
    ("completion tcsh", 2),
    ("completion bash", 0),
]


@pytest.fixture(scope="module")
def given(
    portraits: FaceSet, artifacts: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str | Path]:
    folder = tmp_path_factory.mktemp("given")
    photos = draw_examples(folder / "photos")
    (folder / "broken.jpg").write_bytes(b"no picture")
    write_film(folder / "film.mp4", (np.asarray(Image.open(photos[0])) for _ in range(10)))
    write_csv(portraits, folder / "fer2013.csv")
    return {
        "table": folder / "fer2013.csv",
        "photo": photos[0],
        "film": folder / "film.mp4",
        "broken": folder / "broken.jpg",
        "out": folder / "out",
        "model": artifacts["cnn_1.torch.published-official"],
        "results": ROOT / "docs" / "results" / "cnn_1.torch.published-official.json",
    }


def ferox(*words: str, folder: Path = ROOT, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ferox", *words],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | variables,
        capture_output=True,
        text=True,
        check=False,
    )


def test_these_are_all_commands() -> None:
    (group,) = (action for action in command_parser()._actions if action.dest == "command")
    assert sorted(group.choices or ()) == sorted(COMMANDS)


@pytest.mark.parametrize(("words", "status"), STATUSES, ids=[words or "nothing" for words, _ in STATUSES])
def test_every_command_ends_with_the_status_that_its_help_says(
    given: dict[str, str | Path], words: str, status: int
) -> None:
    done = ferox(*words.format(**given).split())
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    # What people are told goes to stderr, what programs read to stdout.
    if status:
        assert done.stderr.splitlines()[-1].startswith(("error: ", "ferox", "python -m"))
        assert "error" in done.stderr


def test_the_statuses_are_in_the_help() -> None:
    said = " ".join(ferox("--help").stdout.split())
    assert EXIT_STATUSES in said
    assert all(command in said for command in COMMANDS)


def test_a_closed_pipe_and_an_interruption_are_signals_in_the_status(given: dict[str, str | Path]) -> None:
    words = [sys.executable, "-m", "ferox", "data", "info", str(given["table"]), "--out", str(given["out"])]
    reading, writing = os.pipe()
    os.close(reading)
    closed = subprocess.run(words, cwd=ROOT, stdout=writing, stderr=subprocess.DEVNULL, check=False)
    os.close(writing)
    assert closed.returncode == 128 + signal.SIGPIPE
    code = "import os, ferox.command as c; c.main = lambda words: os.kill(os.getpid(), 2); c.run_words([])"
    interrupted = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=False)
    assert interrupted.returncode == 128 + signal.SIGINT


def test_predict_takes_a_name_a_file_or_nothing(given: dict[str, str | Path]) -> None:
    photo, model = str(given["photo"]), known_models()[0]
    answers = [
        ferox("predict", photo, "--json"),
        ferox("predict", photo, "--json", "--model", model.name),
        ferox("predict", photo, "--json", "--model", str(model.path)),
        ferox("predict", str(model.path), photo, "--json"),
    ]
    assert {answer.stdout for answer in answers} == {answers[0].stdout}
    assert len(json.loads(answers[0].stdout)[0]["faces"]) == 4
    alone = ferox("predict", str(model.path))
    assert (alone.returncode, "no picture is named" in alone.stderr) == (2, True)


def test_models_are_listed_with_what_is_known_of_them(
    artifacts: dict[str, Path], compared: Path, tmp_path: Path
) -> None:
    (tmp_path / "models").mkdir()
    shutil.copy(artifacts["mlp_2.torch.published-random"], tmp_path / "models")
    done = ferox("models", "--json", folder=tmp_path, **{HOME_VARIABLE: str(tmp_path)})
    listed = json.loads(done.stdout)
    assert [entry["is_default"] for entry in listed] == [True] + [False] * (len(listed) - 1)
    assert {entry["name"] for entry in listed if entry["shipped"]} == {model.name for model in known_models()}
    (own,) = (entry for entry in listed if not entry["shipped"])
    assert (own["name"], own["part"]) == ("mlp_2", "test")
    for entry in listed:
        assert 0 < entry["milliseconds"] < 1e5
        assert 0 < entry["accuracy"] < 1
        assert entry["bytes"] == Path(entry["file"]).stat().st_size
    # A comparison lies among the evaluations, and is none.
    shutil.copytree(compared, tmp_path / "reports" / compared.name)
    shown = ferox("models", "--no-speed", folder=tmp_path, **{HOME_VARIABLE: str(tmp_path)})
    assert "note:" not in shown.stderr
    assert len(shown.stdout.splitlines()) == 1 + len(listed)


def test_a_model_that_cannot_be_used_is_named_and_hides_no_other(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "cut.onnx").write_bytes(b"\x08\x08")
    done = ferox("models", "--json", "--no-speed", folder=tmp_path, **{HOME_VARIABLE: str(tmp_path)})
    assert done.returncode == 2
    assert "error: cut.onnx" in done.stderr
    assert len(json.loads(done.stdout)) == len(known_models())


# --- completion, in the shells themselves


# `{line}` is what has been typed; each prints what the shell would offer.
ASKED = {
    "bash": 'eval "$(ferox completion bash)"; COMP_LINE="{line}" COMP_POINT=${{#COMP_LINE}}; '
    "COMP_POINT=${{#COMP_LINE}}; COMP_TYPE=9; _python_argcomplete ferox; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
    "fish": 'ferox completion fish | source; complete --do-complete "{line}"',
    "zsh": "autoload -U compinit; compinit -u -D; source <(ferox completion zsh); "
    "_describe() {{ print -l $completions }}; words=({line}) BUFFER='{line}'; CURSOR=$#BUFFER; _python_argcomplete",
}
PLAIN = {"bash": ["--norc"], "fish": ["--no-config"], "zsh": ["-f"]}


@pytest.mark.parametrize(
    ("line", "offered"), [("ferox pre", "predict"), ("ferox evaluate cnn_1.t", "cnn_1.tensorflow")]
)
@pytest.mark.parametrize("shell", ASKED)
def test_shells_complete_commands_and_models(
    shell: str, line: str, offered: str, on_the_path: dict[str, str], tmp_path: Path
) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed: its package is called {shell}")
    words = [shell, *PLAIN[shell], "-c", ASKED[shell].format(line=line)]
    done = subprocess.run(words, env=on_the_path, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert offered in done.stdout, done.stderr
    assert "demo" not in done.stdout.split()
