"""Distillation: a model learns from what trained ones say of its faces, beside the faces' own labels.

A label says which class a face is, a teacher's probabilities also which others it resembles (Hinton et al. 2015,
https://arxiv.org/abs/1503.02531). Teachers are asked once, before training, about each face as it is and mirrored; or
about every view that the pupil is shown, distorted and mixed as it is, though not corrupted: then the pupil learns to
agree on more than the faces themselves, over many epochs (Beyer et al. 2021, https://arxiv.org/abs/2106.05237).
"""

import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from data.errors import InputError, as_text
from data.faceset import LABELS, FaceSet
from data.files import remove_temporaries, whole_file
from data.locks import locked
from data.splits import Split
from data.terminal import warn
from training.ancestry import Ancestor, ancestor
from training.epoch import EpochPlan
from training.recipe import Settings
from training.views import Pixels, Shares, mixed
from training.weights import load_arrays, save_arrays

if TYPE_CHECKING:
    from inference.engine import Engine

TEACHINGS_FILE, ASKING_FILE = "teachings.npz", ".asking"
# Views that a teacher is asked about before it is looked whether the training has ended: a second or two.
ASKED_AT_ONCE = 2048


class Teacher(Protocol):
    """Whatever answers with probabilities, float32[N, 7], to grey faces uint8[N, 48, 48]."""

    def predict(self, pixels: Pixels) -> Shares:
        """Return the probabilities of the faces."""


@dataclass(frozen=True)
class LabelShares:
    """The classes' shares in each face that an epoch shows: its label's, and what teachers say.

    Attributes:
        settings: how much of a label is theirs, and whether they are asked about views.
        labels: uint8[N] of the training part.
        teachings: float32[N, 7], what was said of its faces before training; None where nothing was.
        teacher: is asked about the views; None where it is not.
    """

    settings: Settings
    labels: NDArray[np.uint8]
    teachings: Shares | None = None
    teacher: Teacher | None = None

    def __call__(self, plan: EpochPlan, views: Pixels) -> Shares:
        """Return float32[K, 7] for the plan's K faces, whose views are uint8[K, 48, 48]."""
        distillation = self.settings.distillation
        shares = label_shares(self.labels, self.teachings, distillation)[plan.order]
        if plan.mix is not None:
            shares = mixed(shares, plan.mix, self.settings.batch_size)
        if self.teacher is None:
            return shares
        return np.asarray((1 - distillation) * shares + distillation * self.teacher.predict(views), np.float32)


def ancestors_of(paths: Sequence[Path], faces: FaceSet, division: Split) -> list[Ancestor]:
    """Return the teachers as ancestors.

    Raises:
        InputError: a teacher cannot be loaded, or learned from another division of faces: what is kept from the new
            model to test it on could be what its teacher was trained on.
    """
    # Training alone does without onnxruntime.
    from inference.engine import Engine

    engines = [Engine.load(path) for path in paths]
    for engine in engines:
        data = engine.manifest.data
        if data is not None and (learned := data.fingerprint) != division.fingerprint:
            raise InputError(
                f"{engine.path.name} learned from the split {learned[:8]}, this training's is "
                f"{division.fingerprint[:8]}; its training faces could be among those that the new model is tested on; "
                "choose a teacher of the same data and protocol"
            )
    return [ancestor(as_text(engine.path.stem), engine.manifest, faces, division) for engine in engines]


def teach(paths: Sequence[Path], faces: FaceSet, division: Split) -> Shares:
    """Return the teachers' mean probabilities float32[N, 7] of the training part's faces, as they are and mirrored."""
    from inference.engine import Engine
    from inference.ensemble import Ensemble
    from inference.testtime import Augmented

    ensemble = Ensemble(tuple(Augmented(Engine.load(path), "flip") for path in paths))
    return ensemble.predict(np.ascontiguousarray(faces.records["pixels"][division.train]))


def keep_teachers(folder: Path, paths: Sequence[Path]) -> None:
    """Copy teachers of views into a run's folder: they are needed for as long as it trains, wherever it is resumed."""
    remove_temporaries(folder)
    for number, path in enumerate(paths, start=1):
        with path.open("rb") as teacher, whole_file(folder / f"teacher-{number}.onnx") as copy:
            shutil.copyfileobj(teacher, copy)


