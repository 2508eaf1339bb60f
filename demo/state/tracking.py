"""Faces followed from frame to frame, so that a label is steady while the face is."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from inference.confidence import ALWAYS
from inference.photos.faces import FaceBox
from inference.photos.reading import Answer, FacePrediction

SMOOTHING = 0.6  # Seconds in which an old frame's weight falls to 1/e.
FORGOTTEN = 1.5  # Seconds without being found.
KEPT = 30.0  # Seconds of the strip.


@dataclass(frozen=True)
class Track(Answer):
    """One face over time: where it was last, its smoothed float32[7], its number, and when it was last found."""

    number: int
    box: FaceBox
    probabilities: NDArray[np.float32]
    seen: float
    min_confidence: float = ALWAYS


@dataclass(frozen=True)
class Moment:
    """What the first face showed most at a time, in seconds, and how sure that was; None where nobody was found."""

    time: float
    label: str | None
    share: float


@dataclass(frozen=True)
class Scene:
    """All that is remembered of one camera."""

    tracks: tuple[Track, ...] = ()
    moments: tuple[Moment, ...] = field(default=())

    def present(self, now: float) -> tuple[Track, ...]:
        """Return the faces found in the frame of time `now`."""
        return tuple(track for track in self.tracks if track.seen == now)


def follow(scene: Scene, faces: Sequence[FacePrediction], now: float) -> Scene:
    """Return the scene after a frame at `now` seconds, in which `faces` were found.

    A face is the nearest earlier one whose middle is less than its own size away; its probabilities are an
    exponential average over time, so that a slow camera is smoothed as much as a fast one.
    """
    remembered = [track for track in scene.tracks if now - track.seen < FORGOTTEN]
    followed: list[Track] = []
    for face in faces:
        least = face.min_confidence
        known = min(remembered, key=lambda track: distance(track.box, face.box), default=None)
        if known is None or distance(known.box, face.box) > max(face.box.width, face.box.height):
            followed.append(Track(_free([*remembered, *followed]), face.box, face.probabilities, now, least))
        else:
            remembered.remove(known)
            weight = np.float32(1 - math.exp(-(now - known.seen) / SMOOTHING))
            mixed = known.probabilities + weight * (face.probabilities - known.probabilities)
            followed.append(replace(known, box=face.box, probabilities=mixed, seen=now, min_confidence=least))
    tracks = tuple(sorted([*followed, *remembered], key=lambda track: track.number))
    first = next((track for track in tracks if track.seen == now), None)
    share = first.confidence if first else 0.0
    recent = tuple(moment for moment in scene.moments if now - moment.time < KEPT)
    return Scene(tracks, (*recent, Moment(now, first.guess if first else None, share)))


def distance(first: FaceBox, second: FaceBox) -> float:
    """Return how far two boxes' middles are apart, in pixels."""
    across = (first.x + first.width / 2) - (second.x + second.width / 2)
    down = (first.y + first.height / 2) - (second.y + second.height / 2)
    return math.hypot(across, down)


def _free(tracks: Sequence[Track]) -> int:
    taken = {track.number for track in tracks}
    return next(number for number in range(1, len(taken) + 2) if number not in taken)
