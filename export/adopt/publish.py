"""One foreign file to one artifact: declared, answered in a process of its own, wrapped, proven, published."""

import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto

from data.errors import InputError, printable
from data.faceset import LABELS, FaceSet
from data.files import write_bytes, write_json
from data.load import load
from data.scratch import scratch_folder
from data.splits import Split, SplitPlan, split
from data.terminal import say, warn
from export.adopt import side
from export.adopt.card import adopted_card, validation_words
from export.adopt.chance import suggestion, validation_figures
from export.adopt.declaration import Declaration, Wish, declared
from export.adopt.foreign import Foreign, read_foreign
from export.adopt.nodes import wrap_foreign
from export.adopt.reference import logits, what_they_are
from export.contract import check_finite
from export.conversion import ExportError, run_side, stage
from export.finishing import drafted, finished, parity_record
from export.job import check_batch, refuse_taken
from export.parity import LEAST_CLASSES, answers_in_batches, judge, probes
from export.publication import CARD, FAILURE, MODEL, PARITY, exclusive, put
from export.temperature import fit
from inference.adoption import Adoption
from inference.engine import Engine
from inference.manifest import ADOPTED_FROM, CONTRACT, NO_DIGEST, Manifest, Parity
from training.run import now

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,59}")
# Drawn faces are no photographs: models of photographs need not tell three kinds of them apart.
LEAST_OF_DRAWN = 2
FED_WRONGLY = (
    "it is probably fed wrongly; compare --divide-by, --mean, --std, --order and --labels with its makers' program"
)


@dataclass(frozen=True)
class Target:
    """Where an adopted model goes: the folder, its name, the batch that it takes (None is any number), whether it may
    take another's place, and whether it is published even where it answers at chance."""

    out: Path
    name: str | None = None
    batch: int | None = None
    replace: bool = False
    allow_chance: bool = False


@dataclass(frozen=True)
class _Case:
    """An adoption at work: the file, what is declared, the faces and their division, and a folder to work in."""

    foreign: Foreign
    declaration: Declaration
    faces: FaceSet
    division: Split
    is_drawn: bool
    target: Target
    name: str
    work: Path

    @property
    def stem(self) -> str:
        """`<name>.adopted[.batch<n>]`."""
        batch = "" if self.target.batch is None else f".batch{self.target.batch}"
        return f"{self.name}.adopted{batch}"

    def part(self, places: NDArray[np.int64]) -> NDArray[np.uint8]:
        """The faces at `places`."""
        return np.ascontiguousarray(self.faces.records["pixels"][places])


def adopt(path: Path, wish: Wish, data: Path | None, target: Target) -> Path:
    """Put the contract around a foreign model, prove it, and publish it with its parity record and card.

    Args:
        path: the foreign `.onnx`.
        wish: what is declared of it.
        data: faces with the official parts: the test part's pixels prove it, the validation part's tell whether it is
            fed rightly and give the temperature. None proves it on drawn faces, and leaves the temperature at 1.
        target: where it goes.

    Returns:
        The published `.onnx`.

    Raises:
        InputError: the file, the declaration or the data cannot be used, or the name is taken.
        ExportError: a gate refused it; `<stem>.failed.parity.json` names it, and nothing is published.
    """
    check_batch(target.batch)
    foreign = read_foreign(path)
    declaration = declared(wish, foreign)
    name = _name(target.name or wish.preset or path.stem)
    faces = load(data)
    division = split(faces, SplitPlan())
    with scratch_folder("ferox-adopt-") as work:
        case = _Case(foreign, declaration, faces, division, data is None, target, name, work)
        _check_place(case, path)
        try:
            engine, adoption = _proven(case)
        except ExportError as error:
            refusal = error.verdict or Parity(passed=False, reason=error.reason)
            with exclusive(target.out):
                write_bytes(target.out / f"{case.stem}{FAILURE}", parity_record(error.stage, refusal))
            raise
        contents = {
            PARITY: parity_record("passed", engine.manifest.parity),
            CARD: adopted_card(engine.manifest, adoption).encode(),
            MODEL: engine.path.read_bytes(),
        }
        with exclusive(target.out):
            # Another may have taken the name while this one was at work.
            _check_place(case, path)
            return put(target.out, case.stem, contents)


def _name(name: str) -> str:
    # A file is called what its makers like.
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_")[:60]
    if not NAME.fullmatch(name):
        raise InputError(
            f"{printable(name)!r} is no name for a model; say one of letters, digits, - and _: --name NAME"
        )
    return name


def _check_place(case: _Case, path: Path) -> None:
    if not case.target.replace:
        place = case.target.out / f"{case.stem}{MODEL}"
        refuse_taken(place, case.foreign.sha256, path, "tell them apart with --name NAME")


