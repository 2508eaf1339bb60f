"""Results as Markdown tables: `ferox results docs/results/*.json --into README.md`.

A table that is generated cannot disagree with what it is of: results, which join a training's record with a report
(see `training.result`), and comparisons, which add speed.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from data.documents import parse_document, top_level
from data.errors import InputError
from data.files import write_text
from data.terminal import hand_over
from inference.comparison.document import Comparison, Row
from inference.comparison.row import selected
from inference.markers import put_between
from inference.report.document import REPORT_FILE
from inference.report.published import OTHERS, is_fer2013_test, published_accuracy
from inference.report.training_result import FinishedRun, TrainingResult
from inference.text import markdown_table, or_dash, threads

NAME = "results"  # Of the markers that tables are put between.
RESULT_COLUMNS = {
    **{"model": "---", "framework": "---", "recipe": "---", "accuracy, %": "---:", "95 % interval": "---:"},
    **{"published, %": "---:", "macro F1": "---:", "selected on": "---", "trained": "---", "record": "---"},
}
SPEED_COLUMNS = {
    **{"model": "---", "framework": "---", "recipe": "---", "accuracy, %": "---:", "macro F1": "---:"},
    **{"parameters": "---:", "MB": "---:", "ms": "---:", "images/s": "---:"},
}


def main(args: argparse.Namespace) -> int:
    """Print the tables, or put them between the markers of a file.

    Args:
        args: files (list[Path]: results and comparisons' `report.json`, or a comparison's folder), into (Path or None).

    Raises:
        InputError: a file cannot be read, is of another kind or version, or `into` has no markers.
    """
    documents = [(path, read(path)) for path in args.files]
    results = [(path, content) for path, content in documents if isinstance(content, TrainingResult)]
    comparisons = [content for _, content in documents if isinstance(content, Comparison)]
    text = "\n\n".join([*result_tables(results), *map(comparison_tables, comparisons)])
    if args.into is None:
        print(text)
        return 0
    write_text(args.into, put_between(_text(args.into, "a text file"), text, NAME, args.into.name))
    hand_over(args.into)
    return 0


def read(path: Path) -> TrainingResult | Comparison:
    """Read a result or a comparison's `report.json`, given the file or the comparison's folder."""
    file = path / REPORT_FILE if path.is_dir() else path
    expected = f"a result (ferox keep-result) or a comparison's {REPORT_FILE} (ferox compare)"
    text = _text(file, expected)
    content = top_level(text)
    if content is None:
        raise InputError(f"{file} is not a JSON object; expected {expected}")
    if ("result" in content) == ("comparison" in content):
        raise InputError(f"{file} is neither; expected {expected}")
    if "result" in content:
        return parse_document(TrainingResult, text, str(file), "make it anew")
    return parse_document(Comparison, text, str(file), "make it anew")


def result_tables(results: Sequence[tuple[Path, TrainingResult]]) -> list[str]:
    """A table for each set of faces, the official protocol first and the best model first."""
    groups: dict[tuple[str, ...], list[tuple[Path, TrainingResult]]] = {}
    for path, result in results:
        groups.setdefault(result.report.table_key, []).append((path, result))
    official_first = sorted(groups.values(), key=lambda group: not _is_official(group[0][1]))
    return [_result_table(group) for group in official_first]


def comparison_tables(content: Comparison) -> str:
    """The tables of a comparison, each under the faces that it is of, and how they were timed."""
    machine = content.machine
    timed = (
        f"ms: median time of one face; images/s: in batches of 64. {machine.processor}, {threads(machine.threads)}; "
        "files and speed of what is compared here, on one machine in one run."
    )
    tables = [
        _table(f"speed: {group.heading}", SPEED_COLUMNS, [_speed_row(row) for row in group.rows])
        for group in content.tables
    ]
    return "\n\n".join([*tables, timed])


def _is_official(result: TrainingResult) -> bool:
    return result.report.evaluated_on.protocol == "official"


def _result_table(group: Sequence[tuple[Path, TrainingResult]]) -> str:
    report = group[0][1].report
    ranked = sorted(group, key=lambda entry: -entry[1].report.figures.accuracy)
    rows = [_result_row(path, result) for path, result in ranked]
    if is_fer2013_test(report.evaluated_on, "official"):
        rows += [_other_row(other.name, other.accuracy, other.remark) for other in OTHERS]
    return _table(report.heading, RESULT_COLUMNS, rows)


def _result_row(path: Path, result: TrainingResult) -> list[str]:
    report, run = result.report, result.run
    # Nothing published was trained on corrected faces.
    published = None if run.data.corrections else published_accuracy(run.settings, report.evaluated_on)
    return [
        report.label,
        report.manifest.framework,
        _recipe(run),
        f"{100 * report.figures.accuracy:.2f}",
        report.interval,
        or_dash(None if published is None else 100 * published, ".2f"),
        or_dash(report.figures.macro.f1.value, ".4f"),
        selected(report.manifest).words,
        _trained(run, len(result.epochs)),
        f"[record]({path.as_posix()})",
    ]


def _other_row(name: str, accuracy: float, remark: str) -> list[str]:
    filled = {"model": name, "accuracy, %": f"{100 * accuracy:.4g}", "selected on": remark}
    return [filled.get(column, "–") for column in RESULT_COLUMNS]


def _recipe(run: FinishedRun) -> str:
    """The recipe, with what tells several of one recipe apart."""
    balance = "" if run.setting("balance") == "none" else f", {run.setting('balance')}"
    distilled = ", distilled" if run.settings.get("teachers") else ""
    begun = {"none": "", "imagenet": ", from ImageNet"}.get(run.setting("weights"), ", fine-tuned")
    sources = sorted({record.source for record in run.inherited})
    before = f", learned from {', '.join(sources)} before" if sources else ""
    return f"{run.setting('recipe')}, {run.setting('optimizer')}{balance}{begun}{distilled}{before}"


def _trained(run: FinishedRun, count: int) -> str:
    where = run.machine.device if "NVIDIA" in run.machine.device else threads(run.machine.threads)
    if any(move.machine != run.machine for move in run.moves):
        where += ", then another machine"
    return f"{run.seconds:,.0f} s, {where}, {run.setting('precision')}, epoch {run.best.epoch} of {count}"


def _speed_row(row: Row) -> list[str]:
    return [
        row.label,
        row.framework,
        row.recipe,
        f"{100 * row.figures.accuracy:.2f}",
        or_dash(row.figures.macro.f1.value, ".4f"),
        f"{row.parameters:,}",
        f"{row.bytes / 1e6:.2f}",
        or_dash(row.latency.p50 if row.latency else None, ".3g"),
        or_dash(row.throughput.images_per_second if row.throughput else None, ",.0f"),
    ]


def _table(heading: str, columns: Mapping[str, str], rows: Sequence[Sequence[str]]) -> str:
    return f"**{heading[0].upper()}{heading[1:]}**\n\n{markdown_table(columns, rows)}"


def _text(path: Path, expected: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read ({error}); expected {expected}") from error
