"""Faces followed from moment to moment: a person keeps one number, and a label is steady while the face is.

Tracking by detection, as in SORT (https://arxiv.org/abs/1602.00763): each track foretells where its face is, and faces
are given to tracks so that all together fit best (Hungarian method). As in DeepSORT (https://arxiv.org/abs/1703.07402)
looks count beside motion, here the crop itself made small, so that those whose paths cross keep their numbers, and who
was away for some seconds is known again.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from inference.confidence import ALWAYS
from inference.photos.faces import FaceBox
from inference.photos.reading import Answer, FacePrediction
from inference.video.motion import Motion, begun, middle, size

SMOOTHING = 0.6  # Seconds in which an old moment's weight falls to 1/e.
LOST = 1.5  # Seconds without being found, after which a face is known by its looks alone, and its answers begin anew.
FORGOTTEN = 5.0  # Seconds after which it is somebody new.
BLUR = np.array([0.25, 0.5, 0.25], np.float32)
TONES = 32  # Levels of grey that a look tells apart.
LOOK_RATE = 0.2  # The weight of a moment's look in what is remembered of looks.
# Costs of giving a face to a track: squared distances in standard deviations, as of independent Gaussians.
FURTHEST = 16.0  # Beyond it a face is not where its track foretold.
SIZES_APART = 0.2  # The standard deviation of the logarithm of sizes.
LARGEST_RATIO = 0.7  # Beyond this logarithm sizes are not one face's.
UNLIKE = 0.015  # What a face's looks usually lack of being alike: 0.02 in the middle of 60,000 pairs of drawn faces.
MOST_UNLIKE = 15.0  # A lamp changes looks, too: they never cost more.
KNOWN_AGAIN = 0.93  # From this likeness on a face is one that was lost.
RETURNING = 8.0  # What it costs that somebody is back from anywhere.
MOST_COST = 24.0  # Rather than that, somebody new has come.
IMPOSSIBLE = 1e6


@dataclass(frozen=True, kw_only=True)
class Track(Answer):
    """A person over time.

    Attributes:
        number: from 1 in the order of appearance, never given again.
        box: where the face was found last.
        seen: when, in seconds.
        raw: the model's answer then, float32[7].
        probabilities: smoothed over time, float32[7].
        look: what its crops look like, float32[32], see `look_of`.
        motion: how it moves.
        min_confidence: that of the answer of that moment.
    """

    number: int
    box: FaceBox
    seen: float
    raw: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    look: NDArray[np.float32]
    motion: Motion
    min_confidence: float = ALWAYS


@dataclass(frozen=True)
class Scene:
    """All that is remembered: those seen within the last seconds by their numbers, and how many numbers were given."""

    tracks: tuple[Track, ...] = ()
    numbers: int = 0

    def present(self, now: float) -> tuple[Track, ...]:
        """Return those found at the moment of time `now`."""
        return tuple(track for track in self.tracks if track.seen == now)


def follow(scene: Scene, faces: Sequence[FacePrediction], now: float) -> Scene:
    """Return the scene after a moment at `now` seconds, in which `faces` were found.

    Probabilities are an exponential average over time, so that a slow camera is smoothed as much as a fast one.
    """
    remembered = [track for track in scene.tracks if now - track.seen <= FORGOTTEN]
    looks = [look_of(face.crop) for face in faces]
    known = _assigned(remembered, _costs(remembered, faces, looks, now))
    numbers, followed = scene.numbers, {}
    for index, face in enumerate(faces):
        if index in known:
            followed[known[index].number] = _seen(known[index], face, looks[index], now)
        else:
            numbers += 1
            followed[numbers] = _new(numbers, face, looks[index], now)
    gone = [track for track in remembered if track.number not in followed]
    tracks = sorted([*followed.values(), *gone], key=lambda track: track.number)
    return Scene(tuple(tracks), numbers)


def look_of(crop: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return what a crop, uint8[48, 48], looks like: how much of it has each tone, as float32[32] of length 1.

    Roots of shares, so that the product of two looks is their Bhattacharyya coefficient. Tones tell two persons of one
    scene apart better than the crops themselves made small, which change with expressions and turned heads.
    """
    counts = np.bincount((crop >> 3).ravel(), minlength=TONES).astype(np.float32)
    blurred = np.convolve(counts, BLUR, "same")
    return np.asarray(np.sqrt(blurred / blurred.sum()), np.float32)


