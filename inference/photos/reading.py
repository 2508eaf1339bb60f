"""From a picture to what a model sees in it: its faces are found and cut out once, then any model answers about them.

Of several pictures the faces are gathered before the model runs, since one run over many costs far less than many over
one; what is kept of a picture meanwhile is its crops alone, so memory stays bounded.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from data.documents import Share
from data.errors import InputError
from data.faceset import LABELS
from inference.confidence import ALWAYS, is_sure
from inference.engine import Engine
from inference.photos.faces import DETECTION_SIDE, FaceBox, FaceCrop, Finder, Policy, face_crops
from inference.photos.pictures import Picture, read_picture

FACES_AT_ONCE = 256
PICTURES_AT_ONCE = 64
POLICIES: tuple[Policy, ...] = get_args(Policy)


class Answer:
    """What is read off the seven probabilities of a face, float32[7] in the order of `LABELS`.

    `min_confidence` is the least confidence at which there is a label, see `inference.confidence`; 0 is always.
    """

    probabilities: NDArray[np.float32]
    min_confidence: float = ALWAYS

    @property
    def ranking(self) -> list[tuple[str, float]]:
        """Every label with its probability, the most probable first."""
        order = np.argsort(-self.probabilities, kind="stable")
        return [(LABELS[label], float(self.probabilities[label])) for label in order]

    @property
    def guess(self) -> str:
        """The most probable label, however sure."""
        return LABELS[int(self.probabilities.argmax())]

    @property
    def label(self) -> str | None:
        """The most probable label; None where its probability is below `min_confidence`: the model is unsure."""
        return self.guess if is_sure(self.confidence, self.min_confidence) else None

    @property
    def confidence(self) -> float:
        """The probability of the most probable label, 0 to 1."""
        return float(self.probabilities.max())


@dataclass(frozen=True)
class FacePrediction(Answer):
    """One face: `probabilities` is float32[7] in the order of `LABELS`, `crop` is uint8[48, 48]."""

    box: FaceBox
    probabilities: NDArray[np.float32]
    crop: NDArray[np.uint8]
    min_confidence: float = ALWAYS


@dataclass(frozen=True)
class PicturePrediction:
    """One picture's faces, the largest first; `error` says why it could not be read, in one sentence."""

    name: str
    notes: tuple[str, ...]
    faces: tuple[FacePrediction, ...]
    error: str | None = None


@dataclass(frozen=True)
class FaceRecord:
    """A face as a document says it: its box in pixels, the most probable label, and every label's probability.

    `label` is null where a least confidence was asked for that the most probable one does not have.
    """

    box: FaceBox
    label: str | None
    probabilities: dict[str, Share]


@dataclass(frozen=True)
class PictureRecord:
    """What programs are told of a picture, as JSON: what of the file was not taken, or why it could not be read.

    The largest face comes first. A picture without a face has no faces and no error.
    """

    file: str
    notes: tuple[str, ...]
    error: str | None
    faces: tuple[FaceRecord, ...]

    def to_dict(self) -> dict[str, Any]:
        """The record as plain values that strict JSON can hold."""
        return asdict(self)


@dataclass(frozen=True)
class FoundFaces:
    """A picture's faces, the largest first, before a model has seen them; otherwise as `PicturePrediction`."""

    name: str
    notes: tuple[str, ...] = ()
    crops: tuple[FaceCrop, ...] = ()
    error: str | None = None


def policy_named(name: str | None) -> Policy:
    """Return how faces are come by, as a client names it; "auto" where it does not.

    Raises:
        InputError: it is none of `POLICIES`.
    """
    for policy in POLICIES:
        if (name or "auto") == policy:
            return policy
    raise InputError(f"faces is {name!r:.50}, expected {' or '.join(POLICIES)}")


def check_decode_side(side: int | None) -> int | None:
    """Return `side`; an `InputError` where it is smaller than the copy in which faces are looked for."""
    if side is not None and side < DETECTION_SIDE:
        raise InputError(f"--decode-side is {side}, expected {DETECTION_SIDE} or more; faces are looked for in so many")
    return side


def find_faces(picture: Picture, finder: Finder, policy: Policy) -> FoundFaces:
    """Find the faces of a picture and cut them out, see `inference.photos.faces.face_crops`.

    Their boxes are in pixels of the picture's file, however small it was decoded.
    """
    found = face_crops(picture.pixels, finder, policy)
    crops = tuple(replace(face, box=face.box.scaled(picture.reduction)) for face in found)
    return FoundFaces(picture.name, picture.notes, crops)


def predict_faces(
    engine: Engine, pictures: Sequence[FoundFaces], min_confidence: float = ALWAYS
) -> Iterator[PicturePrediction]:
    """Yield what a model sees in the faces of each picture; they all run together."""
    crops = [face.pixels for picture in pictures for face in picture.crops]
    yield from answered(pictures, engine.predict(np.stack(crops)) if crops else (), min_confidence)


def answered(
    pictures: Sequence[FoundFaces], probabilities: Iterable[NDArray[np.float32]], min_confidence: float = ALWAYS
) -> Iterator[PicturePrediction]:
    """Yield pictures with the answers to their faces: float32[7] a face, in the order of pictures and faces."""
    rows = iter(probabilities)
    for picture in pictures:
        faces = tuple(FacePrediction(face.box, next(rows), face.pixels, min_confidence) for face in picture.crops)
        yield PicturePrediction(picture.name, picture.notes, faces, picture.error)


def predict_picture(
    engine: Engine, picture: Picture, finder: Finder, policy: Policy, min_confidence: float = ALWAYS
) -> PicturePrediction:
    """Find the faces of one picture and run the model on them."""
    return next(predict_faces(engine, [find_faces(picture, finder, policy)], min_confidence))


def predict_files(
    engine: Engine,
    files: Iterable[Path],
    finder: Finder,
    policy: Policy,
    *,
    keep_errors: bool,
    min_confidence: float = ALWAYS,
    decode_side: int | None = None,
) -> Iterator[PicturePrediction]:
    """Yield one prediction a file, named as given; with `keep_errors`, one that cannot be read has its error.

    With `decode_side`, JPEGs are decoded smaller, see `inference.photos.pictures.read_picture`.

    Raises:
        InputError: a file cannot be read, without `keep_errors`.
    """
    waiting: list[FoundFaces] = []
    for file in files:
        waiting.append(_find_faces_of(file, finder, policy, decode_side, keep_error=keep_errors))
        faces = sum(len(picture.crops) for picture in waiting)
        if faces >= FACES_AT_ONCE or len(waiting) >= PICTURES_AT_ONCE:
            yield from predict_faces(engine, waiting, min_confidence)
            waiting = []
    yield from predict_faces(engine, waiting, min_confidence)


def _find_faces_of(
    file: Path, finder: Finder, policy: Policy, decode_side: int | None, *, keep_error: bool
) -> FoundFaces:
    try:
        picture = read_picture(file, decode_side=decode_side)
    except InputError as error:
        if not keep_error:
            raise
        return FoundFaces(str(file), error=str(error))
    return replace(find_faces(picture, finder, policy), name=str(file))


def as_record(prediction: PicturePrediction, file: str | None = None) -> PictureRecord:
    """Return a prediction as a document; `file` is what to call the picture, its own name by default."""
    faces = (
        FaceRecord(face.box, face.label, dict(zip(LABELS, face.probabilities.tolist(), strict=True)))
        for face in prediction.faces
    )
    return PictureRecord(file or prediction.name, prediction.notes, prediction.error, tuple(faces))
