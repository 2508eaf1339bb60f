"""What a model looked at in a picture, as a document for programs.

`docs/schemas/picture-explanation.json` describes it as a JSON Schema.
"""

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from data.documents import Share, strict
from data.errors import as_text
from data.faceset import LABELS
from inference.photos.faces import FaceBox
from inference.photos.reading import PicturePrediction
from inference.saliency.explaining import UNITS, Explainer, FaceExplanation, Method

VERSION = 1
DIGITS = 5  # Behind the point: far below what one mask more or less would change.


# 48 rows of 48 values.
MapValues = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class MapRecord:
    """A map: the answer it is of, the probability that the model gives it, and 48 rows of 48 values."""

    label: str
    probability: Share
    values: MapValues


@dataclass(frozen=True)
class ExplainedFace:
    """A face as `ferox predict --json` says it, and the maps of its answer and of its runner-up."""

    box: FaceBox
    label: str
    probabilities: dict[str, Share]
    maps: tuple[MapRecord, ...]


@dataclass(frozen=True, kw_only=True)
class PictureExplanation:
    """A picture's faces, the largest first, and what a model looked at in each.

    Attributes:
        explanation: the document's version.
        file: the picture.
        model: the artifact's file, and its `digest`.
        method: by which the maps were made, and in which `unit` their values are; above 0 a place speaks for the
            answer, below 0 against it.
        notes: what of the picture's file was not taken.
        error: why it could not be read, in one sentence, or None.
        faces: none where none was found.
    """

    __pydantic_config__: ClassVar = strict(explanation=VERSION)

    explanation: int
    file: str
    model: str
    digest: str
    method: Method
    unit: str
    notes: tuple[str, ...]
    error: str | None
    faces: tuple[ExplainedFace, ...]

    def to_dict(self) -> dict[str, Any]:
        """The document as plain values that strict JSON can hold."""
        return asdict(self)


def picture_explanation(
    asked: Explainer, picture: PicturePrediction, faces: tuple[FaceExplanation, ...]
) -> PictureExplanation:
    """Return what was found of a picture as a document."""
    return PictureExplanation(
        explanation=VERSION,
        file=as_text(picture.name),
        model=as_text(asked.engine.path.name),
        digest=asked.engine.manifest.digest,
        method=asked.method,
        unit=UNITS[asked.method],
        notes=picture.notes,
        error=picture.error,
        faces=tuple(map(_face, faces)),
    )


def map_values(values: NDArray[np.float32]) -> MapValues:
    """Return a map, float32[48, 48], as rows of a document."""
    return tuple(map(tuple, np.round(values.astype(np.float64), DIGITS).tolist()))


def _face(explanation: FaceExplanation) -> ExplainedFace:
    face = explanation.face
    maps = (MapRecord(found.label, found.probability, map_values(found.values)) for found in explanation.maps)
    return ExplainedFace(face.box, face.guess, dict(zip(LABELS, face.probabilities.tolist(), strict=True)), tuple(maps))
