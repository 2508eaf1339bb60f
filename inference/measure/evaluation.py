"""A model measured on faces that it may be judged by: which faces those are, its answers, and what they come to."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.documents import Number, Seconds
from data.errors import InputError, as_text
from data.faceset import FaceSet
from data.splits import WHOLE, Split, SplitPlan, split
from data.terminal import progress_bar
from inference.engine import BATCH, Engine
from inference.manifest import Manifest
from inference.measure.abstention import Abstention, abstention
from inference.measure.calibration import Calibration, calibration_of
from inference.measure.exposure import Exposure, exposure, refuse_seen
from inference.measure.metrics import Summary, summarise
from inference.testtime import Augmented, TestTimeAugmentation

FACES_AT_ONCE = 256


@dataclass(frozen=True)
class Speed:
    """How the engine ran: its version, where, and for how long over all faces (wall time, warmed up).

    `images_per_second` is what the median of the pieces of 256 faces gives, which other work on the machine moves less
    than the whole time; of fewer faces than one piece, what the whole time gives.
    """

    onnxruntime: str
    providers: tuple[str, ...]
    threads: Number | None
    seconds: Seconds
    images_per_second: Seconds


@dataclass(frozen=True)
class Answers:
    """What a model said to N faces: each one's index in canonical order, record (`RECORD`) and probabilities."""

    indices: NDArray[np.int64]
    records: NDArray[Any]
    probabilities: NDArray[np.float32]


@dataclass(frozen=True)
class Assignment:
    """A model and the part of some faces that it is to be measured on, and may be."""

    engine: Engine
    faces: FaceSet
    split: Split
    part: str
    seen: Exposure
    augmentation: TestTimeAugmentation = "none"

    @property
    def indices(self) -> NDArray[np.int64]:
        """int64[N]: the faces to be measured on."""
        return self.split.part(self.part)

    @property
    def name(self) -> str:
        """What the report's folder is called.

        The artifact's stem with its test-time augmentation if any, a protocol that is not its own, a part not `test`.
        """
        path, protocol = self.engine.path, self.split.plan.protocol
        stem = as_text(path.stem) + ("" if self.augmentation == "none" else f"+{self.augmentation}")
        suffixes = [protocol] if protocol not in (_own_plan(self.engine.manifest).protocol, WHOLE) else []
        return "-".join([stem, *suffixes, *([self.part] if self.part != "test" else [])])

    @property
    def predictor(self) -> Augmented:
        """The model under its test-time augmentation."""
        return Augmented(self.engine, self.augmentation)

    def evaluate(self, advance: Callable[[int], None] | None = None) -> "Evaluation":
        """Ask the model about the faces; `advance` as for `measure`."""
        measured = measure(self.predictor, self.faces.pixels, self.indices, advance)
        probabilities = measured.probabilities
        summary = summarise(self.faces.labels[self.indices], probabilities)
        speed = _speed(self.engine, measured)
        validated = self._validated(advance)
        seconds = measured.seconds + (0 if validated is None else validated.seconds)
        least = None if validated is None else abstention(self.faces.labels[self.validation], validated.probabilities)
        return Evaluation(self, probabilities, summary, speed, seconds, least)

    @property
    def validation(self) -> NDArray[np.int64]:
        """int64[M]: the faces that a least confidence may be chosen on; none where a protocol has no part for it, or
        the model was trained on some of it, or may have been. Of an adopted model, which may have been trained on any
        face, they are those that its temperature was fitted on, too."""
        none = np.zeros(0, np.int64)
        if self.split.plan.selects_on != "validation":
            return none
        seen = exposure(self.engine.manifest, self.faces, self.split.validation)
        unknown = seen.same_faces and seen.trained_on is None
        return none if seen.trained_on or unknown else self.split.validation

    def _validated(self, advance: Callable[[int], None] | None) -> "Measured | None":
        indices = self.validation
        return measure(self.predictor, self.faces.pixels, indices, advance) if len(indices) else None


@dataclass(frozen=True)
class Evaluation:
    """A model's answers to its assignment's faces, `probabilities` float32[N, 7], and what they come to.

    `engine_seconds` is how long the engine ran for all of it, the validation part's faces among them. `abstention` is
    what a least confidence buys on that part; None where there is none to choose it on.
    """

    assignment: Assignment
    probabilities: NDArray[np.float32]
    summary: Summary
    speed: Speed
    engine_seconds: float
    abstention: Abstention | None = None

    @property
    def answers(self) -> Answers:
        """The answers together with the faces they were given to."""
        indices = self.assignment.indices
        return Answers(indices, self.assignment.faces.records[indices], self.probabilities)

    @property
    def calibration(self) -> Calibration:
        """What the file's temperature does for the answers."""
        labels = self.assignment.faces.labels[self.assignment.indices]
        temperature = self.assignment.engine.manifest.temperature.value
        single = self.assignment.augmentation == "none"
        return calibration_of(labels, self.probabilities, temperature, single_view=single)

    @property
    def correct(self) -> NDArray[np.bool_]:
        """bool[N]: whether the most probable class is the true one."""
        labels = self.assignment.faces.labels[self.assignment.indices]
        right: NDArray[np.bool_] = self.probabilities.argmax(axis=1) == labels
        return right


