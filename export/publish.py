"""One run to one artifact: reference and conversion in the framework's process, then contract, parity, publication."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from data.faceset import LABELS, FaceSet
from data.files import write_bytes
from data.scratch import scratch_folder
from data.splits import Split
from export.card import SpoiledFigures, model_card
from export.contract import wrap
from export.conversion import ExportError, converted, stage
from export.finishing import drafted, finished, parity_record
from export.job import OPEN, ExportJob, Form, Options, held, refuse_taken_names
from export.lowering import Judge, Lowered, lower
from export.parity import answers_in_batches, judge
from export.publication import CARD, FAILURE, MODEL, PARITY, exclusive, put
from export.temperature import fitted_temperature
from export.worker import Worker
from inference.engine import Engine
from inference.manifest import CONTRACT, NO_DIGEST, Manifest, Parity, Selection
from inference.measure import robustness
from training.run import now


def publish(
    run: Path,
    data: Path | None,
    out: Path,
    precision: str = "fp32",
    *,
    form: Form = OPEN,
    tag: str = "",
    replace: bool = False,
    spoiled: bool = False,
) -> Path:
    """Export one run, for which its framework is loaded; see `Options` for the arguments and `export` for the rest."""
    with Worker() as worker:
        return export(run, Options(data, out, precision, form, tag, replace, spoiled), worker)


def export(run: Path, options: Options, worker: Worker) -> Path:
    """Export a run's best checkpoint after the parity gate, with its parity record and model card.

    A lower precision is made from the proven float32 artifact, and has the gate of `export.fidelity` to pass as well.

    Returns:
        The published `.onnx`.

    Raises:
        InputError: the run or its data cannot be used, or its name is taken.
        ExportError: a stage failed; `<stem>.failed.parity.json` names it, and no `.onnx` is published.
    """
    out = options.out
    with scratch_folder("ferox-export-") as work:
        job = held(run, options, work)
        if out.is_dir():
            with exclusive(out):
                refuse_taken_names([job], options)
        faces, division = worker.faces(job.record, options.data)
        try:
            engine, proof = _proven(job, work, faces, division, worker)
        except ExportError as error:
            refusal = error.verdict or Parity(passed=False, reason=error.reason)
            with exclusive(out):
                write_bytes(out / f"{job.stem}{FAILURE}", parity_record(error.stage, refusal))
            raise
        figures = spoiled_figures(engine, faces, division) if options.spoiled else None
        contents = {
            PARITY: parity_record("passed", proof),
            CARD: model_card(engine.manifest, job.record, figures).encode(),
            MODEL: engine.path.read_bytes(),
        }
        with exclusive(out):
            # Another export may have taken the name while this one was at work.
            refuse_taken_names([job], options)
            return put(out, job.stem, contents)


def spoiled_figures(engine: Engine, faces: FaceSet, division: Split) -> SpoiledFigures:
    """Measure a model on spoiled faces of the part that its epoch was selected on."""
    part = division.plan.selects_on
    records = faces.records[division.part(part)]
    records = records[robustness.stratified(records["label"])]
    spoiled = robustness.spoil(np.ascontiguousarray(records["pixels"]), records["label"])
    clean, *accuracies = spoiled.accuracies(robustness.answers(engine, spoiled))
    return SpoiledFigures(part, len(records), clean, robustness.by_kind(accuracies))


def _proven(job: ExportJob, work: Path, faces: FaceSet, division: Split, worker: Worker) -> tuple[Engine, Parity]:
    """Return the finished artifact, still in `work`, sealed with the record of every gate that it passed."""
    network = converted(job, work, faces, division, worker)
    graph, engine, proof = _parity(job, work, network, faces.labels[division.test], worker.threads)
    float_layers: tuple[str, ...] = ()
    if job.precision != "fp32":
        lowered = _lowered(job, work, network, engine, faces, division)
        graph, engine, float_layers = lowered.graph, lowered.engine, lowered.float_layers
        proof = replace(lowered.verdict, fp32=proof)
    temperature = fitted_temperature(engine, faces, division)
    manifest = replace(_manifest(job, proof), temperature=temperature, float_layers=float_layers)
    pixels = np.load(work / "pixels.npy")
    return finished(graph, manifest, engine, work / "finished.onnx", pixels), proof


def _parity(
    job: ExportJob, work: Path, network: onnx.ModelProto, labels: NDArray[np.uint8], threads: int | None
) -> tuple[onnx.ModelProto, Engine, Parity]:
    with stage("contract"):
        graph = wrap(network)
    engine = _draft(job, graph, work / "draft.onnx", threads)
    # NaN or infinity is refused by the engine itself.
    with stage("parity"):
        answered = answers_in_batches(lambda part: engine.run(part)[0], np.load(work / "pixels.npy"))
    reference = np.load(work / "reference.npy")
    verdict = judge(reference, answered, len(labels), known_classes=len(np.unique(labels)))
    if not verdict.passed:
        raise ExportError("parity", verdict.reason, verdict)
    return graph, engine, verdict


def _lowered(
    job: ExportJob, work: Path, network: onnx.ModelProto, proven: Engine, faces: FaceSet, division: Split
) -> Lowered:
    def load(graph: onnx.ModelProto) -> Engine:
        return _draft(job, graph, work / f"{job.precision}.onnx", proven.threads)

    with stage(job.precision):
        lowered = lower(network, job.precision, Judge(proven, faces, division, load))
    if not lowered.verdict.passed:
        raise ExportError(job.precision, lowered.verdict.reason, lowered.verdict)
    return lowered


def _draft(job: ExportJob, graph: onnx.ModelProto, path: Path, threads: int | None) -> Engine:
    return drafted(graph, _manifest(job, Parity(passed=False)), path, threads)


def _manifest(job: ExportJob, parity: Parity) -> Manifest:
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
        batch=job.form.batch,
        features=job.form.features,
    )
