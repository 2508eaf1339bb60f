"""The evaluations on disk: what `ferox evaluate` and `compare` wrote, and what came with the models."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from data.errors import InputError, is_text
from demo.state.shelf import not_text
from inference.comparison.record import PAGE_FILE as COMPARISON_PAGE
from inference.comparison.summary import grouped
from inference.report.document import REPORT_FILE, Report, read_report
from inference.report.writer import PAGE_FILE

HELD = (REPORT_FILE, COMPARISON_PAGE, PAGE_FILE)


@dataclass(frozen=True)
class ShownReport:
    """One model's evaluation: its folder and its report."""

    folder: Path
    report: Report

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.name

    def picture(self, name: str) -> bytes | None:
        """Return the PNG called `name`, or None where it is missing."""
        path = self.folder / f"{name}.png"
        return path.read_bytes() if path.is_file() else None


def names(roots: Sequence[Path]) -> list[str]:
    """Return the folders of `roots` that hold a report, sorted in each root; a name that two have is the first's."""
    return list(_found(roots, REPORT_FILE))


def left_out(roots: Sequence[Path]) -> list[InputError]:
    """Return why folders with a report or a comparison are not among the names: these are no text."""
    folders = {path.parent.name for root in roots for file in HELD for path in root.glob(f"*/{file}")}
    return [not_text(name) for name in sorted(folders) if not is_text(name)]


def pages(roots: Sequence[Path]) -> list[str]:
    """Return the folders with a page of their own: comparisons first, then reports."""
    return [*_found(roots, COMPARISON_PAGE), *_found(roots, PAGE_FILE)]


def page(roots: Sequence[Path], name: str) -> str:
    """Return a page's HTML; an `InputError` where there is none of that name."""
    for file in (COMPARISON_PAGE, PAGE_FILE):
        if folder := _found(roots, file).get(name):
            return (folder / file).read_text(encoding="utf-8")
    raise _unknown(name, pages(roots))


def report(roots: Sequence[Path], name: str) -> ShownReport:
    """Read a report; an `InputError` where there is none of that name, or it cannot be used."""
    folder = _found(roots, REPORT_FILE).get(name)
    if folder is None:
        raise _unknown(name, names(roots))
    try:
        return ShownReport(folder, read_report(folder))
    except InputError as error:
        raise InputError(f"{name}: {error}") from error


def tables(reports: Sequence[ShownReport]) -> list[list[ShownReport]]:
    """Divide reports into those whose figures may stand in one table, each by falling accuracy."""
    shown = {id(each.report): each for each in reports}
    return [[shown[id(member)] for member in group] for group in grouped([each.report for each in reports])]


def _found(roots: Sequence[Path], file: str) -> dict[str, Path]:
    """Return the folders of `roots` that hold a file, by their names."""
    folders: dict[str, Path] = {}
    for root in roots:
        for path in sorted(root.glob(f"*/{file}")):
            if is_text(path.parent.name):
                folders.setdefault(path.parent.name, path.parent)
    return folders


def _unknown(name: str, known: Sequence[str]) -> InputError:
    return InputError(f"there is no report {name[:100]!r}; expected one of {', '.join(known) or 'none yet'}")
