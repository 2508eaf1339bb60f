"""What a reader leaves out of a folder or a zip: counted and named, so that nothing vanishes without a word."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from data.errors import printable

EXAMPLES = 3
# Windows, browsers and old cameras save JPEGs under all of these.
JPEG_SUFFIXES = (".jpeg", ".jpg", ".jpe", ".jfif", ".pjpeg", ".pjp")


@dataclass(frozen=True)
class LeftOut:
    """How many files or folders were left out for one reason, and the names of the first `EXAMPLES`."""

    reason: str
    count: int
    examples: tuple[str, ...]


@dataclass
class Tally:
    """Counts what is left out while something is read."""

    found: dict[str, list[str]] = field(default_factory=dict)

    def add(self, reason: str, name: str) -> None:
        """Count one in."""
        self.found.setdefault(reason, []).append(name)

    def sorted(self) -> tuple[LeftOut, ...]:
        """Return what was counted, the most first."""
        ordered = sorted(self.found.items(), key=lambda item: (-len(item[1]), item[0]))
        return tuple(LeftOut(reason, len(names), tuple(names[:EXAMPLES])) for reason, names in ordered)


def unread(path: PurePosixPath, suffixes: Collection[str]) -> str:
    """Say why a file is not looked at where pictures end in `suffixes`; empty where it is."""
    if any(part.startswith((".", "__MACOSX")) for part in path.parts):
        return "hidden"
    if path.suffix.lower() in suffixes:
        return ""
    return f"ending in {printable(path.suffix.lower())}" if path.suffix else "without an ending"


def sentence(left_out: Sequence[LeftOut]) -> str:
    """Return all of it as a line: how many, and for each reason how many and which."""
    total = sum(left.count for left in left_out)
    return f"{total:,} left out: " + "; ".join(f"{left.count:,} {left.reason} ({_named(left)})" for left in left_out)


def _named(left: LeftOut) -> str:
    names = ", ".join(printable(name) for name in left.examples)
    return names if left.count <= len(left.examples) else f"{names}, ..."
