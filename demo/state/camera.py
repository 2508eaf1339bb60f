"""What is remembered of one camera: who is before it, the last half minute, and the rows of its timeline."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.photos.reading import FacePrediction
from inference.video.moments import Moment, watched_faces
from inference.video.timeline import HEADER, moment_lines
from inference.video.tracking import Scene, follow

KEPT = 30.0  # Seconds of the strip.
MOST_MOMENTS = 20_000  # Whose rows are kept, over an hour at five a second; then the oldest go.


@dataclass(frozen=True)
class StripMoment:
    """What the first face showed at a time, in seconds; None where nobody was found."""

    time: float
    label: str | None
    share: float


@dataclass(frozen=True)
class CameraMemory:
    """All that is remembered of one camera.

    Attributes:
        scene: who is or was before it.
        strip: the last half minute.
        rows: the lines of its timeline, a text a moment; no pictures.
        frames: how many frames there were.
        began: the time of the first one.
    """

    scene: Scene = Scene()
    strip: tuple[StripMoment, ...] = ()
    rows: tuple[str, ...] = ()
    frames: int = 0
    began: float = 0.0

    def timeline(self) -> str:
        """Return the timeline as CSV, in the columns of `ferox watch`."""
        return HEADER + "".join(self.rows)


def remember(
    memory: CameraMemory, faces: Sequence[FacePrediction], pixels: NDArray[np.uint8], now: float
) -> CameraMemory:
    """Return what is remembered after a frame uint8[H, W, 3] at `now` seconds, in which `faces` were found."""
    scene = follow(memory.scene, faces, now)
    began = memory.began if memory.frames else now
    moment = Moment(now - began, memory.frames, watched_faces(scene, faces, now), pixels)
    first = moment.faces[0] if moment.faces else None
    recent = tuple(each for each in memory.strip if now - each.time < KEPT)
    latest = StripMoment(now, first.guess if first else None, first.confidence if first else 0.0)
    rows = (*memory.rows[1 - MOST_MOMENTS :], moment_lines(moment))
    return CameraMemory(scene, (*recent, latest), rows, memory.frames + 1, began)
