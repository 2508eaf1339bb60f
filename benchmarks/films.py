"""Draws films of which it is known who is where: persons who walk, cross, turn away and come back.

    film = DrawnFilm(persons=4, seconds=20, seed=1)
    film.write(Path("film.mp4"))
    film.truth(0.2)  # who can be seen at 0.0, 0.2, ... seconds, and where

Nobody's photograph is needed to measure tracking: faces are those of `data.drawing`, a person keeps one look.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from data.drawing.expressions import Expression, sample_expression
from data.drawing.features import Pen
from data.drawing.person import CANVAS, Look, Pose, sample_look
from data.drawing.portrait import draw_face
from data.faceset import LABELS
from demo.examples import toned
from inference.photos.faces import HaarFinder

RATE = 25
WIDTH, HEIGHT = 1280, 720
TURNS = 9  # Steps from one side to the other in which heads are drawn.
WIDEST_TURN = 0.4  # Radians.
FURTHEST = 2  # Places that a person goes at most from one time to the next.
LEAST_VISIBLE = 0.55  # The share of a face that has to be seen for the person to count as being there.
HEAD = 0.78  # A head's height and width, of the square that it is drawn in.
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Visible:
    """A person who can be seen: number from 0, and the middle and the side of the head, in pixels."""

    person: int
    x: float
    y: float
    side: float


@dataclass(frozen=True)
class Feeling:
    """What a face shows from a time on, in seconds, as a place in `LABELS`."""

    seconds: float
    label: int
    expression: Expression


@dataclass(frozen=True)
class Walk:
    """A person: looks, a path through points at times, what the face shows when, and when it is turned away."""

    look: Look
    side: int
    times: NDArray[np.float64]
    points: NDArray[np.float64]
    feelings: tuple[Feeling, ...]
    away: tuple[tuple[float, float], ...]
    sway: float
    paper: int
    turned: dict[tuple[int, int], Pixels] = field(default_factory=dict, hash=False, compare=False)

    def place(self, seconds: float) -> tuple[float, float]:
        """Return the middle at a time: from point to point, slower near each."""
        index = int(np.clip(np.searchsorted(self.times, seconds, "right") - 1, 0, len(self.times) - 2))
        share = (seconds - self.times[index]) / (self.times[index + 1] - self.times[index])
        eased = (1 - np.cos(np.pi * np.clip(share, 0, 1))) / 2
        x, y = self.points[index] + eased * (self.points[index + 1] - self.points[index])
        return float(x), float(y)

    def is_away(self, seconds: float) -> bool:
        """Whether the face cannot be seen because the head is turned round."""
        return any(begin <= seconds < end for begin, end in self.away)

    def shown(self, seconds: float) -> Pixels:
        """Return the person at a time, uint8[side, side]."""
        if self.is_away(seconds):
            return self._back()
        feeling = max(index for index, each in enumerate(self.feelings) if each.seconds <= seconds)
        turn = round((TURNS - 1) / 2 * (1 + np.sin(self.sway * seconds)))
        if (feeling, turn) not in self.turned:
            self.turned[feeling, turn] = self._drawn(self.feelings[feeling].expression, turn)
        return self.turned[feeling, turn]

    def _drawn(self, expression: Expression, turn: int) -> Pixels:
        yaw = WIDEST_TURN * (2 * turn / (TURNS - 1) - 1)
        pen = Pen(np.full((self.side, self.side), self.paper, np.uint8), _pose(self.side, yaw))
        draw_face(pen, self.look, expression)
        return pen.canvas

    def _back(self) -> Pixels:
        canvas = np.full((self.side, self.side), self.paper, np.uint8)
        middle, radius = self.side // 2, round(HEAD / 2 * self.side)
        cv2.circle(canvas, (middle, middle), radius, int(self.look.hair), cv2.FILLED, cv2.LINE_AA)
        return canvas


@dataclass(frozen=True)
class DrawnFilm:
    """A film of some persons; the same one for the same arguments.

    `gaps` is how long heads are turned round, in seconds, between two limits.
    """

    persons: int
    seconds: float
    seed: int
    gaps: tuple[float, float] = (0.3, 0.9)
    side: int = 190

    @cached_property
    def walks(self) -> tuple[Walk, ...]:
        """The persons, those in front last."""
        rng = np.random.default_rng((self.seed, self.persons))
        times = np.concatenate([[0.0], np.cumsum(rng.uniform(2.5, 4.0, int(self.seconds)))])
        orders = [np.arange(self.persons)]
        while len(orders) < len(times):
            orders.append(_exchanged(orders[-1], rng))
        return tuple(self._walk(rng, times, [order[number] for order in orders]) for number in range(self.persons))

    def _walk(self, rng: np.random.Generator, times: NDArray[np.float64], places: list[int]) -> Walk:
        """Have a person walk from place to place: all are at their places at the same times, and cross in between."""
        x = (np.array(places) + 0.5) * WIDTH / self.persons
        y = HEIGHT / 2 + np.where(np.array(places) % 2, 90, -90)
        begins = np.cumsum(rng.uniform(3.0, 9.0, int(self.seconds)))
        gaps = rng.uniform(*self.gaps, len(begins))
        changes = np.concatenate([[0.0], np.cumsum(rng.uniform(3.0, 7.0, int(self.seconds)))])
        return Walk(
            look=_findable_look(rng),
            side=round(self.side * rng.uniform(0.8, 1.1)),
            times=times,
            points=np.stack([x, y], axis=1) + rng.uniform(-20, 20, (len(times), 2)),
            feelings=tuple(_feeling(float(change), rng) for change in changes),
            away=tuple((float(begin), float(begin + gap)) for begin, gap in zip(begins, gaps, strict=True)),
            sway=rng.uniform(0.5, 1.5),
            paper=int(rng.uniform(130, 215)),
        )

    @property
    def frames(self) -> int:
        """How many frames the film has."""
        return round(self.seconds * RATE)

    def frame(self, number: int) -> Pixels:
        """Draw one frame, uint8[720, 1280, 3] in RGB."""
        canvas = np.full((HEIGHT, WIDTH), 226, np.uint8)
        for walk in self.walks:
            _paste(canvas, walk.shown(number / RATE), walk.place(number / RATE))
        return toned(canvas)

    def seen(self, seconds: float) -> list[Visible]:
        """Return who can be seen at a time; who is in front hides others."""
        places = [walk.place(seconds) for walk in self.walks]
        found = []
        for person, (walk, (x, y)) in enumerate(zip(self.walks, places, strict=True)):
            head = round(HEAD * walk.side)
            free = np.ones((head, head), bool)
            for nearer, (other_x, other_y) in zip(self.walks[person + 1 :], places[person + 1 :], strict=True):
                left, top = (round(a - nearer.side / 2 - b + head / 2) for a, b in ((other_x, x), (other_y, y)))
                right, bottom = max(0, left + nearer.side), max(0, top + nearer.side)
                free[max(0, top) : bottom, max(0, left) : right] = False
            if free.mean() >= LEAST_VISIBLE and not walk.is_away(seconds):
                found.append(Visible(person, x, y, head))
        return found

    def write(self, path: Path, rate: int = RATE, **options: str) -> None:
        """Write the film as H.264, by options of x264."""
        write_film(path, (self.frame(number) for number in range(self.frames)), rate, **options)


def _exchanged(places: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Return who is where next: anywhere up to `FURTHEST` places away, nobody's place taken twice."""
    while True:
        others = rng.permutation(len(places))
        if np.abs(others - places).max() <= FURTHEST and (others != places).any():
            return others


