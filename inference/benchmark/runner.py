"""A process that can take part in a benchmark: how it is started, and what it is asked for."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from data.conversation import Conversation
from data.errors import printable
from inference.benchmark.messages import Request

# How long an answer is waited for: a network is compiled within it, and a process that hangs holds up no other longer.
PATIENCE = 600.0
LONGEST_REASON = 300


@dataclass(frozen=True)
class Runner:
    """A process that can take part.

    Attributes:
        name: what it is called.
        command: how it is started, with `variables` beside those of this process.
        turns: which turns it is asked for in each round.
        answers: whether it gives answers, which can be compared.
        starts_count: whether its start is of interest, and is repeated.
    """

    name: str
    command: tuple[str, ...]
    turns: tuple[Request, ...]
    answers: bool = True
    variables: Mapping[str, str] = field(default_factory=dict)
    starts_count: bool = True

    def started(self, patience: float = PATIENCE) -> Conversation:
        """Start it, and return the conversation with it; a reply may take `patience` seconds."""
        return Conversation(self.name, self.command, self.variables, patience)


def recorded_reason(reason: str) -> str:
    """Return why a contender failed as a record may have it: short, printable, without this machine's folders."""
    return printable(_without_places(reason))[:LONGEST_REASON]


def _without_places(reason: str) -> str:
    """Leave out this machine's folders: a record is for others."""
    home = str(Path.home())
    places = sorted({str(Path.cwd()), tempfile.gettempdir(), *([home] if home != "/" else [])}, key=len)
    for place in reversed(places):
        reason = reason.replace(f"{place}/", "")
    return reason
