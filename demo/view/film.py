"""A film while it is read: how far, how fast, and what each person has shown so far."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from markupsafe import Markup

from demo.view.html import part
from demo.view.words import Language
from inference.video.moments import Moment

MOST_LANES = 6  # Persons, those seen first.
MOST_SPANS = 120  # Of a person; then the oldest go.
WIDTH, HEIGHT = 600, 14
APART = 1.0  # Seconds without a person, after which another span begins.


@dataclass
class Span:
    """A time, in seconds, in which a person showed one emotion."""

    label: str
    begin: float
    end: float


@dataclass
class FilmShown:
    """What of a film of `total` seconds (None where it does not say) has been read."""

    total: float | None
    seconds: float = 0.0
    lanes: dict[int, list[Span]] = field(default_factory=dict)
    _began: float = field(default_factory=time.monotonic)

    def add(self, moment: Moment) -> None:
        """Take a moment."""
        self.seconds = moment.seconds
        for face in moment.faces:
            if face.label is None:  # A gap: nothing is sure enough to be shown.
                continue
            if face.track not in self.lanes and len(self.lanes) == MOST_LANES:
                continue
            spans = self.lanes.setdefault(face.track, [])
            if spans and moment.seconds - spans[-1].end <= APART:
                spans[-1].end = moment.seconds
            if not spans or spans[-1].label != face.label or spans[-1].end != moment.seconds:
                spans.append(Span(face.label, moment.seconds, moment.seconds))
                del spans[:-MOST_SPANS]

    @property
    def speed(self) -> float:
        """How many seconds of film are read in a second."""
        taken = time.monotonic() - self._began
        return self.seconds / taken if taken > 0 else 0.0

    def progress(self, lang: Language) -> Markup:
        """Return how far it is, in words, as a bar, and as a lane for each person."""
        lanes = [(track, list(self._bars(spans))) for track, spans in sorted(self.lanes.items())]
        labels = list(dict.fromkeys(span.label for spans in self.lanes.values() for span in spans))
        return part("reading", lang=lang, film=self, lanes=lanes, labels=labels, size=(WIDTH, HEIGHT))

    def _bars(self, spans: list[Span]) -> Iterator[tuple[str, float, float]]:
        """Yield the label, the left end and the width of each span, in a lane's units."""
        end = max(self.total or 0.0, self.seconds, 1e-9)
        for span in spans:
            yield span.label, WIDTH * span.begin / end, max(1.0, WIDTH * (span.end - span.begin) / end)
