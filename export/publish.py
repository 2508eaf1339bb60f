"""One run to one artifact: reference and conversion in the framework's process, then contract, parity, publication."""

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from data.commands import how_to_install
from data.errors import InputError
from data.faceset import LABELS, FaceSet
from data.files import write_bytes, write_json, write_text
from data.splits import Split
from export.canonical import canonical
from export.card import SpoiledFigures, model_card
from export.contract import check_finite, network_bytes, seal, wrap
from export.lowering import Judge, Lowered, lower
from export.parity import answers_in_batches, judge, probes
from export.temperature import fitted_temperature
from inference.engine import Engine
from inference.manifest import CONTRACT, NO_DIGEST, Manifest, Parity, Selection
from inference.measure import robustness
from inference.report.training_result import Checkpoint
from training.recipe import Settings, recipe
from training.run import RunRecord, check_file, now, read_record, run_faces

CONVERTERS = {
    "torch": ("torch", "onnxscript"),
    "tensorflow": ("tensorflow", "tf2onnx"),
    "paddle": ("paddle", "paddle2onnx"),
}
# A probability is rounded to float32 after a softmax that onnxruntime computes in it.
PROBABILITY_TOLERANCE = 1e-6


class ExportError(Exception):
    """A stage of an export failed; nothing was published."""

    def __init__(self, stage: str, reason: str, verdict: Parity | None = None) -> None:
        super().__init__(f"{stage}: {reason}")
        self.stage, self.reason, self.verdict = stage, reason, verdict


@dataclass(frozen=True)
class Job:
    """What is exported: a run's record, its best checkpoint, and the precision that the artifact is to have."""

    run: Path
    record: RunRecord
    checkpoint: Checkpoint
    precision: str
    stem: str


def publish(
    run: Path,
    data: Path | None,
    out: Path,
    precision: str = "fp32",
    *,
    tag: str = "",
    replace: bool = False,
    spoiled: bool = False,
) -> Path:
    """Export a run's best checkpoint into `out` after the parity gate, with its parity record and model card.

    A lower precision is made from the proven float32 artifact, and has the gate of `export.fidelity` to pass as well.

    Args:
        run: the folder that training made.
        data: the run's own data, where it has moved.
        out: the folder of artifacts.
        precision: one of `inference.manifest.PRECISIONS`.
        tag: what the artifact's name is to say besides, see `artifact_stem`.
        spoiled: measure it on spoiled faces, too, for its card.
        replace: put it in the place of another checkpoint's artifact of the same name.

    Returns:
        The published `.onnx`.

    Raises:
        InputError: the run or its data cannot be used, or its name is taken.
        ExportError: a stage failed; `<stem>.failed.parity.json` names it, and no `.onnx` is published.
    """
    with tempfile.TemporaryDirectory(prefix="ferox-export-") as folder:
        work = Path(folder)
        job = _held(run, precision, tag, work)
        refuse_taken_names([job], out, replace=replace)
        faces, division = run_faces(job.record, data)
        failure = out / f"{job.stem}.failed.parity.json"
        try:
            content, proof = _proven(job, work, faces, division)
        except ExportError as error:
            refusal = error.verdict or Parity(passed=False, reason=error.reason)
            write_json(failure, {"stage": error.stage, **asdict(refusal)})
            raise
    path = out / f"{job.stem}.onnx"
    write_json(out / f"{job.stem}.parity.json", {"stage": "passed", **asdict(proof)})
    write_bytes(path, content)
    engine = Engine.load(path, provider="cpu")
    figures = spoiled_figures(engine, faces, division) if spoiled else None
    write_text(out / f"{job.stem}.md", model_card(engine.manifest, job.record, figures))
    failure.unlink(missing_ok=True)
    return path


def spoiled_figures(engine: Engine, faces: FaceSet, division: Split) -> SpoiledFigures:
    """Measure a model on spoiled faces of the part that its epoch was selected on."""
    part = division.plan.selects_on
    records = faces.records[division.part(part)]
    records = records[robustness.stratified(records["label"])]
    spoiled = robustness.spoil(np.ascontiguousarray(records["pixels"]), records["label"])
    clean, *accuracies = spoiled.accuracies(robustness.answers(engine, spoiled))
    return SpoiledFigures(part, len(records), clean, robustness.by_kind(accuracies))