def _findable_look(rng: np.random.Generator) -> Look:
    """Invent a person whom a finder knows as a face: others would test the finder, not who follows what it finds."""
    while True:
        look = sample_look(rng)
        pen = Pen(np.full((2 * CANVAS, 2 * CANVAS), 226, np.uint8), _pose(2 * CANVAS, 0.0))
        draw_face(pen, look, sample_expression(LABELS.index("neutral"), rng))
        if HaarFinder().find(toned(pen.canvas)):
            return look


def _pose(side: int, yaw: float) -> Pose:
    return Pose(0.1 * yaw, yaw, 0.0, 88 * side / CANVAS, np.full(2, side / 2), np.zeros(2))


def _feeling(seconds: float, rng: np.random.Generator) -> Feeling:
    label = int(rng.integers(len(LABELS)))
    return Feeling(seconds, label, sample_expression(label, rng))


def _paste(canvas: Pixels, picture: Pixels, middle: tuple[float, float]) -> None:
    side = len(picture)
    left, top = round(middle[0] - side / 2), round(middle[1] - side / 2)
    rows, columns = slice(max(0, top), min(HEIGHT, top + side)), slice(max(0, left), min(WIDTH, left + side))
    canvas[rows, columns] = picture[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]


def write_film(path: Path, frames: Iterator[Pixels], rate: int = RATE, **options: str) -> None:
    """Write frames uint8[H, W, 3] in RGB as H.264 into a container that the path's ending says."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options={"preset": "veryfast", "crf": "23"} | options)
        stream.pix_fmt = "yuv420p"
        for number, pixels in enumerate(frames):
            if number == 0:
                stream.height, stream.width = pixels.shape[:2]
            picture = av.VideoFrame.from_ndarray(pixels, "rgb24")
            picture.pts, picture.time_base = number, Fraction(1, rate)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
