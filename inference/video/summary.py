"""What a timeline comes to: for each person how long they were seen, what they showed, and when that changed.

It is read off the timeline's rows as a stream, so that hours of film take no more memory than their persons do.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import ClassVar

from data.documents import Count, Number, Seconds, Share, strict
from data.faceset import LABELS
from inference.video.sources import Kind
from inference.video.timeline import TimelineFace, TimelineMoment
from inference.video.tracking import SMOOTHING

VERSION = 1
SUMMARY_FILE = "summary.json"
REMEDY = "watch the film anew, into another folder"


@dataclass(frozen=True, kw_only=True)
class EmotionChange:
    """When a person began to show something else: seconds, what before, what from then on, and how sure that is."""

    seconds: float
    before: str
    label: str
    confidence: Share


@dataclass(frozen=True, kw_only=True)
class TrackSummary:
    """A person.

    Attributes:
        track: the number in the timeline.
        first: seconds of the first moment with this face.
        last: seconds of the last one.
        seconds_seen: how long the face was found; each moment stands for the time until the next one.
        moments: in how many it was found.
        shares: the share of that time in which each emotion was the most probable one, smoothed.
        unsure: the share in which none had the least confidence that was asked for.
        changes: when the emotion changed, from the last sure moment to the next one.
    """

    track: Number
    first: float
    last: float
    seconds_seen: Seconds
    moments: Number
    shares: dict[str, Share]
    unsure: Share
    changes: tuple[EmotionChange, ...]


@dataclass(frozen=True, kw_only=True)
class WatchSummary:
    """A film, a stream or a camera as far as it was watched.

    Attributes:
        timeline: the version of this document.
        source: what was watched, without folders and passwords.
        kind: which of the three it is.
        finished: whether it was read to its end, or to `limit`; one that was stopped can be gone on with.
        trouble: what could not be read, in one sentence, or null.
        limit: seconds after which to stop, or null.
        width: of the frames as they are shown, in pixels.
        height: the same.
        rate: frames a second as the film says, or null.
        model: the artifact's name.
        digest: the artifact's.
        finder: `haar`, or the sha256 of the YuNet file.
        faces: how faces were come by.
        every: seconds between two moments, 0 for every frame.
        min_confidence: below it the model is unsure, 0 for never.
        smoothing: seconds in which an old moment's weight falls to 1/e.
        seconds: of the last moment.
        moments: how many frames were looked at.
        moments_without_face: in how many of them nobody was found.
        tracks: the persons, by number.
    """

    __pydantic_config__: ClassVar = strict(timeline=VERSION)

    timeline: int
    source: str
    kind: Kind
    finished: bool
    trouble: str | None
    limit: Seconds | None
    width: Count
    height: Count
    rate: Seconds | None
    model: str
    digest: str
    finder: str
    faces: str
    every: Seconds
    min_confidence: Share
    smoothing: Seconds = SMOOTHING
    seconds: float
    moments: Count
    moments_without_face: Count
    tracks: tuple[TrackSummary, ...]


@dataclass
class _Seen:
    """What is added up of a person."""

    first: float
    last: float = 0.0
    moments: int = 0
    label: str | None = None
    lengths: dict[str | None, float] = field(default_factory=lambda: defaultdict(float))
    changes: list[EmotionChange] = field(default_factory=list)

    def add(self, face: TimelineFace, at: float, length: float) -> None:
        """Take a moment of this person, which stands for `length` seconds."""
        self.last, self.moments, label = at, self.moments + 1, face.label
        self.lengths[label] += length
        if label is None:
            return
        if self.label is not None and label != self.label:
            confidence = min(1.0, face.confidence)
            self.changes.append(
                EmotionChange(seconds=at, before=self.label, label=label, confidence=round(confidence, 6))
            )
        self.label = label

    def summary(self, track: int) -> TrackSummary:
        """Return what it came to."""
        total = sum(self.lengths.values())
        # Whoever was seen in one moment alone has no time, but showed something.
        parts = self.lengths if total else {self.label: 1.0}
        shares = {label: parts.get(label, 0.0) / (total or 1.0) for label in (*LABELS, None)}
        return TrackSummary(
            track=track,
            first=self.first,
            last=self.last,
            seconds_seen=round(total, 6),
            moments=self.moments,
            shares={label: round(shares[label], 6) for label in LABELS},
            unsure=round(shares[None], 6),
            changes=tuple(self.changes),
        )


@dataclass
class Totals:
    """What all moments come to."""

    seconds: float = 0.0
    moments: int = 0
    without_face: int = 0
    _tracks: dict[int, _Seen] = field(default_factory=dict)

    @property
    def tracks(self) -> tuple[TrackSummary, ...]:
        """The persons, by number."""
        return tuple(self._tracks[number].summary(number) for number in sorted(self._tracks))

    def add(self, moment: TimelineMoment, length: float) -> None:
        """Take a moment that stands for `length` seconds."""
        self.seconds, self.moments = moment.seconds, self.moments + 1
        self.without_face += not moment.faces
        for face in moment.faces:
            self._tracks.setdefault(face.track, _Seen(moment.seconds)).add(face, moment.seconds, length)


def totals(moments: Iterable[TimelineMoment]) -> Totals:
    """Add up a timeline's moments."""
    added = Totals()
    for moment, length in with_lengths(moments):
        added.add(moment, length)
    return added


def with_lengths(moments: Iterable[TimelineMoment]) -> Iterator[tuple[TimelineMoment, float]]:
    """Yield each moment with the seconds until the next one; the last one lasts as long as the one before it."""
    waiting: TimelineMoment | None = None
    length = 0.0
    for moment in moments:
        if waiting is not None:
            length = moment.seconds - waiting.seconds
            yield waiting, length
        waiting = moment
    if waiting is not None:
        yield waiting, length
