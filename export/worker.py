"""What exports one run after another: a framework's process, and a share of the processors."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from data.conversation import Conversation, ConversationError
from data.faceset import FaceSet
from data.splits import Split
from export.framework_side import Answered, Asked
from training.run import RunRecord, run_faces

Faces = Callable[[RunRecord, Path | None], tuple[FaceSet, Split]]


def side_command(framework: str) -> tuple[str, ...]:
    """Return how a framework's side is started, see `export.framework_side`."""
    return sys.executable, "-m", f"export.from_{framework}"


@dataclass
class Worker:
    """Exports one run after another; leave it as a context, which ends the framework's process.

    Attributes:
        threads: how many processors it computes with; None is all that this process may use.
        faces: loads a run's faces, see `training.run.run_faces`.
    """

    threads: int | None = None
    faces: Faces = run_faces
    _framework: str = ""
    _side: Conversation | None = field(default=None, repr=False)
    _killed: bool = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def answer(self, framework: str, asked: Asked) -> Answered:
        """Have a framework answer and convert, in a process that is started when there is none of it.

        Raises:
            ConversationError: it failed, with what it said last; it is not asked again.
            KeyboardInterrupt: it was killed; nobody waits for its answer any more.
        """
        if self._killed:
            raise KeyboardInterrupt
        if self._side is None or self._framework != framework:
            self.end()
            self._framework = framework
            self._side = Conversation(f"{framework}'s side", side_command(framework), self._variables())
            # Whoever killed it before there was a process has ended none.
            if self._killed:
                self.end()
                raise KeyboardInterrupt
        try:
            return self._side.ask(asked, Answered)
        except ConversationError:
            self.end()
            if self._killed:
                raise KeyboardInterrupt from None
            raise

    def end(self) -> None:
        """End the framework's process, if there is one."""
        side, self._side = self._side, None
        if side is not None:
            # It has nothing left to write, and takes a second to leave by itself.
            side.kill()
            side.end()

    def kill(self) -> None:
        """End the framework's process at once, for good: whoever waits for it in another thread is interrupted."""
        self._killed = True
        # The other thread may take it away meanwhile.
        side = self._side
        if side is not None:
            side.kill()

    def _variables(self) -> dict[str, str]:
        # The proof is made on the processor: a GPU would answer with other last digits.
        variables = {"CUDA_VISIBLE_DEVICES": ""}
        if self.threads is not None:
            names = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
            variables |= {name: str(self.threads) for name in names if name not in os.environ}
        return variables
