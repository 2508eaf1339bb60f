"""Test-time augmentation: a model asked about several views of a face, its answers averaged.

It costs as many runs as there are views, and figures with it are not figures of the model alone: everything that
shows them says which augmentation they were made with.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from data.faceset import SIDE
from inference.engine import Engine

TestTimeAugmentation = Literal["none", "flip", "ten-crop"]
# Pixels of 48, as in the ten-crop figures of
# https://github.com/WuJie1010/Facial-Expression-Recognition.Pytorch (`cut_size`).
CROP = 44


class Predictor(Protocol):
    """Whatever answers with probabilities, float32[N, 7], to grey faces uint8[N, 48, 48]."""

    def predict(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the probabilities of the faces."""


@dataclass(frozen=True)
class Augmented:
    """A model under test-time augmentation: the mean of its probabilities over the views of a face."""

    engine: Engine
    augmentation: TestTimeAugmentation

    @property
    def path(self) -> Path:
        """The artifact's file."""
        return self.engine.path

    def predict(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return probabilities float32[N, 7] of grey faces uint8[N, 48, 48]."""
        if self.augmentation == "none":
            return self.engine.predict(pixels)
        answers = [self.engine.predict(view) for view in views(pixels, self.augmentation)]
        return np.asarray(np.mean(answers, axis=0, dtype=np.float64), np.float32)


def views(pixels: NDArray[np.uint8], augmentation: TestTimeAugmentation) -> list[NDArray[np.uint8]]:
    """Return the views of faces uint8[N, 48, 48], each of the same shape.

    `flip` adds the mirror image. `ten-crop` takes the four corners and the centre, 44 pixels wide and enlarged to 48
    again, with the mirror image of each.
    """
    match augmentation:
        case "none":
            return [pixels]
        case "flip":
            return [pixels, np.ascontiguousarray(pixels[:, :, ::-1])]
        case "ten-crop":
            end, middle = SIDE - CROP, (SIDE - CROP) // 2
            corners = ((0, 0), (0, end), (end, 0), (end, end), (middle, middle))
            crops = [_enlarged(pixels[:, top : top + CROP, left : left + CROP]) for top, left in corners]
            return [view for crop in crops for view in views(crop, "flip")]


def _enlarged(crops: NDArray[np.uint8]) -> NDArray[np.uint8]:
    import cv2

    faces = np.empty((len(crops), SIDE, SIDE), np.uint8)
    for face, crop in zip(faces, crops, strict=True):
        cv2.resize(np.ascontiguousarray(crop), (SIDE, SIDE), dst=face, interpolation=cv2.INTER_LINEAR)
    return faces
