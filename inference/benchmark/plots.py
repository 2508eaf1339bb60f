"""The picture of a contest: how many times as fast as the reference each contender is, with the range of the rounds."""

from pathlib import Path

from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from inference.benchmark.document import Contest
from inference.benchmark.figures import ratio
from inference.report.plots import BLUE, FAINT, INK, RED, figure, styled

ROW, HEAD = 0.32, 1.5  # Inches.


def draw_contest(contest: Contest, path: Path) -> None:
    """Draw a contest to a PNG: a row for each contender, the fastest of the first task on top, and a column a task."""
    ranked = sorted(contest.contenders, key=lambda contender: ratio(contest, contender, 0).median)
    height = HEAD + ROW * len(ranked)
    with figure(path, f"{contest.heading}\ntimes as fast as {contest.reference}", (9.6, height)) as picture:
        columns = picture.subplots(1, len(contest.tasks), sharey=True, squeeze=False)[0]
        for place, (axes, task) in enumerate(zip(columns, contest.tasks, strict=True)):
            styled(axes)
            axes.set_xscale("log")
            axes.axvline(1, color=FAINT, linewidth=1)
            for row, contender in enumerate(ranked):
                found = ratio(contest, contender, place)
                colour = RED if contender.name == contest.reference else BLUE
                axes.plot([found.low, found.high], [row, row], color=colour, linewidth=2.5, solid_capstyle="round")
                axes.plot(found.median, row, "o", color=colour, markersize=6)
                axes.annotate(
                    f"{found.median:.3g}", (found.median, row), (0, 6), textcoords="offset points", ha="center",
                    fontsize=7.5, color=INK,
                )  # fmt: skip
            axes.set_yticks(range(len(ranked)), [contender.name for contender in ranked])
            axes.set_ylim(-0.6, len(ranked) - 0.2)
            axes.margins(x=0.12)
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.xaxis.set_minor_locator(NullLocator())
            axes.set_title(task.name, fontsize=10.5, color=INK)
