"""What one epoch shows a model: the order of faces and how each is distorted.

It depends on the settings, the seed and the epoch's number alone, so that every framework sees the same batches, a
resumed run sees what an uninterrupted one would have, and a teacher can be asked about the very same views on another
machine. `training.views` makes the views.
"""

from dataclasses import dataclass, replace
from math import log

import numpy as np
from numpy.typing import NDArray

from data.faceset import LABELS, SIDE
from training.recipe import Settings


@dataclass(frozen=True)
class Augmentation:
    """Ranges to draw from: degrees, shares of the picture's side, and shares of brightness and contrast.

    `erase` is the share of faces with an erased rectangle, `window` how many pixels of a side are shown, enlarged to
    all of it, and `corruption` the share of faces that each kind of corruption falls on, by itself.
    """

    rotation: float
    shift: float
    scale: float
    jitter: float
    erase: float
    black_edges: bool
    window: int = SIDE
    corruption: float = 0.0


_FULL = Augmentation(rotation=10, shift=0.1, scale=0.1, jitter=0.2, erase=0.25, black_edges=False)
AUGMENTATIONS = {
    # The published ResNet-18's: flip, rotation by 10 degrees with black corners, jitter of 0.2.
    "light": Augmentation(rotation=10, shift=0, scale=0, jitter=0.2, erase=0, black_edges=True),
    "full": _FULL,
    # Windows anywhere in the face, of the size that ten crops at test time have (`inference.testtime.CROP`).
    "crops": replace(_FULL, shift=2 / SIDE, scale=0, window=44),
    # Five kinds by themselves: three faces of five stay whole, and most others are spoiled in one way alone.
    "corruptions": replace(_FULL, corruption=0.1),
}
# What corruptions are drawn from: standard deviations of blur in pixels and of noise in grey levels, JPEG's quality,
# and the share that is left of light and of contrast. Ranges reach the strongest of `inference.measure.corruptions`;
# the kinds have the names that they have there.
CORRUPTED = ("blur", "noise", "JPEG", "darkness", "contrast")
BLUR, NOISE, QUALITY, LEFT = (0.4, 2.0), (4.0, 32.0), (10, 60), (0.15, 0.8)


@dataclass(frozen=True)
class Distortion:
    """One distortion a face.

    Attributes:
        matrices: float32[K, 2, 3], from an output place (x, y, 1) to the input place it is sampled at, both from -1 to
            1 over the picture's outer edges (the convention of `affine_grid` with `align_corners=False`).
        brightness: float32[K], multiplies pixels.
        contrast: float32[K], multiplies each pixel's distance from the face's mean, after brightness.
        boxes: int64[K, 4], the erased rectangle as top, left, bottom, right; empty where nothing is erased.
        black_edges: whether what lies outside the picture is black, or the nearest pixel.
        corruption: what spoils the face after that; None where nothing does.
    """

    matrices: NDArray[np.float32]
    brightness: NDArray[np.float32]
    contrast: NDArray[np.float32]
    boxes: NDArray[np.int64]
    black_edges: bool
    corruption: "Corruption | None" = None


@dataclass(frozen=True)
class Corruption:
    """What a camera, its room and a network do to a face, one set of values a face, applied in this order.

    Attributes:
        light: float32[K], multiplies pixels; 1 where it is not dark.
        contrast: float32[K], multiplies each pixel's distance from the face's mean; 1 where nothing is lost.
        blur: float32[K], standard deviation of a Gaussian in pixels; 0 where nothing is blurred.
        noise: float32[K], standard deviation of added noise in grey levels; 0 where there is none.
        quality: int64[K], of JPEG; 0 where the face is not compressed.
        seed: of the noise.
    """

    light: NDArray[np.float32]
    contrast: NDArray[np.float32]
    blur: NDArray[np.float32]
    noise: NDArray[np.float32]
    quality: NDArray[np.int64]
    seed: int


@dataclass(frozen=True)
class EpochPlan:
    """The faces of one epoch as int64[K] indices into the training part, and what is done to each.

    `mix` float32[K], from 0.5 to 1, is the share that a face keeps of itself; the rest, of its picture and its label,
    comes from the face that stands as far from the end of their batch as it does from the start.
    """

    order: NDArray[np.int64]
    distortion: Distortion | None
    seed: int
    mix: NDArray[np.float32] | None = None


def plan_epoch(settings: Settings, labels: NDArray[np.uint8], epoch: int) -> EpochPlan:
    """Decide epoch number `epoch` (from 1) over a training part with these labels."""
    random = np.random.default_rng([settings.seed, 2, epoch])
    order = random.permutation(_sampled(settings.balance, labels, random))
    augmentation = AUGMENTATIONS.get(settings.augmentation)
    distortion = draw_distortion(augmentation, len(order), random) if augmentation else None
    seed = int(random.integers(2**31))
    return EpochPlan(order, distortion, seed, _shares(settings.mixup, len(order), random) if settings.mixup else None)


