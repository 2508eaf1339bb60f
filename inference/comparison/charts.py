"""Charts of the comparison page as SVG: they follow the page's theme, print sharp, and need no script to be seen.

Coordinates are computed here, so it is f-strings that write them; whatever is text is escaped.

Lines and bubbles carry the classes of their series, which the page's style colours: see `series`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import floor, log10, sqrt

from markupsafe import Markup, escape

from inference.measure.curves import CalibrationBin

Point = tuple[float, float]
COLOURS = 8


@dataclass(frozen=True)
class Scale:
    """Values from `low` to `high` along an axis, with the ones that are written out."""

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    logarithmic: bool = False

    def share(self, value: float) -> float:
        """How far along the axis a value lies, 0 to 1."""
        low, high, value = (
            map(log10, (self.low, self.high, value)) if self.logarithmic else (self.low, self.high, value)
        )
        return (value - low) / (high - low)


@dataclass(frozen=True)
class Chart:
    """The plane of a chart, in units of its view box."""

    x: Scale
    y: Scale
    width: float = 440
    height: float = 360
    left: float = 50
    bottom: float = 44
    top: float = 12
    right: float = 14

    def place(self, x: float, y: float) -> Point:
        """Where a point lies in the view box."""
        across = self.left + self.x.share(x) * (self.width - self.left - self.right)
        return across, self.height - self.bottom - self.y.share(y) * (self.height - self.bottom - self.top)

    def path(self, points: Iterable[Point]) -> str:
        """A line through points, as the `d` of a path."""
        return "M" + "L".join(f"{across:.1f} {down:.1f}" for across, down in (self.place(*point) for point in points))

    def draw(self, body: str, x_label: str, y_label: str, description: str) -> Markup:
        """The whole chart with grid and axes around its body."""
        left, floor_line = self.place(self.x.low, self.y.low)
        right, ceiling = self.place(self.x.high, self.y.high)
        marks = []
        for value, text in self.x.ticks:
            across, _ = self.place(value, self.y.low)
            marks.append(f"<path class='grid' d='M{across:.1f} {floor_line:.1f}V{ceiling:.1f}'/>")
            marks.append(f"<text class='tick' x='{across:.1f}' y='{floor_line + 17:.1f}'>{text}</text>")
        for value, text in self.y.ticks:
            _, down = self.place(self.x.low, value)
            marks.append(f"<path class='grid' d='M{left:.1f} {down:.1f}H{right:.1f}'/>")
            marks.append(f"<text class='tick end' x='{left - 7:.1f}' y='{down + 4:.1f}'>{text}</text>")
        middle = (floor_line + ceiling) / 2
        return Markup(
            f"<svg class='chart' viewBox='0 0 {self.width:g} {self.height:g}' role='img' "
            f"aria-label='{escape(description)}'>"
            f"{''.join(marks)}{body}"
            f"<text class='axis' x='{(left + right) / 2:.1f}' y='{self.height - 6:g}'>{escape(x_label)}</text>"
            f"<text class='axis' transform='translate(12 {middle:.1f}) rotate(-90)'>{escape(y_label)}</text></svg>"
        )


PERCENT = Scale(0, 1, tuple((step / 4, f"{25 * step}") for step in range(5)))
SQUARE = Chart(PERCENT, PERCENT, 320, 300, left=46, bottom=40)


def series(index: int, kind: str = "line") -> Markup:
    """The attributes of what stands for the contender at `place`: a colour, a dash, and whom it belongs to."""
    return Markup(f"class='{kind} s{index % COLOURS} d{index // COLOURS % 4}' data-series='{index}'")


def class_line(label: int) -> Markup:
    """The attributes of the line that stands for a class, where the lines are not of contenders."""
    return Markup(f"class='line s{label}'")


def percent_scale(values: Sequence[float], steps: int = 5) -> Scale:
    """A scale in per cent around shares from 0 to 1, with round ends."""
    low, high = min(values), max(values)
    # Places are counted in parts of one, not in steps: 70 / 100 is 0.7, 70 * 0.01 is more.
    parts = next(count for count in (100, 50, 20, 10, 5) if (high - low) * count <= steps or count == 5)
    last = min(floor(high * parts) + 1, parts)
    first = min(floor(low * parts), last - 1)
    ticks = tuple((tick / parts, f"{100 * tick / parts:.0f}") for tick in range(first, last + 1))
    return Scale(first / parts, last / parts, ticks)


def time_scale(milliseconds: Sequence[float]) -> Scale:
    """A logarithmic scale of times, in steps of 1, 2 and 5."""
    low, high = min(milliseconds) / 1.7, max(milliseconds) * 1.7
    exponents = range(floor(log10(low)), floor(log10(high)) + 1)
    ticks = [digit * 10.0**exponent for exponent in exponents for digit in (1, 2, 5)]
    return Scale(low, high, tuple((tick, f"{tick:g}") for tick in ticks if low <= tick <= high), logarithmic=True)


def roc_path(points: Sequence[Point], identity: str) -> Markup:
    """A ROC curve to be referred to by charts, which all share its geometry."""
    return Markup(f"<path id='{identity}' d='{SQUARE.path(points)}'/>")


def roc_chart(curves: Sequence[tuple[str, str, str]], description: str) -> Markup:
    """ROC curves: the identity of each one's path, its attributes, and what it says under the pointer."""
    diagonal = f"<path class='diagonal' d='{SQUARE.path([(0, 0), (1, 1)])}'/>"
    lines = [
        f"<use href='#{identity}' {attributes}><title>{escape(title)}</title></use>"
        for identity, attributes, title in curves
    ]
    return SQUARE.draw(diagonal + "".join(lines), "false positive rate, %", "true positive rate, %", description)