def assign(
    engine: Engine,
    faces: FaceSet,
    part: str | None = None,
    *,
    protocol: str | None = None,
    allow_seen: bool = False,
    augmentation: TestTimeAugmentation = "none",
) -> Assignment:
    """Divide the faces for a model, and refuse those it may not be measured on.

    Args:
        engine: the model.
        faces: divided by the model's own protocol, that of an adopted one being the official one, unless `protocol`
            names another.
        part: `train`, `validation`, `test`, which is the default, or `all` of a set that the model has nothing to do
            with. Naming `train` asks for seen faces.
        protocol: `official`, `random` or `kfold`, with the model's own share, seed and folds.
        allow_seen: measure the model even on faces that it was trained on.
        augmentation: test-time augmentation, see `inference.testtime`.

    Raises:
        InputError: the faces cannot be divided so, or the model was trained on some of them.
    """
    manifest, name = engine.manifest, part or "test"
    if name == "all" and protocol is not None:
        raise InputError(f"--protocol is {protocol}, but --part all takes every face; leave out one of them")
    plan = SplitPlan(WHOLE) if name == "all" else _plan(_own_plan(manifest), protocol)
    division = split(faces, plan)
    indices = division.part(name)
    seen = exposure(manifest, faces, indices)
    if not allow_seen and name != "train":
        words = scope(division.plan.protocol, name)
        refuse_seen(engine.path.name, manifest, seen, words, len(indices))
    return Assignment(engine, faces, division, name, seen, augmentation)


def scope(protocol: str, part: str) -> str:
    """Faces in words: `official test part`, or `whole set`."""
    return "whole set" if part == "all" else f"{protocol} {part} part"


@dataclass(frozen=True)
class Measured:
    """Probabilities float32[N, 7], and the seconds that the engine alone took for each piece of `FACES_AT_ONCE` faces,
    the last of which may be smaller."""

    probabilities: NDArray[np.float32]
    pieces: tuple[float, ...]

    @property
    def seconds(self) -> float:
        """Of all faces."""
        return sum(self.pieces)

    @property
    def images_per_second(self) -> float:
        """By the median of the whole pieces; by the whole time where there is none."""
        count = len(self.probabilities)
        whole = self.pieces[: count // FACES_AT_ONCE]
        return FACES_AT_ONCE / float(np.median(whole)) if whole else count / self.seconds


def measure(
    model: Engine | Augmented,
    pixels: NDArray[np.uint8],
    indices: NDArray[np.int64],
    advance: Callable[[int], None] | None = None,
) -> Measured:
    """Ask a model about the faces `indices` of `pixels`, uint8[M, 48, 48].

    The first batch runs once unmeasured, since the first run of a session also plans its memory. `advance` is told of
    every so many faces done; None shows a progress bar instead.
    """
    model.predict(np.ascontiguousarray(pixels[indices[:BATCH]]))
    answers: list[NDArray[np.float32]] = []
    pieces: list[float] = []
    hidden = True if advance else None
    with progress_bar(model.path.stem, total=len(indices), unit="face", leave=False, disable=hidden) as progress:
        for start in range(0, len(indices), FACES_AT_ONCE):
            batch = np.ascontiguousarray(pixels[indices[start : start + FACES_AT_ONCE]])
            began = time.perf_counter()
            answers.append(model.predict(batch))
            pieces.append(time.perf_counter() - began)
            (advance or progress.update)(len(batch))
    return Measured(np.concatenate(answers), tuple(pieces))


def refuse_same_names(models: Sequence[Path]) -> None:
    """Raise `InputError` where two models' reports would have one folder."""
    twice = [stem for stem, count in Counter(as_text(path.stem) for path in models).items() if count > 1]
    if twice:
        raise InputError(
            f"two of the models are called {twice[0]}, and their reports would have one folder; "
            "evaluate them one by one, with another --out each"
        )


def _speed(engine: Engine, measured: Measured) -> Speed:
    # Imported here, after the engine's module, which says what to install where there is none.
    import onnxruntime

    threads = engine.session.get_session_options().intra_op_num_threads
    return Speed(
        onnxruntime.__version__, engine.providers, threads or None, measured.seconds, measured.images_per_second
    )


def _own_plan(manifest: Manifest) -> SplitPlan:
    """The protocol that a model is measured under where none is named; of an adopted one, the official one."""
    return SplitPlan() if manifest.data is None else manifest.data.plan()


def _plan(trained: SplitPlan, protocol: str | None) -> SplitPlan:
    if protocol is None or protocol == trained.protocol:
        return trained
    return replace(trained, protocol=protocol, fold=1 if protocol == "kfold" else None)