def _held(run: Path, precision: str, tag: str, work: Path) -> Job:
    """Read a job and copy its checkpoint into `work`: while a run is trained, a better one can take its place."""
    job = read_job(run, precision, tag)
    try:
        return _copied(job, work)
    except InputError:
        newest = read_job(run, precision, tag)
        if newest.checkpoint == job.checkpoint:
            raise
        return _copied(newest, work)


def _copied(job: Job, work: Path) -> Job:
    weights = check_file(job.run, job.checkpoint.file, job.checkpoint.sha256)
    try:
        shutil.copy(weights, work)
    except FileNotFoundError as error:
        raise InputError(f"{weights} has gone while it was copied; expected it to stay; export again") from error
    return job


def read_job(run: Path, precision: str, tag: str = "") -> Job:
    """Read what a run has to export; an `InputError` where it has nothing yet."""
    record = read_record(run)
    settings = record.settings
    if record.best is None:
        raise InputError(f"{run} has no checkpoint yet; go on with: python -m training --resume {run}")
    return Job(run, record, record.best, precision, artifact_stem(settings, precision, tag))


def artifact_stem(settings: Settings, precision: str, tag: str = "") -> str:
    """Return `<model>.<framework>.<recipe>[-<optimizer>]-<protocol>[-fold<n>][-<tag>][.<precision>]`.

    The optimiser is named where it is not the recipe's own, the precision where it is not float32.

    Raises:
        InputError: the tag holds what would be taken for another part of the name, or belongs in no file's.
    """
    if not re.fullmatch(r"[A-Za-z0-9_-]{0,60}", tag):
        raise InputError(f"--tag is {tag!r}, expected up to 60 letters, digits, - and _")
    own = recipe(settings.recipe, settings.framework, settings.model).optimizer
    fold = settings.split.fold
    words = (
        settings.recipe,
        "" if settings.optimizer == own else settings.optimizer,
        settings.split.protocol,
        "" if fold is None else f"fold{fold}",
        tag,
    )
    suffix = "" if precision == "fp32" else f".{precision}"
    return f"{settings.model}.{settings.framework}.{'-'.join(filter(None, words))}{suffix}"


def refuse_taken_names(jobs: Sequence[Job], out: Path, *, replace: bool) -> None:
    """Raise `InputError` where two jobs have one name, or an artifact of another checkpoint has it and is to stay."""
    remedy = "tell them apart with --tag TEXT, one run at a time"
    twice = [stem for stem, count in Counter(job.stem for job in jobs).items() if count > 1]
    if twice:
        raise InputError(f"two of the runs would be published as {twice[0]}; {remedy}")
    for job in jobs:
        path = out / f"{job.stem}.onnx"
        if replace or not path.exists():
            continue
        try:
            found = Engine.load(path, provider="cpu").manifest.checkpoint_sha256
        except InputError as error:
            raise InputError(f"{error}; or put {job.run}'s artifact in its place with --replace") from error
        if found != job.checkpoint.sha256:
            raise InputError(
                f"{path} is of another checkpoint ({found[:12]}) than {job.run} would publish there "
                f"({job.checkpoint.sha256[:12]}); {remedy}, or put this one in its place with --replace"
            )


def _proven(job: Job, work: Path, faces: FaceSet, division: Split) -> tuple[bytes, Parity]:
    """Return the artifact's bytes, sealed with the record of every gate that it passed."""
    network = _converted(job, work, faces, division)
    graph, engine, proof = _parity(job, work, network, len(division.test))
    float_layers: tuple[str, ...] = ()
    if job.precision != "fp32":
        lowered = _lowered(job, work, network, engine, faces, division)
        graph, engine, float_layers = lowered.graph, lowered.engine, lowered.float_layers
        proof = replace(lowered.verdict, fp32=proof)
    temperature = fitted_temperature(engine, faces, division)
    manifest = replace(_manifest(job, proof), temperature=temperature, float_layers=float_layers)
    content = seal(graph, manifest)
    if network_bytes(content) != network_bytes(engine.path.read_bytes()):
        raise ExportError("seal", "the sealed file's network is not the one that was judged")
    (work / "finished.onnx").write_bytes(content)
    _check_probabilities(_load(work / "finished.onnx"), np.load(work / "pixels.npy"))
    return content, proof


