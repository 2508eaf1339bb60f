"""What commands print: names from files, archives and manifests are never part of what steers a terminal.

`guard` holds that for everything that a command prints, libraries' warnings and tracebacks included. Sentences and
paths take one line each, whatever is in them.
"""

import sys
from pathlib import Path
from typing import Any, TextIO, cast

from tqdm import tqdm

from data.errors import printable


class _Guarded:
    """A text stream that writes a question mark for what steers a terminal or is not in its encoding."""

    def __init__(self, stream: TextIO) -> None:
        self.unguarded = stream

    def write(self, text: str) -> int:
        # A terminal that cannot show a name, such as an ASCII one, gets a question mark in place of a traceback.
        encoding = self.unguarded.encoding or "utf-8"
        self.unguarded.write(_shown(text).encode(encoding, "replace").decode(encoding))
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.unguarded, name)


def guard() -> None:
    """Guard stdout and stderr for as long as the process lives: a traceback comes last of all."""
    sys.stdout, sys.stderr = _guarded(sys.stdout), _guarded(sys.stderr)


def say(sentence: str) -> None:
    """Print a sentence to stderr, on one line."""
    print(printable(sentence), file=sys.stderr, flush=True)


def warn(sentence: str) -> None:
    """Print a warning to stderr, on one line."""
    say(f"warning: {sentence}")


def hand_over(path: Path) -> None:
    """Print a path to stdout, where programs read one a line."""
    print(printable(str(path)), flush=True)


def draw(text: str) -> None:
    """Print to stderr a text that moves the cursor; names in it have to be printable."""
    print(text, file=_unguarded(sys.stderr), flush=True)


def progress_bar(description: str = "", **options: Any) -> "tqdm[Any]":
    """Return a bar on stderr, with `options` of tqdm; nothing is shown where stderr is no terminal."""
    return tqdm(desc=printable(description), file=_unguarded(sys.stderr), **{"disable": None} | options)


def _guarded(stream: TextIO) -> TextIO:
    return stream if isinstance(stream, _Guarded) else cast(TextIO, _Guarded(stream))


def _unguarded(stream: TextIO) -> TextIO:
    return stream.unguarded if isinstance(stream, _Guarded) else stream


def _shown(text: str) -> str:
    # Only what is between them is made printable.
    return text if text.isprintable() else "".join(c if c in "\n\t" else printable(c) for c in text)