def kept_teachers(folder: Path, settings: Settings) -> "list[Engine]":
    """Return the teachers that `keep_teachers` copied; an `InputError` where they are not the settings' own."""
    from inference.engine import Engine

    paths = [folder / f"teacher-{place}.onnx" for place in range(1, len(settings.teachers) + 1)]
    # A second thread would wait for work by turning in circles, on the processors that training computes on.
    engines = [Engine.load(path, provider="cpu", threads=1) for path in paths]
    for engine, name in zip(engines, settings.teachers, strict=True):
        if not name.endswith(f" {engine.manifest.digest[:12]}"):
            raise InputError(f"{engine.path} is not {name}, which the run learns from; restore it or train again")
    return engines


def answers_folder(shared: Path, settings: Settings) -> Path:
    """Return, and make, the place in a folder that trainings share for what the settings' teachers say together."""
    named = hashlib.sha256("\n".join(settings.teachers).encode()).hexdigest()
    folder = shared / f"teachers-{named[:16]}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@dataclass(frozen=True)
class KeptAnswers:
    """A teacher whose answers to an epoch's views are looked up in folders before it is asked.

    They are found by the sha256 of the views, so that what was answered on another machine counts only where that one
    made the very same views; float16 is as fine as a share of a label has to be.

    Attributes:
        folder: where answers are looked up and, with `keep`, written.
        teacher: is asked where there is no answer.
        others: folders to look through, too.
        stopped: is set where nobody is to be asked any more.
    """

    folder: Path
    teacher: Teacher
    keep: bool = False
    others: tuple[Path, ...] = ()
    stopped: Event = field(default_factory=Event)

    def predict(self, pixels: Pixels) -> Shares:
        """Return probabilities float32[N, 7] of views uint8[N, 48, 48]; with `keep`, write them down."""
        digest = hashlib.sha256(np.ascontiguousarray(pixels).data).hexdigest()
        name = f"answers-{digest[:32]}.npz"
        if (kept := self._kept(name)) is not None:
            return kept
        if not self.keep:
            if any(self.folder.glob("answers-*.npz")):
                warn(
                    f"{self.folder} keeps no answers to this epoch's views (not asked ahead so far, or by another "
                    "build of OpenCV, which makes other views); the teachers are asked here"
                )
            return self._asked(pixels).astype(np.float32)
        with self._alone():
            # Another training may have asked meanwhile.
            if (kept := self._kept(name)) is not None:
                return kept
            said = self._asked(pixels)
            save_arrays(self.folder / name, {"probabilities": said})
            return said.astype(np.float32)

    def stop(self) -> None:
        """Ask no more: the process waits for the thread that asks, and an epoch's answers take minutes."""
        self.stopped.set()

    def _kept(self, name: str) -> Shares | None:
        for file in (folder / name for folder in (self.folder, *self.others)):
            if file.exists():
                remedy = f"{file} is not what teachers said of an epoch; remove it"
                return load_arrays(file, remedy)["probabilities"].astype(np.float32)
        return None

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the folder for a block, as no other training does then; a `CancelledError` once it is to stop."""
        while True:
            with locked(self.folder / ASKING_FILE, os.O_RDWR | os.O_CREAT) as handle:
                if handle is not None:
                    yield
                    return
            if self.stopped.wait(0.2):
                raise CancelledError

    def _asked(self, pixels: Pixels) -> NDArray[np.float16]:
        """Rounded whether it is kept or not: a training that finds the answers is to come to the same numbers."""
        said = []
        for start in range(0, len(pixels), ASKED_AT_ONCE):
            if self.stopped.is_set():
                raise CancelledError
            said.append(self.teacher.predict(pixels[start : start + ASKED_AT_ONCE]).astype(np.float16))
        return np.concatenate(said)


def save_teachings(path: Path, probabilities: Shares) -> None:
    """Write what teachers said, whole or not at all."""
    save_arrays(path, {"probabilities": probabilities})


def load_teachings(path: Path) -> Shares:
    """Read what `save_teachings` wrote."""
    return load_arrays(path, f"{path.name} is not what teachers said; train again")["probabilities"]


def label_shares(labels: NDArray[np.uint8], teachings: Shares | None = None, distillation: float = 0.0) -> Shares:
    """Return the classes' shares float32[N, 7] in each face: its label alone, or a share `distillation` of it what
    teachers said."""
    hard = np.eye(len(LABELS), dtype=np.float32)[labels]
    if teachings is None:
        return hard
    return np.asarray((1 - distillation) * hard + distillation * teachings, np.float32)
