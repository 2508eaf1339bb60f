"""The evaluations on disk: what `python -m inference evaluate` and `compare` wrote, and what came with the models."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.errors import InputError
from inference.comparison import model_name, table_key
from inference.report import PAGE_FILE, REPORT_FILE, VERSION

COMPARISON_PAGE = "compare.html"


@dataclass(frozen=True)
class Report:
    """One model's evaluation: its folder and the content of its `report.json`."""

    folder: Path
    content: Mapping[str, Any]

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


def pages(roots: Sequence[Path]) -> list[str]:
    """Return the folders with a page of their own: comparisons first, then reports."""
    return [*_found(roots, COMPARISON_PAGE), *_found(roots, PAGE_FILE)]


def page(roots: Sequence[Path], name: str) -> str:
    """Return a page's HTML; an `InputError` where there is none of that name."""
    for file in (COMPARISON_PAGE, PAGE_FILE):
        if folder := _found(roots, file).get(name):
            return (folder / file).read_text(encoding="utf-8")
    raise _unknown(name, pages(roots))


def report(roots: Sequence[Path], name: str) -> Report:
    """Read a report; an `InputError` where there is none of that name, or it is of another version."""
    folder = _found(roots, REPORT_FILE).get(name)
    if folder is None:
        raise _unknown(name, names(roots))
    content = json.loads((folder / REPORT_FILE).read_text(encoding="utf-8"))
    try:
        # Written before test-time augmentation was: whatever needs it would fail later.
        model_name(content)
    except KeyError as missing:
        raise InputError(f"{name} has no {missing}: it was written by an older version; evaluate again") from missing
    if content["report"] != VERSION:
        raise InputError(f"{name} is of report version {content['report']!r}, expected {VERSION}; evaluate again")
    return Report(folder, content)


def tables(reports: list[Report]) -> list[list[Report]]:
    """Divide reports into those whose figures may stand in one table, each by falling accuracy."""
    groups: dict[tuple[str, ...], list[Report]] = {}
    for each in reports:
        groups.setdefault(table_key(each.content), []).append(each)
    return [sorted(group, key=lambda each: -each.content["figures"]["accuracy"]) for group in groups.values()]


def _found(roots: Sequence[Path], file: str) -> dict[str, Path]:
    """Return the folders of `roots` that hold a file, by their names."""
    found: dict[str, Path] = {}
    for root in roots:
        for path in sorted(root.glob(f"*/{file}")):
            if file != REPORT_FILE or _version(path) is not None:
                found.setdefault(path.parent.name, path.parent)
    return found


def _unknown(name: str, known: Sequence[str]) -> InputError:
    return InputError(f"there is no report {name[:100]!r}; expected one of {', '.join(known) or 'none yet'}")


def _version(path: Path) -> int | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    version = content.get("report") if isinstance(content, dict) else None
    return version if isinstance(version, int) else None
