"""Contenders in turns: each has a process of its own, and only one of them computes at any time.

All are started first. Then come rounds, and in each of them every contender has one turn for each of its tasks, in an
order that is drawn anew: whatever else the machine does meets all of them.
"""

import random
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from data.conversation import Conversation, ConversationError
from data.errors import InputError
from inference.benchmark.document import Absent, Agreement, Contender, Precision, Series
from inference.benchmark.messages import Answer, Ready, Request, Turn
from inference.benchmark.runner import PATIENCE, Runner, recorded_reason

# A contender that takes longer than this to start is started once alone.
LONG_START = 5.0
# Threads that wait for work do so actively at first, and JavaScript collects garbage; by then, whoever had the turn
# before was seen to use no processor any more.
SETTLING = 0.3


@dataclass(frozen=True)
class Plan:
    """How it is measured: `rounds` rounds, each turn `seconds` long, after up to `starts` starts of each process.

    `patience` is how long one reply may take, in seconds.
    """

    rounds: int = 5
    seconds: float = 0.5
    starts: int = 3
    patience: float = PATIENCE

    def __post_init__(self) -> None:
        if not 1 <= self.rounds <= 1000:
            raise InputError(f"--rounds is {self.rounds}, expected 1 to 1000")
        if not 0 < self.seconds <= 3600:
            raise InputError(f"--seconds is {self.seconds:g}, expected more than 0, up to 3600")


@dataclass
class Measured:
    """What one contender did: `turns` has, for each of its requests, a turn for each round."""

    runner: Runner
    ready: Ready
    starts: list[float] = field(default_factory=list)
    answers: NDArray[np.float32] | None = None
    turns: list[list[Turn]] = field(default_factory=list)

    @property
    def memory(self) -> int | None:
        """The largest resident memory of its process, in bytes."""
        counted = [turn.memory for turns in self.turns for turn in turns if turn.memory is not None]
        return max(counted, default=None)

    def contender(
        self, *series: Series, agreement: Agreement | None = None, precision: Precision | None = None
    ) -> Contender:
        """Return it as a contender of a record, with what its turns came to."""
        return Contender(
            name=self.runner.name,
            version=self.ready.version,
            threads=self.ready.threads,
            series=series,
            starts=tuple(self.starts),
            memory=self.memory,
            agreement=agreement,
            remark=self.ready.remark,
            precision=precision,
        )


def measure(
    runners: Sequence[Runner], plan: Plan, tell: Callable[[str], None] = lambda words: None
) -> tuple[list[Measured], list[Absent]]:
    """Return what the contenders did, and those that failed on the way, with what they said.

    `tell` hears in few words what is done next, before each step.
    """
    with ExitStack() as stack:
        party = _Party(plan, tell, stack)
        for runner in runners:
            party.attempt(runner, party.start)
        for _ in range(1, plan.starts):
            for runner in runners:
                party.attempt(runner, party.start_again)
        for runner in runners:
            party.attempt(runner, party.answer)
        for number in range(plan.rounds):
            tell(f"round {number + 1} of {plan.rounds}")
            for runner in random.Random(number).sample(list(runners), len(runners)):
                party.attempt(runner, party.turn)
        finished = [party.measured[runner.name] for runner in runners if runner.name in party.measured]
        return finished, party.failed


class _Party:
    """The contenders that are still there."""

    def __init__(self, plan: Plan, tell: Callable[[str], None], stack: ExitStack) -> None:
        self.plan, self.tell, self.stack = plan, tell, stack
        self.conversations: dict[str, Conversation] = {}
        self.measured: dict[str, Measured] = {}
        self.failed: list[Absent] = []

    def attempt(self, runner: Runner, step: Callable[[Runner], None]) -> None:
        """Take a step with one contender; where it fails, that is its last."""
        if runner.name in [absent.name for absent in self.failed]:
            return
        try:
            step(runner)
        except ConversationError as error:
            self.failed.append(Absent(runner.name, "failed", recorded_reason(str(error))))
            self.measured.pop(runner.name, None)

    def start(self, runner: Runner) -> None:
        self.tell(f"{runner.name} starts")
        conversation, ready, seconds = self._open(runner)
        self.conversations[runner.name] = conversation
        self.measured[runner.name] = Measured(runner, ready, [seconds], turns=[[] for _ in runner.turns])

    def start_again(self, runner: Runner) -> None:
        """Start another process beside the one that waits, unless that takes long, and end it."""
        starts = self.measured[runner.name].starts
        if starts[0] > LONG_START or not runner.starts_count:
            return
        again, _, seconds = self._open(runner)
        starts.append(seconds)
        again.end()

    def answer(self, runner: Runner) -> None:
        """Ask for the answers to all faces, where the contender answers."""
        if not runner.answers:
            return
        logits = self.conversations[runner.name].ask(Request(do="answer"), Answer).logits
        self.measured[runner.name].answers = np.array(logits, np.float32)

    def turn(self, runner: Runner) -> None:
        time.sleep(SETTLING)
        for request, turns in zip(runner.turns, self.measured[runner.name].turns, strict=True):
            timed = replace(request, seconds=self.plan.seconds)
            turns.append(self.conversations[runner.name].ask(timed, Turn))

    def _open(self, runner: Runner) -> tuple[Conversation, Ready, float]:
        """Start a process; return the conversation with it, what it says first, and the seconds until then."""
        conversation = runner.started(self.plan.patience)
        self.stack.callback(conversation.end)
        ready = conversation.listen(Ready)
        return conversation, ready, time.perf_counter() - conversation.began
