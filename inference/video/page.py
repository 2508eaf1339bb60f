"""The timeline as one page that stands alone: a chart for each person, and the frame of whatever time is clicked.

It opens from a disk, without a network. However long the film, it holds at most `MOST_CHARTED` charts of at most
`MOST_POINTS` points, and the small pictures of `inference.video.thumbnails`.
"""

import base64
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data.faceset import LABELS
from inference.confidence import UNSURE
from inference.html import fill
from inference.report.page import TEMPLATES as REPORT_TEMPLATES
from inference.report.plots import PALETTE
from inference.video.summary import EmotionChange, TrackSummary, WatchSummary
from inference.video.timeline import TimelineFace, TimelineMoment, timeline_moments

TEMPLATES = (Path(__file__).with_name("templates"), REPORT_TEMPLATES)
COLOURS = dict(zip(LABELS, PALETTE, strict=True))
MOST_CHARTED = 12  # Persons, those seen longest.
MOST_POINTS = 400  # Of a chart.
MOST_CHANGES = 40  # Told of a person.
WIDTH, HEIGHT = 1000, 100  # Units of a chart.
GAP = 2.5  # Points so many times as far apart as usual have nothing between them.
MOST_TICKS = 7
TICKS = (0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 28_800)

Point = tuple[float, NDArray[np.float64]]


@dataclass(frozen=True)
class Still:
    """A frame to show: its time in seconds, its JPEG as an address, and who shows what in it, in percent."""

    seconds: float
    picture: str
    faces: list[tuple[int, str, int]]


@dataclass(frozen=True)
class Chart:
    """A person's chart: an SVG path for each emotion, the first at the bottom, and what is told beside it."""

    track: TrackSummary
    areas: list[tuple[str, str]]
    ranking: list[tuple[str, float]]
    changes: Sequence[EmotionChange]


@dataclass
class Thinned:
    """Means of probabilities over equal pieces of time, so that a chart has a bounded number of points."""

    length: float
    _sums: dict[int, tuple[int, float, NDArray[np.float64]]] = field(default_factory=dict)

    def add(self, seconds: float, probabilities: NDArray[np.float32]) -> None:
        """Take a moment."""
        place = int(seconds / self.length)
        count, times, sums = self._sums.get(place, (0, 0.0, np.zeros(len(LABELS))))
        self._sums[place] = (count + 1, times + seconds, sums + probabilities)

    def points(self) -> list[Point]:
        """Return the mean time and the mean probabilities of each piece of time in which there are any."""
        return [(times / count, sums / count) for count, times, sums in (self._sums[key] for key in sorted(self._sums))]


