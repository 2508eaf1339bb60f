"""Faces as cameras, networks and rooms spoil them: seven corruptions, three strengths each.

The choice and its three strengths are ours, after Hendrycks and Dietterich 2019, "Benchmarking Neural Network
Robustness to Common Corruptions and Perturbations", https://arxiv.org/abs/1903.12261, scaled to 48 pixels.
"""

from collections.abc import Callable
from typing import Any, Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from data.faceset import SIDE

Kind = Literal["blur", "noise", "JPEG", "darkness", "contrast", "rotation", "occlusion"]
KINDS: tuple[Kind, ...] = get_args(Kind)
STRENGTHS: dict[Kind, tuple[float, float, float]] = {
    "blur": (0.7, 1.2, 2.0),
    "noise": (8, 16, 32),
    "JPEG": (50, 25, 10),
    "darkness": (0.6, 0.35, 0.15),
    "contrast": (0.6, 0.35, 0.15),
    "rotation": (10, 20, 30),
    "occlusion": (12, 18, 24),
}
UNITS: dict[Kind, str] = {
    "blur": "standard deviation of a Gaussian, in pixels",
    "noise": "standard deviation of Gaussian noise, in grey levels of 255",
    "JPEG": "quality",
    "darkness": "share of the light that is left",
    "contrast": "share of the distance to the face's mean grey that is left",
    "rotation": "degrees, to either side",
    "occlusion": "side of a black square anywhere on the face, in pixels",
}


def corrupt(pixels: NDArray[np.uint8], kind: Kind, strength: float, seed: int = 0) -> NDArray[np.uint8]:
    """Return grey faces uint8[N, 48, 48] corrupted, the same for the same arguments; see `UNITS` for `strength`."""
    rng = np.random.default_rng((seed, KINDS.index(kind)))
    faces = pixels.astype(np.float32)
    match kind:
        case "blur":
            return _each(pixels, lambda face: blurred(face, strength))
        case "noise":
            return _grey(faces + rng.normal(0, strength, faces.shape).astype(np.float32))
        case "JPEG":
            return _each(pixels, lambda face: compressed(face, int(strength)))
        case "darkness":
            return _grey(faces * strength)
        case "contrast":
            mean = faces.mean(axis=(1, 2), keepdims=True)
            return _grey(mean + (faces - mean) * strength)
        case "rotation":
            signs = iter(rng.choice((-1, 1), len(faces)).tolist())
            return _each(pixels, lambda face: _rotated(face, strength * next(signs)))
        case "occlusion":
            return _occluded(pixels, int(strength), rng)


def blurred(face: NDArray[np.uint8], deviation: float) -> NDArray[np.uint8]:
    """Return a face uint8[48, 48] under a Gaussian of this standard deviation in pixels."""
    return np.asarray(cv2.GaussianBlur(np.ascontiguousarray(face), (0, 0), deviation), np.uint8)


def compressed(face: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """Return a face uint8[48, 48] as JPEG of this quality, 1 to 100, gives it back."""
    coded = cv2.imencode(".jpg", np.ascontiguousarray(face), [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE), np.uint8)


def _each(pixels: NDArray[np.uint8], change: Callable[[Any], Any]) -> NDArray[np.uint8]:
    return np.stack([change(np.ascontiguousarray(face)) for face in pixels])


def _grey(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.rint(values).clip(0, 255).astype(np.uint8)


def _rotated(face: Any, degrees: float) -> Any:
    centre = (SIDE - 1) / 2
    matrix = cv2.getRotationMatrix2D((centre, centre), degrees, 1)
    return cv2.warpAffine(face, matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _occluded(pixels: NDArray[np.uint8], side: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    faces = pixels.copy()
    for face, (top, left) in zip(faces, rng.integers(0, SIDE - side + 1, (len(faces), 2)).tolist(), strict=True):
        face[top : top + side, left : left + side] = 0
    return faces