def _proven(case: _Case) -> tuple[Engine, Adoption]:
    """Return the finished artifact, still in the work folder, and what its manifest says of the adoption."""
    pixels = probes(case.part(case.division.test))
    network, raw = _answered(case, pixels)
    adoption = _adoption(case, raw)
    with stage("contract"):
        check_finite(network)
        graph = wrap_foreign(network, adoption.preprocessing, adoption.names, adoption.answers, adoption.others)
    draft = drafted(graph, _manifest(case, adoption, network, Parity(passed=False)), case.work / "draft.onnx")
    proof = _judged(case, adoption, draft, pixels, raw)
    manifest = _manifest(case, adoption, network, proof)
    if not case.is_drawn:
        answers = draft.run(case.part(case.division.validation))[0]
        figures = validation_figures(answers, case.faces, case.division)
        adoption = replace(adoption, validation=figures)
        _check_chance(case, adoption)
        temperature = fit(answers, case.faces.labels[case.division.validation])
        manifest = replace(manifest, adoption=adoption, temperature=temperature)
    return finished(graph, manifest, draft, case.work / "finished.onnx", pixels), adoption


def _answered(case: _Case, pixels: NDArray[np.uint8]) -> tuple[onnx.ModelProto, NDArray[np.float32]]:
    """Have the foreign file answer in its own process; return its network, and all that it answers to the probes."""
    task = side.SideTask(
        input=case.foreign.input,
        output=case.declaration.output,
        preprocessing=case.declaration.preprocessing,
        foreign_batch=case.foreign.batch,
        batch=case.target.batch,
    )
    np.save(case.work / side.PIXELS, pixels)
    (case.work / side.FOREIGN).write_bytes(case.foreign.content)
    write_json(case.work / side.TASK, asdict(task))
    try:
        run_side("export.adopt.side", str(case.work))
    except ExportError as error:
        # What is wrong with the file, and no gate's word.
        raise InputError(f"{case.foreign.name} cannot be adopted: {error.reason.removeprefix('error: ')}") from error
    return onnx.load(case.work / side.NETWORK), np.load(case.work / side.RAW)


def _adoption(case: _Case, raw: NDArray[np.float32]) -> Adoption:
    """Complete the declaration by what the foreign file has answered."""
    declaration, foreign = case.declaration, case.foreign
    columns = raw.shape[1]
    if columns != len(declaration.names):
        raise InputError(
            f"{foreign.name} answers with {columns} values a face, and {len(declaration.names)} labels are declared "
            f"({', '.join(declaration.names)}); name each of them: --labels"
        )
    answers = declaration.answers or what_they_are(raw)
    if answers is None:
        raise InputError(
            f"{foreign.name} answers with values from 0 to 1 that do not sum to 1, expected logits or probabilities; "
            "say what they are: --answers logits|probabilities"
        )
    if answers == "probabilities" and (raw < -1e-6).any():
        raise InputError(
            f"{foreign.name} answers with {raw.min():.3g}, which is no probability; expected values from 0 to 1; say "
            "--answers logits"
        )
    return Adoption(
        file=printable(foreign.name),
        producer=printable(foreign.producer),
        opset=foreign.opset,
        output=printable(declaration.output),
        answers=answers,
        preset=declaration.preset,
        preprocessing=declaration.preprocessing,
        names=declaration.names,
        others=declaration.others,
        trained_on=declaration.trained_on,
        validation=None,
    )


def _judged(
    case: _Case, adoption: Adoption, draft: Engine, pixels: NDArray[np.uint8], raw: NDArray[np.float32]
) -> Parity:
    """Compare the wrapped file with the foreign one, on the same probes, in several batch sizes."""
    reference = logits(raw, adoption.names, adoption.answers, adoption.others)
    labels = case.faces.labels[case.division.test]
    known = LEAST_OF_DRAWN if case.is_drawn else min(LEAST_CLASSES, len(np.unique(labels)))
    # NaN or infinity is refused by the engine itself.
    with stage("parity"):
        answered = answers_in_batches(lambda part: draft.run(part)[0], pixels)
    verdict = judge(reference, answered, len(labels), known, FED_WRONGLY)
    if not verdict.passed:
        raise ExportError("parity", verdict.reason, verdict)
    return verdict


def _check_chance(case: _Case, adoption: Adoption) -> None:
    """Say how the model does on the validation part, and what would do much better; refuse one that is at chance."""
    figures = adoption.validation
    if figures is None:
        return
    say(f"{case.name} on validation faces: {validation_words(adoption)}")
    better = suggestion(case.foreign, adoption, case.faces, case.division)
    if figures.is_above_chance:
        if better:
            warn(f"{case.name} may be fed wrongly: {better}")
        return
    reason = f"{validation_words(adoption)}{f'; {better}' if better else f'; {FED_WRONGLY}'}"
    if not case.target.allow_chance:
        raise ExportError("chance", f"{reason}; or publish it all the same: --allow-chance")
    warn(f"{case.name}: {reason}")


def _manifest(case: _Case, adoption: Adoption, network: onnx.ModelProto, parity: Parity) -> Manifest:
    import onnxruntime

    weights = (tensor for tensor in network.graph.initializer if tensor.data_type == TensorProto.FLOAT)
    return Manifest(
        contract=CONTRACT,
        digest=NO_DIGEST,
        model=case.name,
        parameters=sum(int(np.prod(tensor.dims)) for tensor in weights),
        precision="fp32",
        framework=ADOPTED_FROM,
        versions={"onnx": onnx.__version__, "onnxruntime": onnxruntime.__version__},
        labels=LABELS,
        recipe={},
        data=None,
        selection=None,
        checkpoint_sha256=case.foreign.sha256,
        parity=parity,
        created=now(),
        origin="adopted",
        batch=case.target.batch,
        adoption=adoption,
    )
