"""One run to one artifact: reference and conversion in the framework's process, then contract, parity, publication."""

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from data.errors import InputError
from data.faceset import LABELS
from data.files import write_bytes, write_json, write_text
from data.load import load
from data.splits import split
from export.canonical import canonical
from export.card import model_card
from export.contract import check_finite, network_bytes, seal, wrap
from export.parity import Verdict, answers_in_batches, judge, probes
from inference.engine import Engine
from inference.manifest import CONTRACT, NO_DIGEST, Manifest, Selection
from training.run import Checkpoint, RunRecord, check_file, now, read_record


class ExportError(Exception):
    """A stage of an export failed; nothing was published."""

    def __init__(self, stage: str, reason: str, verdict: Verdict | None = None) -> None:
        super().__init__(f"{stage}: {reason}")
        self.stage, self.reason, self.verdict = stage, reason, verdict


@dataclass(frozen=True)
class Job:
    """What is exported: a run's record and its best checkpoint."""

    run: Path
    record: RunRecord
    checkpoint: Checkpoint
    stem: str


def publish(run: Path, data: Path | None, out: Path) -> Path:
    """Export a run's best checkpoint into `out` after the parity gate, with its parity record and model card.

    Returns:
        The published `.onnx`.

    Raises:
        InputError: the run or its data cannot be used.
        ExportError: a stage failed; `<stem>.parity.json` names it, and no `.onnx` is published.
    """
    job = read_job(run)
    pixels, count = _probe_pixels(job, data)
    try:
        content, verdict = _proven(job, pixels, count)
    except ExportError as error:
        figures = error.verdict.record() if error.verdict else {"passed": False, "reason": error.reason}
        write_json(out / f"{job.stem}.parity.json", {"stage": error.stage, **figures})
        raise
    path = out / f"{job.stem}.onnx"
    write_json(out / f"{job.stem}.parity.json", {"stage": "parity", **verdict.record()})
    write_bytes(path, content)
    write_text(out / f"{job.stem}.md", model_card(Engine.load(path, provider="cpu").manifest, job.record))
    return path


def read_job(run: Path) -> Job:
    """Read what a run has to export; an `InputError` where it has nothing yet."""
    record = read_record(run)
    settings = record.parsed_settings()
    if record.best is None:
        raise InputError(f"{run} has no checkpoint yet; go on with: python -m training --resume {run}")
    stem = f"{settings.model}.{settings.framework}.{settings.recipe}-{settings.split.protocol}"
    return Job(run, record, record.best, stem)


def _probe_pixels(job: Job, data: Path | None) -> tuple[Any, int]:
    record = job.record
    path = data or (Path(record.data_path) if record.data_path else None)
    faces = load(path, skip_bad_rows=record.skip_bad_rows)
    division = split(faces, record.data.plan())
    if division.fingerprint != record.data.fingerprint:
        raise InputError(
            f"{faces.source} has the fingerprint {division.fingerprint[:12]}, the run was trained on "
            f"{record.data.fingerprint[:12]}; give the run's own data with --data"
        )
    test = np.ascontiguousarray(faces.records[division.test]["pixels"])
    return probes(test), len(test)


def _proven(job: Job, pixels: Any, count: int) -> tuple[bytes, Verdict]:
    with tempfile.TemporaryDirectory(prefix="ferox-export-") as folder:
        work = Path(folder)
        np.save(work / "pixels.npy", pixels)
        _framework(job, work)
        reference = np.load(work / "reference.npy")
        try:
            graph = wrap(canonical(onnx.load(work / "network.onnx")))
            check_finite(graph)
        except (InputError, onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
            raise ExportError("contract", str(error)) from error
        draft = work / "draft.onnx"
        draft.write_bytes(seal(graph, _manifest(job, {})))
        engine = _load(draft)
        verdict = judge(reference, answers_in_batches(lambda part: engine.run(part)[0], pixels), count)
        if not verdict.passed:
            raise ExportError("parity", verdict.reason, verdict)
        content = seal(graph, _manifest(job, verdict.record()))
        if network_bytes(content) != network_bytes(draft.read_bytes()):
            raise ExportError("seal", "the sealed file's network is not the one that was judged")
        (work / "finished.onnx").write_bytes(content)
        _load(work / "finished.onnx")
        return content, verdict


def _load(path: Path) -> Engine:
    try:
        return Engine.load(path, provider="cpu")
    except InputError as error:
        raise ExportError("load", str(error)) from error


def _framework(job: Job, work: Path) -> None:
    weights = check_file(job.run, job.checkpoint.file, job.checkpoint.sha256)
    module = f"export.from_{job.record.settings['framework']}"
    command = [sys.executable, "-m", module, str(job.run.resolve()), str(weights.resolve()), str(work)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = (done.stderr.strip() or done.stdout.strip() or f"exit status {done.returncode}").splitlines()
        raise ExportError("convert", lines[-1])


def _manifest(job: Job, parity: dict[str, Any]) -> Manifest:
    record, checkpoint = job.record, job.checkpoint
    part = record.parsed_settings().split.selects_on
    return Manifest(
        contract=CONTRACT,
        digest=NO_DIGEST,
        model=record.settings["model"],
        parameters=record.parameters,
        precision="fp32",
        framework=record.settings["framework"],
        versions=record.versions | {"onnx": onnx.__version__},
        labels=LABELS,
        recipe=record.settings,
        data=record.data,
        selection=Selection(part, checkpoint.epoch, checkpoint.accuracy, checkpoint.loss),
        checkpoint_sha256=checkpoint.sha256,
        parity=parity,
        created=now(),
    )
