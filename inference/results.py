"""A comparison's table as Markdown: `python -m inference results artifacts/reports/comparison --into README.md`.

A table that is generated cannot disagree with the report that it is of.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from data.errors import InputError
from data.files import write_text
from inference.comparison_record import VERSION
from inference.markup import or_dash, selected_on, threads
from inference.report import REPORT_FILE

BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"
COLUMNS = ("model", "framework", "accuracy, %", "95 % interval", "macro F1", "parameters", "MB", "ms", "selected on")


def main(args: argparse.Namespace) -> int:
    """Print the results, or put them between the markers of a file.

    Args:
        args: report (Path: a comparison's `report.json` or the folder that holds it), into (Path or None).

    Raises:
        InputError: there is no such report, it is of another version, or the file has no markers.
    """
    text = results(read_comparison(args.report))
    if args.into is None:
        print(text)
        return 0
    write_text(args.into, put_between_markers(_read(args.into, "a text file"), text, args.into.name))
    print(args.into)
    return 0


def read_comparison(path: Path) -> dict[str, Any]:
    """The content of a comparison's `report.json`, given it or its folder."""
    file = path / REPORT_FILE if path.is_dir() else path
    remedy = "make one: python -m inference compare MODEL... --data PATH"
    try:
        content = json.loads(_read(file, f"a comparison's {REPORT_FILE}"))
    except ValueError:
        raise InputError(f"{file} is not JSON; expected a comparison's {REPORT_FILE}; {remedy}") from None
    version = content.get("comparison") if isinstance(content, dict) else None
    if version != VERSION:
        raise InputError(f"{file} is comparison version {version!r}, expected version {VERSION}; {remedy}")
    return dict(content)


def results(content: Mapping[str, Any]) -> str:
    """The tables of a comparison as Markdown, each under the faces that it is of."""
    machine = content["machine"]
    timed = f"ms: median time of one face on {machine['processor']}, {threads(machine)}."
    return "\n\n".join([*(_table(record) for record in content["tables"]), timed])


def put_between_markers(text: str, results: str, name: str) -> str:
    """Replace what stands between the markers of a text; `name` is the text's, for the message."""
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(END) < text.index(BEGIN):
        raise InputError(f"{name} does not hold {BEGIN} and then {END}, once each; write them where the table belongs")
    return f"{text[: text.index(BEGIN)]}{BEGIN}\n{results}\n{text[text.index(END) :]}"


def _table(record: Mapping[str, Any]) -> str:
    heading: str = record["heading"]
    lines = [_line(COLUMNS), _line(["---", "---", *["---:"] * 6, "---"])]
    return "\n".join([f"**{heading[0].upper()}{heading[1:]}**", "", *lines, *(_row(row) for row in record["rows"])])


def _row(row: Mapping[str, Any]) -> str:
    figures = row["figures"]
    low, high = (100 * bound for bound in figures["interval"])
    return _line(
        [
            row["label"],
            row["framework"],
            f"{100 * figures['accuracy']:.2f}",
            f"{low:.2f}–{high:.2f}",
            or_dash(figures["macro"]["f1"]["value"], ".4f"),
            f"{row['parameters']:,}",
            f"{row['bytes'] / 1e6:.2f}",
            or_dash(row["latency"] and row["latency"]["p50"], ".3g"),
            selected_on(row),
        ]
    )


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def _read(path: Path, expected: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read ({error}); expected {expected}") from error
