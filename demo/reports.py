"""The evaluations on disk: what `python -m inference evaluate` and `compare` have written into one folder."""

import json
from collections.abc import Mapping
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


def names(root: Path) -> list[str]:
    """Return the folders that hold a report, sorted."""
    return sorted(path.parent.name for path in root.glob(f"*/{REPORT_FILE}") if _version(path) is not None)


def pages(root: Path) -> list[str]:
    """Return the folders with a page of their own: comparisons first, then reports."""
    compared = sorted(path.parent.name for path in root.glob(f"*/{COMPARISON_PAGE}"))
    return compared + sorted(path.parent.name for path in root.glob(f"*/{PAGE_FILE}"))


def page(root: Path, name: str) -> str:
    """Return a page's HTML; an `InputError` where there is none of that name."""
    if name in pages(root):
        for file in (COMPARISON_PAGE, PAGE_FILE):
            if (path := root / name / file).is_file():
                return path.read_text(encoding="utf-8")
    raise InputError(f"there is no report {name[:100]!r}; expected one of {', '.join(pages(root)) or 'none yet'}")


def report(root: Path, name: str) -> Report:
    """Read a report; an `InputError` where there is none of that name, or it is of another version."""
    if name not in names(root):
        raise InputError(f"there is no report {name[:100]!r}; expected one of {', '.join(names(root)) or 'none yet'}")
    path = root / name / REPORT_FILE
    content = json.loads(path.read_text(encoding="utf-8"))
    try:
        # Written before test-time augmentation was: whatever needs it would fail later.
        model_name(content)
    except KeyError as missing:
        raise InputError(f"{name} has no {missing}: it was written by an older version; evaluate again") from missing
    if content["report"] != VERSION:
        raise InputError(f"{name} is of report version {content['report']!r}, expected {VERSION}; evaluate again")
    return Report(path.parent, content)


def tables(reports: list[Report]) -> list[list[Report]]:
    """Divide reports into those whose figures may stand in one table, each by falling accuracy."""
    groups: dict[tuple[str, ...], list[Report]] = {}
    for each in reports:
        groups.setdefault(table_key(each.content), []).append(each)
    return [sorted(group, key=lambda each: -each.content["figures"]["accuracy"]) for group in groups.values()]


def _version(path: Path) -> int | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    version = content.get("report") if isinstance(content, dict) else None
    return version if isinstance(version, int) else None