def _check_probabilities(engine: Engine, pixels: NDArray[np.uint8]) -> None:
    """Raise `ExportError` unless the finished file's probabilities are softmax(logits / temperature)."""
    from scipy.special import softmax

    logits, probabilities = engine.run(pixels)
    # Divided in float32, as the graph does: for large logits its rounding is more than the softmax's.
    tempered = logits / np.float32(engine.manifest.temperature.value)
    expected = softmax(tempered.astype(np.float64), axis=1)
    if (difference := float(np.abs(probabilities - expected).max())) > PROBABILITY_TOLERANCE:
        raise ExportError("temperature", f"probabilities differ by {difference:.3g} from softmax(logits / temperature)")


def _converted(job: Job, work: Path, faces: FaceSet, division: Split) -> onnx.ModelProto:
    """Have the framework answer the probes and convert, and return its network in canonical form."""
    np.save(work / "pixels.npy", probes(np.ascontiguousarray(faces.records[division.test]["pixels"])))
    _framework(job, work)
    with _stage("contract"):
        network = canonical(onnx.load(work / "network.onnx"))
        check_finite(network)
        return network


def _parity(job: Job, work: Path, network: onnx.ModelProto, faces: int) -> tuple[onnx.ModelProto, Engine, Parity]:
    with _stage("contract"):
        graph = wrap(network)
    engine = _draft(job, graph, work / "draft.onnx")
    # NaN or infinity is refused by the engine itself.
    with _stage("parity"):
        answered = answers_in_batches(lambda part: engine.run(part)[0], np.load(work / "pixels.npy"))
    verdict = judge(np.load(work / "reference.npy"), answered, faces)
    if not verdict.passed:
        raise ExportError("parity", verdict.reason, verdict)
    return graph, engine, verdict


@contextmanager
def _stage(name: str) -> Iterator[None]:
    """Have what is refused within the block say that it was at this stage."""
    try:
        yield
    except (InputError, onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ExportError(name, str(error)) from error


def _lowered(
    job: Job, work: Path, network: onnx.ModelProto, proven: Engine, faces: FaceSet, division: Split
) -> Lowered:
    def load(graph: onnx.ModelProto) -> Engine:
        return _draft(job, graph, work / f"{job.precision}.onnx")

    with _stage(job.precision):
        lowered = lower(network, job.precision, Judge(proven, faces, division, load))
    if not lowered.verdict.passed:
        raise ExportError(job.precision, lowered.verdict.reason, lowered.verdict)
    return lowered


def _draft(job: Job, graph: onnx.ModelProto, path: Path) -> Engine:
    path.write_bytes(seal(graph, _manifest(job, Parity(passed=False))))
    return _load(path)


def _load(path: Path) -> Engine:
    with _stage("load"):
        return Engine.load(path, provider="cpu")


def _framework(job: Job, work: Path) -> None:
    framework = job.record.settings.framework
    if missing := [name for name in CONVERTERS[framework] if importlib.util.find_spec(name) is None]:
        raise InputError(
            f"an export from {framework} needs {' and '.join(missing)}; {how_to_install(framework, 'export')}"
        )
    weights = check_file(work, job.checkpoint.file, job.checkpoint.sha256)
    command = [sys.executable, "-m", f"export.from_{framework}", str(job.run.resolve()), str(weights), str(work)]
    # The proof is made on the processor: a GPU would answer with other last digits.
    alone = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=alone)
    if done.returncode < 0:
        raise ExportError("convert", f"the converter was ended by {signal.Signals(-done.returncode).name}")
    if done.returncode:
        lines = (done.stderr.strip() or done.stdout.strip() or f"exit status {done.returncode}").splitlines()
        raise ExportError("convert", lines[-1])


def _manifest(job: Job, parity: Parity) -> Manifest:
    record, checkpoint = job.record, job.checkpoint
    settings, part = record.settings, record.settings.split.selects_on
    return Manifest(
        contract=CONTRACT,
        digest=NO_DIGEST,
        model=settings.model,
        parameters=record.parameters,
        precision=job.precision,
        framework=settings.framework,
        versions=record.versions | {"onnx": onnx.__version__},
        labels=LABELS,
        recipe=settings.record(),
        data=record.data,
        inherited=record.inherited,
        selection=Selection(part, checkpoint.epoch, checkpoint.accuracy, checkpoint.loss),
        checkpoint_sha256=checkpoint.sha256,
        parity=parity,
        created=now(),
    )
