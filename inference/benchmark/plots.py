"""The picture of a contest: how many times as fast as the reference each contender is, with the range of the rounds."""

from collections.abc import Sequence
from math import log10
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from inference.benchmark.document import Contender, Contest
from inference.benchmark.figures import Range, ratio
from inference.report.plots import BLUE, FAINT, INK, RED, figure, styled

ROW, HEAD = 0.32, 1.5  # Inches.
# Decades that an axis shows 1, 2 and 5 of; beyond, it shows 1 alone.
FEW_DECADES = 2.0


def draw_contest(contest: Contest, path: Path) -> None:
    """Draw a contest to a PNG: a row for each contender, the fastest of the first task on top, and a column a task."""
    ranked = sorted(contest.contenders, key=lambda contender: ratio(contest, contender, 0).median)
    title = f"{contest.heading}\ntimes as fast as {contest.reference}"
    with figure(path, title, (9.6, HEAD + ROW * len(ranked))) as picture:
        columns = picture.subplots(1, len(contest.tasks), sharey=True, squeeze=False)[0]
        for place, (axes, task) in enumerate(zip(columns, contest.tasks, strict=True)):
            found = [ratio(contest, contender, place) for contender in ranked]
            _scale(axes, found)
            _draw_rows(axes, ranked, found, contest.reference)
            axes.set_title(task.name, fontsize=10.5, color=INK)


def _scale(axes: Axes, found: Sequence[Range]) -> None:
    styled(axes)
    axes.set_xscale("log")
    axes.margins(x=0.12)
    decades = log10(max(one.high for one in found) / min(one.low for one in found))
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if decades <= FEW_DECADES else (1,)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _draw_rows(axes: Axes, ranked: Sequence[Contender], found: Sequence[Range], reference: str) -> None:
    axes.axvline(1, color=FAINT, linewidth=1)
    for row, (contender, one) in enumerate(zip(ranked, found, strict=True)):
        colour = RED if contender.name == reference else BLUE
        axes.plot([one.low, one.high], [row, row], color=colour, linewidth=2.5, solid_capstyle="round")
        axes.plot(one.median, row, "o", color=colour, markersize=6)
        axes.annotate(
            f"{one.median:.3g}",
            (one.median, row),
            (0, 6),
            textcoords="offset points",
            ha="center",
            fontsize=7.5,
            color=INK,
            bbox={"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none"},
        )
    axes.set_yticks(range(len(ranked)), [contender.name for contender in ranked])
    axes.set_ylim(-0.6, len(ranked) - 0.2)
