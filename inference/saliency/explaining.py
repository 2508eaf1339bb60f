"""What a model looked at in a face: maps for its answer and for its runner-up, by the method that fits."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from data.errors import InputError
from data.faceset import LABELS
from inference.engine import Engine
from inference.photos.reading import FacePrediction
from inference.saliency.activation import ActivationMaps, activation_maps
from inference.saliency.occlusion import effects, enlarged

Method = Literal["occlusion", "cam"]
METHODS: tuple[Method, ...] = get_args(Method)
# Works with every model, and tells better what an answer rests on than class activation maps do: docs/explain.md.
DEFAULT_METHOD: Method = "occlusion"
EXPLAINED = 2  # The answer and its runner-up.
# What a map's values are.
UNITS: dict[Method, str] = {
    "occlusion": "probability with this place shown, less with it covered",
    "cam": "what this place gives to the logit, whose mean over the map plus the bias is the logit",
}


@dataclass(frozen=True)
class HeatMap:
    """A map of one answer to a face.

    Attributes:
        label: the answer.
        probability: what the model gives it, 0 to 1.
        values: float32[48, 48], what each place does to it; above 0 it speaks for the answer, below against it. See
            `UNITS`.
    """

    label: str
    probability: float
    values: NDArray[np.float32]


@dataclass(frozen=True)
class FaceExplanation:
    """A face as the model read it, and a map for its answer and one for its runner-up, in this order."""

    face: FacePrediction
    method: Method
    maps: tuple[HeatMap, ...]


@dataclass(frozen=True)
class Explainer:
    """A model that is asked what it looked at. Safe to use from several threads; make one with `explainer`.

    `activations` is None where the method is `occlusion`.
    """

    engine: Engine
    method: Method
    activations: ActivationMaps | None

    def cells(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return what each place does to each answer, float32[N, 7, R, C], of grey faces uint8[N, 48, 48]; N >= 1.

        Raises:
            InputError: as for `Engine.run`.
        """
        if self.activations is not None:
            return self.activations.contributions(crops)
        return effects(self.engine, crops)

    def explain(self, faces: Sequence[FacePrediction]) -> tuple[FaceExplanation, ...]:
        """Return maps of faces that this model has read."""
        if not faces:
            return ()
        cells = self.cells(np.stack([face.crop for face in faces]))
        return tuple(
            FaceExplanation(face, self.method, _maps(face, answers)) for face, answers in zip(faces, cells, strict=True)
        )


def _maps(face: FacePrediction, cells: NDArray[np.float32]) -> tuple[HeatMap, ...]:
    return tuple(
        HeatMap(label, probability, enlarged(cells[LABELS.index(label)]))
        for label, probability in face.ranking[:EXPLAINED]
    )


def explainer(engine: Engine, method: str | None = None) -> Explainer:
    """Return a model that can be asked what it looked at.

    Args:
        engine: the model.
        method: one of `METHODS`; None is `occlusion`.

    Raises:
        InputError: there is no such method, or the model has no class activation maps.
    """
    for known in METHODS:
        if (method or DEFAULT_METHOD) == known:
            return Explainer(engine, known, activation_maps(engine) if known == "cam" else None)
    raise InputError(f"the method is {method!r:.50}, expected {' or '.join(METHODS)}")