def batches(count: int, size: int) -> list[tuple[int, int]]:
    """Divide `count` places into batches; a last batch of one joins the one before, since BatchNorm needs two."""
    starts = list(range(0, count, size))
    if len(starts) > 1 and count - starts[-1] == 1:
        starts.pop()
    return list(zip(starts, [*starts[1:], count], strict=True))


def class_weights(balance: str, labels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return float32[7] loss weights: scikit-learn's "balanced" with `class-weights`, else ones."""
    if balance != "class-weights":
        return np.ones(len(LABELS), np.float32)
    counts = np.bincount(labels, minlength=len(LABELS))
    present = counts > 0
    weights = np.zeros(len(LABELS), np.float32)
    weights[present] = len(labels) / (present.sum() * counts[present])
    return weights


def draw_distortion(augmentation: Augmentation, count: int, random: np.random.Generator) -> Distortion:
    """Draw `count` distortions; half of them mirrored."""
    angle = np.radians(random.uniform(-augmentation.rotation, augmentation.rotation, count))
    zoom = augmentation.window / SIDE / random.uniform(1 - augmentation.scale, 1 + augmentation.scale, count)
    mirror = np.where(random.random(count) < 0.5, -1.0, 1.0)
    matrices = np.empty((count, 2, 3), np.float32)
    matrices[:, 0, 0], matrices[:, 0, 1] = mirror * zoom * np.cos(angle), -mirror * zoom * np.sin(angle)
    matrices[:, 1, 0], matrices[:, 1, 1] = zoom * np.sin(angle), zoom * np.cos(angle)
    # A share of the side is twice that share of the range -1 to 1.
    matrices[:, :, 2] = 2 * random.uniform(-augmentation.shift, augmentation.shift, (count, 2))
    jitter = random.uniform(1 - augmentation.jitter, 1 + augmentation.jitter, (2, count)).astype(np.float32)
    boxes = _boxes(augmentation.erase, count, random)
    corruption = _corruption(augmentation.corruption, count, random) if augmentation.corruption else None
    return Distortion(matrices, jitter[0], jitter[1], boxes, augmentation.black_edges, corruption)


def _corruption(share: float, count: int, random: np.random.Generator) -> Corruption:
    spoiled = random.random((5, count)) < share
    return Corruption(
        light=np.where(spoiled[0], _left(count, random), np.float32(1)),
        contrast=np.where(spoiled[1], _left(count, random), np.float32(1)),
        blur=np.where(spoiled[2], random.uniform(*BLUR, count), 0).astype(np.float32),
        noise=np.where(spoiled[3], random.uniform(*NOISE, count), 0).astype(np.float32),
        quality=np.where(spoiled[4], random.integers(*QUALITY, count, endpoint=True), 0),
        seed=int(random.integers(2**31)),
    )


def _left(count: int, random: np.random.Generator) -> NDArray[np.float32]:
    """Shares of light or contrast, as likely to be between 0.2 and 0.4 as between 0.4 and 0.8."""
    return np.exp(random.uniform(log(LEFT[0]), log(LEFT[1]), count)).astype(np.float32)


def _shares(mixup: float, count: int, random: np.random.Generator) -> NDArray[np.float32]:
    drawn = random.beta(mixup, mixup, count)
    # Either face of a pair may be called the first one.
    return np.maximum(drawn, 1 - drawn).astype(np.float32)


def _boxes(share: float, count: int, random: np.random.Generator) -> NDArray[np.int64]:
    """Rectangles with sides of 1/8 to 3/8 of the picture on a share of the faces, empty ones on the rest."""
    sides = random.integers(SIDE // 8, 3 * SIDE // 8, (count, 2), endpoint=True)
    corners = (random.random((count, 2)) * (SIDE - sides + 1)).astype(np.int64)
    erased = random.random(count) < share
    return np.where(erased[:, None], np.hstack([corners, corners + sides]), 0)


def _sampled(balance: str, labels: NDArray[np.uint8], random: np.random.Generator) -> NDArray[np.int64]:
    everything = np.arange(len(labels))
    if balance not in ("over-sampling", "under-sampling"):
        return everything
    members = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    if balance == "under-sampling":
        fewest = min(map(len, members))
        return np.concatenate([random.choice(faces, fewest, replace=False) for faces in members])
    most = max(map(len, members))
    return np.concatenate([everything, *(random.choice(faces, most - len(faces)) for faces in members)])