def render_timeline(summary: WatchSummary, timeline: Path, pictures: Mapping[int, Path]) -> str:
    """Fill the page.

    Args:
        summary: what the timeline comes to.
        timeline: its rows.
        pictures: small pictures by their moments' places among all, from 0.
    """
    longest = sorted(summary.tracks, key=lambda track: (-track.seconds_seen, track.track))[:MOST_CHARTED]
    charted = sorted(longest, key=lambda track: track.track)
    end = summary.seconds or 1.0
    step = end / max(1, summary.moments - 1)
    length = max(step, end / MOST_POINTS)
    stills, points = _collected(timeline_moments(timeline), {track.track for track in charted}, length, pictures)
    return fill(
        TEMPLATES,
        "timeline.html",
        summary=summary,
        charts=[_chart(track, points[track.track].points(), end, length) for track in charted],
        stills=stills,
        end=end,
        ticks=list(_ticks(end)),
        colours=COLOURS,
        clock=clock,
        chips=_chips(summary),
        notes=list(_notes(summary, len(charted), step < length)),
        every=-(-summary.moments // max(1, len(stills))),
        size=(WIDTH, HEIGHT),
        most_changes=MOST_CHANGES,
    )


def clock(seconds: float, digits: int = 0) -> str:
    """Return a time of a film as people read it: `1:05` or `1:02:03`, with decimals where they are asked for."""
    scaled = round(seconds * 10**digits)
    whole, rest = divmod(scaled, 10**digits)
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    shown = f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"
    return f"{shown}.{rest:0{digits}d}" if digits else shown


def _collected(
    moments: Iterator[TimelineMoment], charted: set[int], length: float, pictures: Mapping[int, Path]
) -> tuple[list[Still], dict[int, Thinned]]:
    """Return the frames to show, and the points of charts, in one reading of the timeline."""
    stills = []
    points: dict[int, Thinned] = defaultdict(lambda: Thinned(length))
    for place, moment in enumerate(moments):
        for face in moment.faces:
            if face.track in charted:
                points[face.track].add(moment.seconds, face.probabilities)
        if place in pictures:
            picture = base64.b64encode(pictures[place].read_bytes()).decode()
            stills.append(Still(moment.seconds, f"data:image/jpeg;base64,{picture}", list(map(_told, moment.faces))))
    return stills, points


def _told(face: TimelineFace) -> tuple[int, str, int]:
    return face.track, face.label or UNSURE, round(100 * face.confidence)


def _chart(track: TrackSummary, points: Sequence[Point], end: float, length: float) -> Chart:
    pieces = _pieces(points, GAP * length)
    areas = [
        (label, "".join(_area(piece, place, end, length) for piece in pieces)) for place, label in enumerate(LABELS)
    ]
    ranking = sorted(track.shares.items(), key=lambda item: -item[1])
    return Chart(track, areas, [(label, share) for label, share in ranking if share > 0], track.changes[:MOST_CHANGES])


def _pieces(points: Sequence[Point], gap: float) -> list[list[Point]]:
    """Return the points in pieces between which the person was not seen."""
    pieces: list[list[Point]] = []
    for point in points:
        if not pieces or point[0] - pieces[-1][-1][0] > gap:
            pieces.append([])
        pieces[-1].append(point)
    return pieces


def _area(piece: Sequence[Point], place: int, end: float, length: float) -> str:
    """Return the area of an emotion, stacked on those before it, as a piece of an SVG path."""
    times = [seconds for seconds, _ in piece]
    if len(piece) == 1:  # Somebody seen once is seen on the chart, too.
        times, piece = [times[0] - length / 3, times[0] + length / 3], [piece[0], piece[0]]
    across = [f"{WIDTH * seconds / end:.1f}" for seconds in times]
    stacked = [np.concatenate([[0.0], np.cumsum(shares)]) for _, shares in piece]
    upper = [f"{x},{HEIGHT * (1 - top[place + 1]):.1f}" for x, top in zip(across, stacked, strict=True)]
    lower = [f"{x},{HEIGHT * (1 - low[place]):.1f}" for x, low in zip(across, stacked, strict=True)]
    return f"M{' '.join(upper)} {' '.join(reversed(lower))}Z"


def _ticks(end: float) -> Iterator[tuple[str, float]]:
    """Yield times to write below the charts, and where they are, from 0 to 1."""
    step = next((step for step in TICKS if end / step <= MOST_TICKS), end)
    for count in range(int(end / step) + 1):
        yield clock(count * step, 1 if step < 1 else 0), count * step / end


def _chips(summary: WatchSummary) -> list[str]:
    size = f"{summary.width} x {summary.height}"
    often = "every frame" if summary.every == 0 else f"every {summary.every:g} s"
    finder = "Haar cascade" if summary.finder == "haar" else "YuNet"
    least = [f"{UNSURE} below {summary.min_confidence:g}"] if summary.min_confidence else []
    return [summary.model, size, f"{summary.moments:,} moments, {often}", finder, *least]


def _notes(summary: WatchSummary, charted: int, is_thinned: bool) -> Iterator[str]:
    if summary.trouble is not None:
        yield summary.trouble
    if not summary.finished:
        yield f"Stopped at {clock(summary.seconds, 1)}: this is what was read until then."
    if not summary.tracks:
        yield "No face was found."
    if len(summary.tracks) > charted:
        yield f"Of {len(summary.tracks)} persons the {charted} seen longest are shown; summary.json has all."
    if is_thinned:
        yield f"Each chart has {MOST_POINTS} points, means of the moments between them; timeline.csv has all moments."