def _costs(
    tracks: Sequence[Track], faces: Sequence[FacePrediction], looks: Sequence[NDArray[np.float32]], now: float
) -> NDArray[np.float64]:
    """Return what it costs to give each face to each track, float64[tracks, faces]."""
    costs = np.full((len(tracks), len(faces)), IMPOSSIBLE)
    for row, track in enumerate(tracks):
        away = now - track.seen
        expected = track.motion.after(away, size(track.box))
        for column, (face, look) in enumerate(zip(faces, looks, strict=True)):
            likeness = alike(track.look, look)
            unlike = min(MOST_UNLIKE, (1 - likeness) / UNLIKE)
            if away <= LOST:
                costs[row, column] = unlike + _displaced(track, expected, face.box)
            elif likeness >= KNOWN_AGAIN:
                costs[row, column] = unlike + RETURNING
    return costs


def alike(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """Return how alike two looks are, from 0 to 1."""
    return min(1.0, float(first @ second))


def _displaced(track: Track, expected: Motion, box: FaceBox) -> float:
    """Return what it costs that a face is not where its track foretold, or not as large."""
    x, y = middle(box)
    spread = expected.spread(box)
    apart = ((x - expected.x) ** 2 + (y - expected.y) ** 2) / spread
    ratio = math.log(size(box) / size(track.box))
    if apart > FURTHEST or abs(ratio) > LARGEST_RATIO:
        return IMPOSSIBLE
    # Who may be anywhere is less likely to be just here than who is expected here.
    return apart + 2 * math.log(spread / expected_at_least(box)) + (ratio / SIZES_APART) ** 2


def expected_at_least(box: FaceBox) -> float:
    """Return the least variance of a place, in square pixels, by which others are measured."""
    return begun(box).spread(box)


def _assigned(tracks: Sequence[Track], costs: NDArray[np.float64]) -> dict[int, Track]:
    """Return the tracks of faces by the faces' places, so that all costs together are least; none costs `MOST_COST`."""
    # A pair that costs more is as good as none: it may not push a good one aside.
    rows, columns = linear_sum_assignment(np.minimum(costs, MOST_COST))
    pairs = zip(rows.tolist(), columns.tolist(), strict=True)
    return {column: tracks[row] for row, column in pairs if costs[row, column] < MOST_COST}


def _seen(track: Track, face: FacePrediction, look: NDArray[np.float32], now: float) -> Track:
    away = now - track.seen
    weight = np.float32(1 - math.exp(-away / SMOOTHING))
    return replace(
        track,
        box=face.box,
        seen=now,
        raw=face.probabilities,
        probabilities=track.probabilities + weight * (face.probabilities - track.probabilities),
        look=_mixed(track.look, look),
        motion=begun(face.box) if away > LOST else track.motion.after(away, size(track.box)).seen(face.box),
        min_confidence=face.min_confidence,
    )


def _mixed(known: NDArray[np.float32], look: NDArray[np.float32]) -> NDArray[np.float32]:
    mixed = known + np.float32(LOOK_RATE) * (look - known)
    return np.asarray(mixed / np.linalg.norm(mixed), np.float32)


def _new(number: int, face: FacePrediction, look: NDArray[np.float32], now: float) -> Track:
    return Track(
        number=number,
        box=face.box,
        seen=now,
        raw=face.probabilities,
        probabilities=face.probabilities,
        look=look,
        motion=begun(face.box),
        min_confidence=face.min_confidence,
    )
