"""What a reading has reached, as a document beside its rows: whatever ends the process, the next one goes on there."""

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np

from data.documents import STRICT, Count, Number, Share
from inference.photos.faces import FaceBox
from inference.video.frames import Position
from inference.video.motion import Motion
from inference.video.tracking import Scene, Track

STATE_FILE = "state.json"
REMEDY = "remove the folder, and watch the film anew"


@dataclass(frozen=True, kw_only=True)
class TrackState:
    """A `Track` as a document holds it; JSON brings every float32 back as it was."""

    number: Number
    box: FaceBox
    seen: float
    raw: tuple[float, ...]
    probabilities: tuple[float, ...]
    look: tuple[float, ...]
    motion: Motion
    min_confidence: Share


@dataclass(frozen=True, kw_only=True)
class Reached:
    """Where a reading is.

    Attributes:
        position: of the last moment whose rows are kept.
        moments: how many there are so far.
        bytes: of the rows' file that are theirs; what is behind was written by a process that was killed.
        numbers: how many numbers were given to persons.
        tracks: the persons seen within the last seconds.
    """

    __pydantic_config__: ClassVar = STRICT

    position: Position
    moments: Count
    bytes: Count
    numbers: Count
    tracks: tuple[TrackState, ...]

    @property
    def scene(self) -> Scene:
        """What is remembered of persons."""
        return Scene(tuple(map(_track, self.tracks)), self.numbers)


def reached(position: Position, moments: int, size: int, scene: Scene) -> Reached:
    """Return where a reading is, as a document."""
    tracks = tuple(map(_state, scene.tracks))
    return Reached(position=position, moments=moments, bytes=size, numbers=scene.numbers, tracks=tracks)


def as_values(state: Reached) -> dict[str, Any]:
    """Return a state as plain values that strict JSON can hold."""
    return asdict(state)


def _state(track: Track) -> TrackState:
    return TrackState(
        number=track.number,
        box=track.box,
        seen=track.seen,
        raw=tuple(track.raw.tolist()),
        probabilities=tuple(track.probabilities.tolist()),
        look=tuple(track.look.tolist()),
        motion=track.motion,
        min_confidence=track.min_confidence,
    )


def _track(state: TrackState) -> Track:
    return Track(
        number=state.number,
        box=state.box,
        seen=state.seen,
        raw=np.array(state.raw, np.float32),
        probabilities=np.array(state.probabilities, np.float32),
        look=np.array(state.look, np.float32),
        motion=state.motion,
        min_confidence=state.min_confidence,
    )
