"""Makes the faces that an epoch shows: distorted, mixed and labelled, the same for every framework.

They are whole grey values, as a trained model will be given, so that a teacher can be asked about just what its pupil
sees; but for corruptions, through which a teacher need not see for its pupil to learn to. The next epoch is made while
one is trained.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from data.faceset import SIDE
from inference.machine import available_cpus
from inference.measure.corruptions import blurred, compressed
from training.epoch import Corruption, Distortion, EpochPlan, batches, plan_epoch
from training.recipe import Settings

Pixels = NDArray[np.uint8]
Shares = NDArray[np.float32]
# Faces made at a time by one thread, with noise of their own.
CHUNK = 512


@dataclass(frozen=True)
class EpochData:
    """What one epoch shows, in its order.

    Attributes:
        pixels: uint8[K, 48, 48].
        labels: uint8[K], each face's own class.
        shares: float32[K, 7], the classes' shares that are learned: of mixed faces, smoothed by teachers.
        seed: of what is random in the model.
    """

    pixels: Pixels
    labels: NDArray[np.uint8]
    shares: Shares
    seed: int


class EpochLoader:
    """Gives each epoch's data, and makes the next one's meanwhile."""

    def __init__(
        self,
        settings: Settings,
        pixels: Pixels,
        labels: NDArray[np.uint8],
        shares: Callable[[EpochPlan, Pixels], Shares],
        give_up: Callable[[], None] = lambda: None,
    ) -> None:
        """Take a training part: pixels uint8[N, 48, 48] and labels uint8[N].

        `shares` gives the classes' shares float32[K, 7] in an epoch's faces, from its plan and its views as they are
        before corruptions; after `give_up` it raises `CancelledError` where it would take long.
        """
        self.give_up = give_up
        self._settings, self._pixels, self._labels, self._shares = settings, pixels, labels, shares
        # One processor less than there are, and no more than were asked for: training needs them, too.
        self._threads = ThreadPoolExecutor(max(1, min(available_cpus() - 1, settings.threads or 64)), "views")
        self._ahead = ThreadPoolExecutor(1, "epoch")
        self._next: tuple[int, Future[EpochData]] | None = None

    def load(self, epoch: int) -> EpochData:
        """Return the data of epoch number `epoch` (from 1), and begin with the one after it.

        Raises:
            CancelledError: it was given up.
        """
        number, future = self._next or (0, None)
        data = future.result() if future is not None and number == epoch else self._make(epoch)
        self._next = None
        if epoch < self._settings.epochs:
            self._next = (epoch + 1, self._ahead.submit(self._make, epoch + 1))
        return data

    def close(self) -> None:
        """End the threads; what they are at is given up."""
        self.give_up()
        for threads in (self._ahead, self._threads):
            threads.shutdown(wait=False, cancel_futures=True)

    def _make(self, epoch: int) -> EpochData:
        plan = plan_epoch(self._settings, self._labels, epoch)
        pixels = whole = self._pixels[plan.order]
        if plan.distortion is not None:
            pixels = whole = _in_chunks(self._threads, _distorted, pixels, plan.distortion)
            if plan.distortion.corruption is not None:
                pixels = _in_chunks(self._threads, _corrupted, whole, plan.distortion.corruption)
        if plan.mix is not None:
            corrupted = pixels is not whole
            whole = rounded(mixed(whole, plan.mix, self._settings.batch_size))
            pixels = rounded(mixed(pixels, plan.mix, self._settings.batch_size)) if corrupted else whole
        return EpochData(pixels, self._labels[plan.order], self._shares(plan, whole), plan.seed)


def distorted(pixels: Pixels, distortion: Distortion) -> Pixels:
    """Return faces uint8[K, 48, 48], each with its own distortion, not yet corrupted."""
    return _distorted(pixels, distortion, slice(0, len(pixels)))


def corrupted(pixels: Pixels, corruption: Corruption) -> Pixels:
    """Return faces uint8[K, 48, 48], each with its own corruption."""
    return _corrupted(pixels, corruption, slice(0, len(pixels)))


def _in_chunks(
    threads: ThreadPoolExecutor, change: Callable[[Pixels, Any, slice], Pixels], pixels: Pixels, drawn: Any
) -> Pixels:
    parts = [slice(start, start + CHUNK) for start in range(0, len(pixels), CHUNK)]
    return np.concatenate(list(threads.map(lambda part: change(pixels, drawn, part), parts)))


def mixed(values: NDArray[np.generic], weights: NDArray[np.float32], batch_size: int) -> NDArray[np.float32]:
    """Return values [K, ...] as float32, of which each keeps the share `own` float32[K]; the rest comes from the one
    that stands as far from the end of their batch."""
    blended = np.empty(values.shape, np.float32)
    across = weights.reshape(-1, *[1] * (values.ndim - 1))
    for start, stop in batches(len(values), batch_size):
        part, share = values[start:stop].astype(np.float32), across[start:stop]
        blended[start:stop] = share * part + (1 - share) * part[::-1]
    return blended


def rounded(values: NDArray[np.float32]) -> Pixels:
    """Return the nearest grey values, uint8."""
    return np.rint(values).clip(0, 255).astype(np.uint8)


def _distorted(pixels: Pixels, distortion: Distortion, part: slice) -> Pixels:
    faces = _moved(pixels[part], distortion, part)
    faces = (faces * distortion.brightness[part, None, None]).clip(0, 255)
    mean = faces.mean(axis=(1, 2), keepdims=True)
    faces = ((faces - mean) * distortion.contrast[part, None, None] + mean).clip(0, 255)
    return rounded(np.where(_inside(distortion.boxes[part]), mean, faces))


def _moved(faces: Pixels, distortion: Distortion, part: slice) -> NDArray[np.float32]:
    """Sample each face, bilinearly, where its matrix says, in float32."""
    edges = cv2.BORDER_CONSTANT if distortion.black_edges else cv2.BORDER_REPLICATE
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    warped = np.empty(faces.shape, np.float32)
    for index, matrix in enumerate(_in_pixels(distortion.matrices[part])):
        cv2.warpAffine(faces[index].astype(np.float32), matrix, (SIDE, SIDE), warped[index], flags, edges)
    return warped


def _in_pixels(matrices: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return matrices [K, 2, 3] that take places from -1 to 1 as such that take pixels' numbers."""
    pixels = matrices.astype(np.float64)
    half, middle = SIDE / 2, (SIDE - 1) / 2
    pixels[:, :, 2] = half * pixels[:, :, 2] + middle * (1 - pixels[:, :, :2].sum(axis=2))
    return pixels


