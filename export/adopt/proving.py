"""An adoption at work: what the foreign file answers, and what the wrapped one has to answer as well."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto

from data.errors import InputError, printable
from data.faceset import LABELS, FaceSet
from data.files import write_json
from data.splits import Split
from data.terminal import say, warn
from export.adopt import side
from export.adopt.card import validation_words
from export.adopt.chance import suggestion, validation_figures
from export.adopt.declaration import Declaration
from export.adopt.foreign import Foreign
from export.adopt.nodes import wrap_foreign
from export.adopt.reference import logits, what_they_are
from export.contract import check_finite
from export.conversion import ExportError, run_side, stage
from export.finishing import drafted, finished
from export.parity import LEAST_CLASSES, answers_in_batches, judge, probes
from export.temperature import fit
from inference.adoption import Adoption
from inference.engine import Engine
from inference.manifest import ADOPTED_FROM, CONTRACT, NO_DIGEST, Manifest, Parity
from training.run import now

# Drawn faces are no photographs: models of photographs need not tell three kinds of them apart.
LEAST_OF_DRAWN = 2
COMPARE = "compare --divide-by, --mean, --std, --order and --labels with its makers' program"
FED_WRONGLY = f"it is probably fed wrongly; {COMPARE}"


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
class Case:
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

    def suggestion(self, adoption: Adoption) -> str:
        """What would do much better on validation faces; see `export.adopt.chance.suggestion`."""
        return suggestion(self.foreign, self.declaration.output, adoption, self.faces, self.division)


def proven(case: Case) -> tuple[Engine, Adoption]:
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


def _answered(case: Case, pixels: NDArray[np.uint8]) -> tuple[onnx.ModelProto, NDArray[np.float32]]:
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


def _adoption(case: Case, raw: NDArray[np.float32]) -> Adoption:
    """Complete the declaration by what the foreign file has answered."""
    declaration, foreign = case.declaration, case.foreign
    columns = raw.shape[1]
    if columns != len(declaration.names):
        raise InputError(
            f"{foreign.name} answers with {columns} values a face, and {len(declaration.names)} labels are declared "
            f"({', '.join(declaration.names)}); name each of them: --labels"
        )
    if not np.isfinite(raw).all():
        raise InputError(
            f"{foreign.name} answers with NaN or infinity, expected numbers; try it with onnxruntime alone, and export "
            "it again from its framework"
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
    case: Case, adoption: Adoption, draft: Engine, pixels: NDArray[np.uint8], raw: NDArray[np.float32]
) -> Parity:
    """Compare the wrapped file with the foreign one, on the same probes, in several batch sizes."""
    reference = logits(raw, adoption.names, adoption.answers, adoption.others)
    labels = case.faces.labels[case.division.test]
    known = LEAST_OF_DRAWN if case.is_drawn else min(LEAST_CLASSES, len(np.unique(labels)))
    # NaN or infinity is refused by the engine itself.
    with stage("parity"):
        answered = answers_in_batches(lambda part: draft.run(part)[0], pixels)
    verdict = judge(reference, answered, len(labels), known, FED_WRONGLY)
    if verdict.passed:
        return verdict
    tells_apart = verdict.classes is None or verdict.classes >= known
    better = "" if tells_apart or case.is_drawn else case.suggestion(adoption)
    raise ExportError("parity", "; ".join(filter(None, (verdict.reason, better))), verdict)


def _check_chance(case: Case, adoption: Adoption) -> None:
    """Say how the model does on the validation part, and what would do much better; refuse one that is at chance."""
    figures = adoption.validation
    if figures is None:
        return
    say(f"{case.name} on validation faces: {validation_words(adoption)}")
    better = case.suggestion(adoption)
    if figures.is_above_chance:
        if better:
            warn(f"{case.name} may be fed wrongly: {better}")
        return
    reason = f"{validation_words(adoption)}; {better or COMPARE}"
    if not case.target.allow_chance:
        raise ExportError("chance", f"{reason}; or publish it all the same: --allow-chance")
    warn(f"{case.name}: {reason}")


def _manifest(case: Case, adoption: Adoption, network: onnx.ModelProto, parity: Parity) -> Manifest:
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
