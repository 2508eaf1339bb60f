"""Whether a machine is quiet: what others keep its processors busy with, while nothing here runs.

The load average would not tell: it holds what ran minutes before, such as another benchmark.
"""

import os
import time
from pathlib import Path

STATISTICS = Path("/proc/stat")
# Places in its first line after the name: what the kernel counts as idle. Time that another virtual machine took
# ("steal") is none of it.
IDLE, WAITING = 3, 4
COUNTED = 8  # What follows is counted elsewhere in the line, too.


def processors_busy(seconds: float = 1.0) -> float | None:
    """Return how many processors are busy on average for some seconds, in which this waits; None where nobody counts.

    Source: https://docs.kernel.org/filesystems/proc.html#miscellaneous-kernel-statistics-in-proc-stat
    """
    before, began = _busy_seconds(), time.perf_counter()
    time.sleep(seconds)
    after, took = _busy_seconds(), time.perf_counter() - began
    return None if before is None or after is None else max(0.0, after - before) / took


def _busy_seconds() -> float | None:
    try:
        line = STATISTICS.read_text().splitlines()[0]
    except (OSError, IndexError):
        return None
    ticks = [int(word) for word in line.split()[1 : 1 + COUNTED]]
    return (sum(ticks) - ticks[IDLE] - ticks[WAITING]) / os.sysconf("SC_CLK_TCK")
