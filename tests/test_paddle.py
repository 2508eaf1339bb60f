"""What only PaddlePaddle does: its converter's known fault, and the graph that its export writes."""

import importlib.util
import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from data.draw import draw, write_csv
from export import conversion
from export.conversion import ExportError
from export.framework_side import Asked
from export.job import ExportJob
from export.parity import TOLERANCE
from export.publish import publish
from export.worker import Worker
from training.run import check_file

pytestmark = pytest.mark.skipif(
    not all(map(importlib.util.find_spec, conversion.CONVERTERS["paddle"])),
    reason="PaddlePaddle or its converter is not installed (ferox[paddle,export])",
)

# `export.from_paddle` as it would be without its remedy.
UNMENDED = """
import functools
from export.framework_side import answer
from export.from_paddle import build, convert, reference, set_weights
from export.worker import Worker

answer(build, set_weights, reference, functools.partial(convert, mend_slopes=False))
"""


def unmended(job: ExportJob, work: Path, worker: Worker) -> None:
    weights = check_file(job.run, job.checkpoint.file, job.checkpoint.sha256)
    asked = json.dumps(asdict(Asked(str(job.run), str(weights), str(work))))
    subprocess.run([sys.executable, "-c", UNMENDED], input=f"{asked}\n", check=True, capture_output=True, text=True)


def test_the_gate_refuses_the_converter_s_broken_leaky_relu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = tmp_path / "fer2013.csv"
    # Paddle learns few faces a second.
    write_csv(draw(70, seed=3), table)
    options = ["--framework", "paddle", "--model", "cnn_4", "--epochs", "1", "--batch-size", "16", "--threads", "1"]
    command = [sys.executable, "-m", "training", *options, "--data", str(table), "--out", str(tmp_path / "runs")]
    trained = subprocess.run(command, capture_output=True, text=True, check=True)
    folder = Path(trained.stdout.splitlines()[-1])
    with monkeypatch.context() as patch:
        patch.setattr(conversion, "run_framework", unmended)
        with pytest.raises(ExportError, match=r"^parity: ") as refused:
            publish(folder, table, tmp_path / "models")
    assert refused.value.stage == "parity"
    (record,) = (tmp_path / "models").glob("*.parity.json")
    found = json.loads(record.read_text())
    assert (found["stage"], found["passed"]) == ("parity", False)
    # Broken as it is, the network answers with large logits at times and with infinity at others.
    if found["smallest_tolerance"] is not None:
        assert found["smallest_tolerance"] > 100 * TOLERANCE
        assert f"{found['smallest_tolerance']:.3g}" in found["reason"]
    else:
        assert "something other than probabilities" in found["reason"]
    mended = subprocess.run(
        [sys.executable, "-m", "export", str(folder), "--out", str(tmp_path / "mended")],
        capture_output=True,
        text=True,
        check=False,
    )
    # One epoch may leave too few labels to prove anything by; the logits agree all the same.
    assert mended.returncode in (0, 1), mended.stderr
    (record,) = (tmp_path / "mended").glob("*.parity.json")
    figures = json.loads(record.read_text())
    assert figures["smallest_tolerance"] <= TOLERANCE, mended.stderr