def reliability_chart(bins: Sequence[CalibrationBin], faces: int, description: str) -> Markup:
    """How often a model was right by how sure it was; a bar's darkness is its share of the faces."""
    filled = [(b, b.accuracy, b.confidence) for b in bins if b.accuracy is not None and b.confidence is not None]
    most = max(b.faces for b, _, _ in filled)
    bars = []
    for b, accuracy, confidence in filled:
        (left, top), (right, floor_line) = SQUARE.place(b.lower, accuracy), SQUARE.place(b.upper, 0)
        across, down = SQUARE.place(confidence, accuracy)
        words = f"{b.faces:,} of {faces:,} faces: confidence {100 * confidence:.1f} %, accuracy {100 * accuracy:.1f} %"
        bars.append(
            f"<rect class='bar' x='{left + 0.7:.1f}' y='{top:.1f}' width='{right - left - 1.4:.1f}' "
            f"height='{floor_line - top:.1f}' fill-opacity='{0.25 + 0.75 * b.faces / most:.2f}'>"
            f"<title>{words}</title></rect><circle class='dot' cx='{across:.1f}' cy='{down:.1f}' r='2.6'/>"
        )
    diagonal = f"<path class='ideal' d='{SQUARE.path([(0, 0), (1, 1)])}'/>"
    return SQUARE.draw("".join(bars) + diagonal, "confidence, %", "accuracy, %", description)


def coverage_chart(lines: Sequence[tuple[Sequence[Point], str, str]], description: str) -> Markup:
    """Accuracy by the share of faces answered: points, attributes and words of each model."""
    accuracies = [accuracy for points, _, _ in lines for coverage, accuracy in points if coverage >= 0.02]
    chart = Chart(PERCENT, percent_scale(accuracies))
    drawn = []
    for points, attributes, title in lines:
        kept = [point for point in points if point[0] >= 0.02]
        drawn.append(f"<path {attributes} d='{chart.path(kept)}'><title>{escape(title)}</title></path>")
    return chart.draw("".join(drawn), "share of faces answered, %", "accuracy of the answers, %", description)


@dataclass(frozen=True)
class Bubble:
    """A contender in the Pareto picture: milliseconds, accuracy with its interval (0 to 1), size in bytes."""

    label: str
    place: int
    milliseconds: float
    accuracy: float
    interval: tuple[float, float]
    size: int


def pareto_front(bubbles: Sequence[Bubble]) -> list[Bubble]:
    """Those that none is both faster and at least as accurate as, the fastest first."""
    front: list[Bubble] = []
    for bubble in sorted(bubbles, key=lambda b: (b.milliseconds, -b.accuracy)):
        if not front or bubble.accuracy > front[-1].accuracy:
            front.append(bubble)
    return front


def pareto_chart(bubbles: Sequence[Bubble], description: str) -> Markup:
    """Accuracy against latency, the bubble's area being the file's size; a line joins the Pareto front."""
    bounds = [bound for bubble in bubbles for bound in bubble.interval]
    chart = Chart(time_scale([b.milliseconds for b in bubbles]), percent_scale(bounds))
    front, largest = pareto_front(bubbles), max(bubble.size for bubble in bubbles)
    places = {id(bubble): chart.place(bubble.milliseconds, bubble.accuracy) for bubble in bubbles}
    radii = {id(bubble): 4 + 15 * sqrt(bubble.size / largest) for bubble in bubbles}
    line = f"<path class='front' d='{chart.path([(b.milliseconds, b.accuracy) for b in front])}'/>" if front else ""
    drawn = [line]
    for bubble in sorted(bubbles, key=lambda b: -b.size):
        (across, down), radius = places[id(bubble)], radii[id(bubble)]
        low, high = (chart.place(bubble.milliseconds, bound)[1] for bound in bubble.interval)
        words = (
            f"{bubble.label}: {100 * bubble.accuracy:.2f} %, {bubble.milliseconds:.3g} ms, {bubble.size / 1e6:.2f} MB"
        )
        drawn.append(
            f"<g {series(bubble.place, 'bubble')}><title>{escape(words)}</title>"
            f"<path d='M{across:.1f} {low:.1f}V{high:.1f}'/>"
            f"<circle cx='{across:.1f}' cy='{down:.1f}' r='{radius:.1f}'/></g>"
        )
    order = front + [bubble for bubble in bubbles if bubble not in front]
    spots = [(*places[id(bubble)], radii[id(bubble)], bubble.label) for bubble in order]
    return chart.draw(
        "".join(drawn) + _labels(spots, chart), "median latency of one face, ms", "accuracy, %", description
    )


def _labels(spots: Sequence[tuple[float, float, float, str]], chart: Chart) -> str:
    """Names beside their bubbles, the first before the others; one that finds no room is left to the pointer."""
    taken: list[tuple[float, float, float, float]] = [(x - 4, y - 4, x + 4, y + 4) for x, y, _, _ in spots]
    drawn = []
    for x, y, radius, text in spots:
        width = 6.3 * len(text)
        options = ((x + radius + 4, y + 4), (x - radius - 4 - width, y + 4), (x - width / 2, y - radius - 5))
        for left, base in (*options, (x - width / 2, y + radius + 13)):
            box = (left, base - 10, left + width, base + 3)
            inside = (
                left >= chart.left and box[2] <= chart.width and box[1] >= 0 and base <= chart.height - chart.bottom
            )
            if inside and not any(_overlap(box, other) for other in taken):
                taken.append(box)
                drawn.append(f"<text class='name' x='{left:.1f}' y='{base:.1f}'>{escape(text)}</text>")
                break
    return "".join(drawn)


def _overlap(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
