"""The parts that the comparison page is put together from."""

from collections.abc import Sequence
from html import escape

from inference.comparison.charts import series
from inference.comparison.document import Row


def card(title: str, hint: str, body: str, kind: str = "") -> str:
    """A card with its heading and what to know before reading it."""
    return f"<section class='card {kind}'><h2>{escape(title)}</h2><p class='hint'>{escape(hint)}</p>{body}</section>"


def table(label: str, head: str, body: str, kind: str) -> str:
    """A table, its head and body given as rows, that scrolls by itself where the page is too narrow for it."""
    return (
        f"<div class='wide' tabindex='0' role='region' aria-label='{escape(label)}'><table class='{kind}'>"
        f"<thead>{head}</thead><tbody>{body}</tbody></table></div>"
    )


def heads(names: Sequence[str]) -> str:
    """A row of column headings."""
    return "<tr>" + "".join(f"<th scope='col'>{escape(name)}</th>" for name in names) + "</tr>"


def swatch(attributes: str) -> str:
    """The line that stands for a contender or an emotion in charts."""
    return f"<svg class='swatch' viewBox='0 0 22 8' aria-hidden='true'><path {attributes} d='M0 4H22'/></svg>"


def who(place: int, row: Row) -> str:
    """A contender with its line and framework."""
    return f"{swatch(series(place))}{escape(row.label)} <small>{escape(row.framework)}</small>"


def legend(rows: Sequence[Row]) -> str:
    """Every contender with its line."""
    items = (f"<li data-series='{place}'>{who(place, row)}</li>" for place, row in enumerate(rows))
    return f"<ul class='legend'>{''.join(items)}</ul>"
