"""Figures in words, the same on pages, on cards, in tables and on terminals."""

from collections.abc import Mapping, Sequence

DASH = "–"
# On terminals, whose encoding may be ASCII.
PLAIN_DASH = "-"


def percent(share: float | None, digits: int = 0, undefined: str = DASH) -> str:
    """A share from 0 to 1 in per cent: `percent(0.5, 1)` is `50.0 %`; `undefined` where there is none."""
    return undefined if share is None else f"{100 * share:.{digits}f} %"


def or_dash(value: float | None, form: str, dash: str = DASH) -> str:
    """A figure by a format specification, a dash where it is undefined or was not measured."""
    return dash if value is None else format(value, form)


def threads(count: int | None) -> str:
    """The processor threads of one run, in words; None where onnxruntime chose, as in reports of older versions."""
    return "threads of onnxruntime's choice" if count is None else f"{count} thread{'' if count == 1 else 's'}"


def markdown_table(columns: Mapping[str, str], rows: Sequence[Sequence[str]]) -> str:
    """A table as Markdown: columns by name, each with its rule (`---` or `---:`), and the cells of each row."""
    lines = [list(columns), list(columns.values()), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)