def _inside(boxes: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return bool[K, 48, 48]: which pixels lie in the rectangles int64[K, 4]."""
    top, left, bottom, right = boxes.T[:, :, None]
    line = np.arange(SIDE)
    rows, columns = (line >= top) & (line < bottom), (line >= left) & (line < right)
    return np.asarray(rows[:, :, None] & columns[:, None, :])


def _corrupted(pixels: Pixels, corruption: Corruption, part: slice) -> Pixels:
    """Corrupt the faces of a part."""
    faces = pixels[part] * corruption.light[part, None, None]
    mean = faces.mean(axis=(1, 2), keepdims=True)
    corrupted = rounded((faces - mean) * corruption.contrast[part, None, None] + mean)
    blur, noise, quality = (values[part] for values in (corruption.blur, corruption.noise, corruption.quality))
    for index in np.flatnonzero(blur):
        corrupted[index] = blurred(corrupted[index], float(blur[index]))
    noisy = np.flatnonzero(noise)
    random = np.random.default_rng([corruption.seed, part.start])
    drawn = random.standard_normal((len(noisy), SIDE, SIDE), np.float32)
    corrupted[noisy] = rounded(corrupted[noisy] + noise[noisy, None, None] * drawn)
    for index in np.flatnonzero(quality):
        corrupted[index] = compressed(corrupted[index], int(quality[index]))
    return corrupted
