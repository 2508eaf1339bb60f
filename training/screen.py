"""A sweep on a terminal, while it runs."""

import sys
from collections.abc import Collection
from dataclasses import replace

from data.terminal import draw
from training.grid import Trial, TrialState, table


class Screen:
    """The table of all trials, redrawn in place on a terminal; nothing elsewhere."""

    def __init__(self) -> None:
        self.lines = 0

    def show(self, states: dict[Trial, TrialState], running: Collection[Trial]) -> None:
        """Draw the table, with `running` as what is at work."""
        if not sys.stderr.isatty():
            return
        text = table(
            {trial: replace(state, status="running") if trial in running else state for trial, state in states.items()}
        )
        above = f"\x1b[{self.lines}F\x1b[J" if self.lines else ""
        draw(above + text)
        self.lines = text.count("\n") + 1
