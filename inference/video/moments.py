"""From frames to moments: the faces of each frame are found and read, and followed from one moment to the next.

A moment's faces run through the model together and with no others, so that what is answered does not depend on how
far ahead frames were read.
"""

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data.errors import InputError
from inference.confidence import ALWAYS
from inference.engine import Engine
from inference.machine import available_cpus
from inference.photos.faces import FaceBox, FaceCrop, Finder, Policy, face_crops
from inference.photos.reading import Answer, FacePrediction, FoundFaces, predict_faces
from inference.video.frames import Frame, Position
from inference.video.sources import check_limit, checked_every, open_source
from inference.video.tracking import Scene, follow

AHEAD = 2  # Frames that wait for each thread that looks for faces.


@dataclass(frozen=True)
class WatchedFace(Answer):
    """A face of a moment.

    Attributes:
        track: the person's number, from 1 in the order of appearance.
        box: in pixels of the upright frame.
        probabilities: smoothed over time, float32[7] in the order of `LABELS`; label and confidence are theirs.
        raw: the model's answer to this frame alone, float32[7].
        crop: what the model saw, uint8[48, 48].
    """

    track: int
    box: FaceBox
    probabilities: NDArray[np.float32]
    raw: NDArray[np.float32]
    crop: NDArray[np.uint8]
    min_confidence: float = ALWAYS


@dataclass(frozen=True)
class Moment:
    """A frame that was looked at.

    Attributes:
        seconds: from the film's beginning.
        frame: the frame's number, from 0, in the order in which frames are shown.
        faces: in the order of their persons' numbers; none where nobody was found.
        pixels: the frame, upright, uint8[H, W, 3] in RGB.
    """

    seconds: float
    frame: int
    faces: tuple[WatchedFace, ...]
    pixels: NDArray[np.uint8]


@dataclass(frozen=True)
class Step:
    """A moment with what is needed to go on behind it: where it is in its film, and the scene after it."""

    moment: Moment
    position: Position
    scene: Scene


@dataclass
class Limited:
    """Frames up to some seconds, None for all; `is_reached` says whether there were more."""

    frames: Iterator[Frame]
    limit: float | None
    is_reached: bool = False

    def __iter__(self) -> Iterator[Frame]:
        for frame in self.frames:
            if self.limit is not None and frame.position.seconds >= self.limit:
                self.is_reached = True
                return
            yield frame


def watch(
    named: str | int | Path,
    engine: Engine,
    finder: Finder,
    every: float | str,
    limit: float | None,
    policy: Policy,
    min_confidence: float = ALWAYS,
) -> Iterator[Moment]:
    """Open a film, a camera or a stream and yield its moments, see `ferox.Reader.watch`.

    Raises:
        InputError: it cannot be opened; or, after its last moment, it could not be read to its end.
    """
    source, seconds = open_source(named), checked_every(every)
    check_limit(limit)

    def moments() -> Iterator[Moment]:
        frames = Limited(source.frames(seconds), limit)
        for step in watched(frames, engine, finder, policy, min_confidence=min_confidence):
            yield step.moment
        if not frames.is_reached and (trouble := source.trouble()) is not None:
            raise InputError(trouble)

    return moments()


def watched(
    frames: Iterable[Frame],
    engine: Engine,
    finder: Finder,
    policy: Policy = "auto",
    scene: Scene | None = None,
    min_confidence: float = ALWAYS,
) -> Generator[Step]:
    """Yield a step for each frame, in their order; the next frames are searched meanwhile, a few at most.

    Args:
        frames: what to look at.
        engine: the model.
        finder: what finds the faces.
        policy: how faces are come by, see `inference.photos.faces.face_crops`.
        scene: what is remembered from before the first frame.
        min_confidence: below it a smoothed answer has no label.
    """
    scene = scene or Scene()
    threads = available_cpus()
    with ThreadPoolExecutor(threads, thread_name_prefix="faces") as pool:
        waiting: deque[tuple[Frame, Future[tuple[FaceCrop, ...]]]] = deque()
        try:
            for frame in frames:
                waiting.append((frame, pool.submit(face_crops, frame.pixels, finder, policy)))
                if len(waiting) > AHEAD * threads:
                    step = _step(engine, scene, *waiting.popleft(), min_confidence)
                    scene = step.scene
                    yield step
            while waiting:
                step = _step(engine, scene, *waiting.popleft(), min_confidence)
                scene = step.scene
                yield step
        finally:
            # Who leaves early waits for the searches that run, and not for those in line.
            pool.shutdown(wait=False, cancel_futures=True)


def _step(
    engine: Engine, scene: Scene, frame: Frame, search: "Future[tuple[FaceCrop, ...]]", min_confidence: float
) -> Step:
    (prediction,) = predict_faces(engine, [FoundFaces("frame", crops=search.result())], min_confidence)
    position = frame.position
    scene = follow(scene, prediction.faces, position.seconds)
    faces = watched_faces(scene, prediction.faces, position.seconds)
    return Step(Moment(position.seconds, position.number, faces, frame.pixels), position, scene)


def watched_faces(scene: Scene, found: Iterable[FacePrediction], now: float) -> tuple[WatchedFace, ...]:
    """Return the faces that were found at the moment of time `now`, after which `scene` is what is remembered."""
    crops = {face.box: face.crop for face in found}
    return tuple(
        WatchedFace(track.number, track.box, track.probabilities, track.raw, crops[track.box], track.min_confidence)
        for track in scene.present(now)
        # The frame before may have been of the same time, in which what is not here was found.
        if track.box in crops
    )
