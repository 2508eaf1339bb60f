"""How much memory a process has held, by the kernel's own count."""

import re
from collections.abc import Iterable
from pathlib import Path

PROCESSES = Path("/proc")
HIGHEST = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)


def peak_memory(processes: Iterable[int]) -> int | None:
    """Return the largest resident memory that processes have had, in bytes, added up; None where nobody counts.

    Pages that several share, such as a browser's, are counted once for each.
    """
    found = [_peak(process) for process in processes]
    counted = [size for size in found if size is not None]
    return sum(counted) if counted else None


def descendants(process: int) -> list[int]:
    """Return the processes that a process has started, and theirs."""
    try:
        lists = [path.read_text() for path in (PROCESSES / str(process) / "task").glob("*/children")]
    except OSError:
        return []
    children = [int(child) for text in lists for child in text.split()]
    return children + [further for child in children for further in descendants(child)]


def words_of(process: int) -> str:
    """Return a process's command line, empty where it is gone."""
    try:
        return (PROCESSES / str(process) / "cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


def _peak(process: int) -> int | None:
    try:
        found = HIGHEST.search((PROCESSES / str(process) / "status").read_text())
    except OSError:
        return None
    return 1024 * int(found[1]) if found else None
