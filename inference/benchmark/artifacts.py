"""One artifact in every runtime that is at hand: who takes part, what they did, and whether they answer the same."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from data.errors import InputError, as_text, printable
from inference.benchmark import web
from inference.benchmark.document import Absent, Contender, Contest, Precision, Profile, Subject
from inference.benchmark.figures import agreement, rated, timed
from inference.benchmark.lineup import BATCH, TASKS, Entry, at_hand
from inference.benchmark.peaks import multiplications, peak_of
from inference.benchmark.profile import profiled
from inference.benchmark.runner import Runner
from inference.benchmark.runtimes import CPU_RUNTIME, OPENERS
from inference.benchmark.turns import Measured, Plan, measure
from inference.engine import Engine

# Who else takes part for an artifact, such as the framework that trained it.
Others: TypeAlias = Callable[[Engine, Entry], tuple[list[Runner], list[Absent]]]


@dataclass(frozen=True)
class Field:
    """What all contests of a run have in common: the faces, their file, the threads, and who takes part besides.

    `peaks` are processes that multiply matrices, besides those of onnxruntime.
    """

    faces: NDArray[np.uint8]
    pixels: Path
    threads: int
    others: Others
    peaks: Sequence[Runner]
    absent_peaks: Sequence[Absent]


def contest(model: Path, field: Field, plan: Plan, tell: Callable[[str], None]) -> Contest:
    """Measure an artifact in every runtime that is at hand.

    Raises:
        InputError: it is no artifact, or the reference itself cannot run it.
    """
    engine = Engine.load(model, provider="cpu", threads=field.threads)
    entry = Entry(model, engine.manifest.precision, engine.manifest.batch, field.pixels, field.threads)
    (runtimes, lacking), (others, without) = at_hand(entry), field.others(engine, entry)
    own_peaks, absent_peaks = multiplications(field.threads)
    peaks = [*own_peaks, *field.peaks]
    measured, failed = measure([*runtimes, *others, *peaks], plan, tell)
    multiplied = [entrant for entrant in measured if entrant.runner in peaks]
    contenders, unsound = _contenders([one for one in measured if one.runner not in peaks], failed, engine)
    subject, remarks = _subject(engine, field), _remarks(engine, others)
    if subject.multiply_adds is None:
        remarks += ("onnxruntime does not run it without its optimisations, so that it has no profile",)
    return Contest(
        heading=subject.name,
        tasks=TASKS,
        reference=CPU_RUNTIME,
        contenders=contenders,
        absent=(*lacking, *without, *field.absent_peaks, *absent_peaks, *failed, *unsound),
        subject=subject,
        peaks=tuple(map(peak_of, multiplied)),
        operations=None if subject.multiply_adds is None else 2 * subject.multiply_adds,
        remarks=remarks,
    )


def _contenders(
    measured: Sequence[Measured], failed: Sequence[Absent], engine: Engine
) -> tuple[tuple[Contender, ...], list[Absent]]:
    """Return the contenders, compared with the reference, and those whose answers cannot be compared."""
    reference = next((entrant.answers for entrant in measured if entrant.runner.name == CPU_RUNTIME), None)
    if reference is None:
        reasons = [lost.reason for lost in failed if lost.name == CPU_RUNTIME]
        raise InputError(f"{engine.path.name} cannot be measured ({'; '.join(reasons)}); mend onnxruntime")
    contenders, unsound = [], []
    for entrant in measured:
        if entrant.answers is None or not _sound(entrant.answers, reference):
            unsound.append(Absent(entrant.runner.name, "failed", "it answers with something other than finite logits"))
            continue
        same = None if entrant.runner.name == CPU_RUNTIME else agreement(entrant.answers, reference)
        one, many = entrant.turns
        series = timed(one), rated(many, BATCH)
        contenders.append(entrant.contender(*series, agreement=same, precision=_precision(entrant, engine)))
    return tuple(contenders), unsound


def _precision(entrant: Measured, engine: Engine) -> Precision:
    """Return what a contender multiplies in: weights in float16 are float32 on a processor, and a framework has the
    checkpoint, which is float32, of whatever artifact."""
    if "bf16" in entrant.runner.name:
        return "bf16"
    is_runtime = entrant.runner.name in (*OPENERS, web.NODE, web.CHROMIUM)
    return "int8" if is_runtime and engine.manifest.precision == "int8" else "fp32"


def _remarks(engine: Engine, others: Sequence[Runner]) -> tuple[str, ...]:
    manifest, remarks = engine.manifest, []
    if manifest.batch:
        remarks.append(f"every run takes {manifest.batch} faces: fewer are filled up with black ones")
    if manifest.precision != "fp32" and others:
        remarks.append(
            f"the artifact's weights are {manifest.precision}, the checkpoint's float32: frameworks answer as the "
            "latter, and differ by what the lower precision costs"
        )
    return tuple(remarks)


def _sound(answers: NDArray[np.float32], reference: NDArray[np.float32]) -> bool:
    return answers.shape == reference.shape and bool(np.isfinite(answers).all())


def _subject(engine: Engine, field: Field) -> Subject:
    manifest, content = engine.manifest, engine.path.read_bytes()
    work, profiles = None, list[Profile]()
    # A batch that is fixed fills up with black faces what it is not given.
    for count in (manifest.batch,) if manifest.batch else (1, BATCH):
        batch = np.ascontiguousarray(np.resize(field.faces[:count], (count, *field.faces.shape[1:])))
        try:
            work, profile = profiled(content, batch, field.threads)
        except Exception:  # onnxruntime's errors share no narrower base class
            break
        profiles.append(profile)
    return Subject(
        name=printable(as_text(engine.path.stem)),
        digest=manifest.digest,
        model=printable(manifest.model),
        framework=manifest.framework,
        precision=manifest.precision,
        parameters=manifest.parameters,
        bytes=len(content),
        multiply_adds=work,
        profiles=tuple(profiles),
    )
