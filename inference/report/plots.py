"""The pictures of an evaluation and of a training run, in one style and one palette.

They are drawn on `Figure` objects and styled directly: pyplot and matplotlib's settings are global state,
which leaks figures in a long run and is not safe in the threads of a server.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import ArrayLike, NDArray

from data.faceset import LABELS
from data.files import whole_file
from inference.measure.abstention import Abstention
from inference.measure.calibration import Uncalibrated
from inference.measure.curves import RocCurve
from inference.measure.metrics import Summary
from inference.report.training_result import EpochFigures
from inference.text import percent

DPI = 150
INK, FAINT, GRID = "#1f2430", "#6b7280", "#e5e7eb"
# Paul Tol's "bright" scheme, which the colour-blind can tell apart: https://personal.sron.nl/~pault/
PALETTE = ("#ee6677", "#228833", "#aa3377", "#ccbb44", "#4477aa", "#66ccee", "#999999")
BLUE, RED, YELLOW = PALETTE[4], PALETTE[0], PALETTE[3]


def draw_confusion(confusion: ArrayLike, path: Path, title: str) -> None:
    """Draw int[7, 7] (truth in rows) to a PNG: share of the row, as colour and in %, and count."""
    counts = np.asarray(confusion)
    sums = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, sums, out=np.full(counts.shape, np.nan), where=sums > 0)
    truths = [f"{label}\n{total:,}" for label, total in zip(LABELS, sums[:, 0].tolist(), strict=True)]
    places = np.arange(len(LABELS))
    with figure(path, title, (6.6, 6.4)) as picture:
        axes = picture.add_subplot()
        axes.imshow(np.nan_to_num(shares), cmap="Blues", vmin=0, vmax=1)
        _label_cells(axes, counts, shares)
        axes.set_xticks(places, LABELS, fontsize=9.5)
        axes.set_yticks(places, truths, fontsize=9.5)
        axes.set_xlabel("predicted", color=INK, labelpad=8)
        axes.set_ylabel("truth, with its number of faces", color=INK, labelpad=8)
        axes.spines[:].set_visible(False)
        axes.set_xticks(places[:-1] + 0.5, minor=True)
        axes.set_yticks(places[:-1] + 0.5, minor=True)
        axes.tick_params(which="both", length=0, labelcolor=INK)
        axes.grid(which="minor", color="white", linewidth=1.5)


def draw_roc(summary: Summary, path: Path, title: str) -> None:
    """Draw the one-vs-rest curves with their areas, the micro and the macro curve to a PNG."""
    with figure(path, title, (6.6, 6.4)) as picture:
        axes = styled(picture.add_subplot())
        axes.plot([0, 1], [0, 1], color=FAINT, linewidth=0.8)
        for curve, colour in zip(summary.roc, PALETTE, strict=True):
            _draw_curve(axes, curve, color=colour, linewidth=1.6)
        _draw_curve(axes, summary.micro_roc, color=INK, linewidth=1.8, linestyle=":")
        _draw_curve(axes, summary.macro_roc, color=INK, linewidth=1.8, linestyle="--")
        axes.set(xlabel="false positive rate", ylabel="true positive rate", xlim=(-0.01, 1), ylim=(0, 1.01))
        axes.set_aspect("equal")
        _legend(axes, "lower right", "area under the curve")


def draw_reliability(summary: Summary, path: Path, title: str, before: Uncalibrated | None = None) -> None:
    """Draw how often the model was right against how sure it was, and how often it was how sure, to a PNG.

    `before` is the same at temperature 1, which is drawn beside it as a line.
    """
    filled = [b for b in summary.calibration if b.faces]
    centres = [(b.lower + b.upper) / 2 for b in filled]
    confidences, accuracies = [b.confidence or 0 for b in filled], [b.accuracy or 0 for b in filled]
    width = 0.94 / len(summary.calibration)
    with figure(path, title, (6.6, 6.4)) as picture:
        upper, lower = (styled(axes) for axes in picture.subplots(2, 1, sharex=True, height_ratios=(3, 1)))
        upper.bar(centres, accuracies, width, color=BLUE, label="accuracy of a bin")
        upper.plot([0, 1], [0, 1], color=RED, linewidth=1.6, linestyle="--", label="perfectly calibrated")
        upper.plot(confidences, accuracies, "o", color=INK, markersize=3.5, label="at its mean confidence")
        if before is not None:
            sure = [(b.confidence or 0, b.accuracy or 0) for b in before.calibration if b.faces]
            words = f"at temperature 1: error {before.calibration_error:.4f}"
            upper.plot(*np.transpose(sure), "s-", color=YELLOW, markersize=4, linewidth=1.2, label=words)
        upper.set(ylabel="accuracy", xlim=(0, 1), ylim=(0, 1))
        _legend(upper, "upper left", f"expected calibration error {summary.calibration_error:.4f}")
        lower.bar(centres, [b.faces / summary.faces for b in filled], width, color=FAINT)
        lower.set(xlabel="confidence: the probability of the prediction", ylabel="share of faces")
        lower.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))


def draw_abstention(abstention: Abstention, path: Path, title: str) -> None:
    """Draw, against the least confidence, the share of faces that is answered and how often answers are right."""
    steps = [step for step in abstention.steps if step.accuracy is not None and step.interval is not None]
    least = [step.min_confidence for step in steps]
    with figure(path, title, (6.6, 4.2)) as picture:
        axes = styled(picture.add_subplot())
        axes.plot(least, [step.accuracy or 0 for step in steps], "o-", color=BLUE, markersize=4, label="accuracy")
        low, high = np.transpose([step.interval or (0, 0) for step in steps])
        axes.fill_between(least, low, high, color=BLUE, alpha=0.18, linewidth=0)
        axes.plot(
            least, [step.coverage for step in steps], "s-", color=RED, markersize=4, label="share of faces answered"
        )
        axes.set(xlabel="least confidence (--min-confidence)", xlim=(-0.01, 1), ylim=(0, 1.01))
        axes.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
        _legend(axes, "best")


def draw_curves(history: Sequence[EpochFigures], path: Path, title: str = "Training") -> None:
    """Draw loss and accuracy by epoch to a PNG, with the first epoch of the best validation accuracy marked."""
    best = max(history, key=lambda epoch: epoch.validation_accuracy) if history else None
    with figure(path, title, (9.6, 4.2)) as picture:
        for axes, name in zip(picture.subplots(1, 2), ("loss", "accuracy"), strict=True):
            _draw_history(styled(axes), history, name)
            if best:
                reached = getattr(best, f"validation_{name}")
                value = percent(reached, 2) if name == "accuracy" else f"{reached:.4f}"
                axes.axvline(best.epoch, color=FAINT, linewidth=0.9, linestyle=":")
                axes.plot(
                    best.epoch,
                    reached,
                    "o",
                    color=INK,
                    markersize=5,
                    label=f"epoch {best.epoch}: {value}",
                )
            _legend(axes, "best" if name == "loss" else "lower right")


def _draw_history(axes: Axes, history: Sequence[EpochFigures], name: str) -> None:
    epochs = [epoch.epoch for epoch in history]
    for part, colour in (("train", BLUE), ("validation", RED)):
        values = [getattr(epoch, f"{part}_{name}") for epoch in history]
        axes.plot(epochs, values, color=colour, linewidth=1.8, marker="o", markersize=2.5, label=part)
    axes.set_xlabel("epoch")
    axes.set_title(name, fontsize=10.5, color=INK)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if len(epochs) == 1:
        axes.set_xlim(epochs[0] - 1, epochs[0] + 1)
    if name == "accuracy":
        axes.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))


def _label_cells(axes: Axes, counts: NDArray[Any], shares: NDArray[np.float64]) -> None:
    for (row, column), share in np.ndenumerate(shares):
        ink = "white" if share > 0.5 else INK
        text = "no faces" if np.isnan(share) else percent(share, 1)
        axes.text(column, row - 0.02, text, ha="center", va="bottom", fontsize=9.5, color=ink)
        count = f"{counts[row, column]:,}"
        axes.text(column, row + 0.06, count, ha="center", va="top", fontsize=7.5, color=ink, alpha=0.8)


def _draw_curve(axes: Axes, curve: RocCurve, **line: Any) -> None:
    if curve.auc is None:
        axes.plot([], [], label=f"{curve.name}: undefined", **line)
    else:
        axes.plot(*np.transpose(curve.points), label=f"{curve.name} {curve.auc:.3f}", **line)


def _legend(axes: Axes, location: Literal["best", "upper left", "lower right"], title: str | None = None) -> None:
    if axes.get_legend_handles_labels()[0]:
        legend = axes.legend(loc=location, title=title, fontsize=8.5, title_fontsize=9, alignment="left")
        legend.get_frame().set(edgecolor="none", facecolor="white", alpha=0.85)


def styled(axes: Axes) -> Axes:
    """Give axes the look that all pictures have."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.tick_params(color=FAINT, labelcolor=INK, labelsize=9)
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    for axis in (axes.xaxis, axes.yaxis):
        axis.label.set(color=INK, fontsize=9.5)
    return axes


@contextmanager
def figure(path: Path, title: str, inches: tuple[float, float]) -> Iterator[Figure]:
    """Yield a figure with a title; it becomes a PNG at `path` only if the block succeeds."""
    with whole_file(path) as file:
        picture = Figure(figsize=inches, dpi=DPI, layout="constrained")
        picture.set_layout_engine("constrained", w_pad=0.12, h_pad=0.12)
        picture.suptitle(title, fontsize=11.5, fontweight="bold", color=INK)
        yield picture
        # `savefig` would draw twice, the first time for the layout alone, which drawing sees to anyway.
        FigureCanvasAgg(picture).print_png(file)  # type: ignore[no-untyped-call]
