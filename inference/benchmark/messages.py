"""What a benchmark and the process of one contender say to each other: a JSON object a line, see `data.conversation`.

The process loads what it runs, answers one face, and says `Ready`. Then it does what it is asked for, one `Request`
after another, and ends when there are no more. It computes only while it is asked.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from data.documents import STRICT, Count, Number, Seconds


@dataclass(frozen=True, kw_only=True)
class Ready:
    """It has answered a face: its version, the threads that it says it has, and what is to be known of how it runs."""

    __pydantic_config__: ClassVar[Any] = STRICT

    version: str
    threads: Number | None
    remark: str = ""


@dataclass(frozen=True, kw_only=True)
class Request:
    """`answer`: give the logits of all faces. `turn`: run batches of `batch` faces for `seconds`."""

    do: Literal["answer", "turn"]
    batch: Number = 1
    seconds: Seconds = 0.0


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Logits of the faces, a row of 7 for each."""

    __pydantic_config__: ClassVar[Any] = STRICT

    logits: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, kw_only=True)
class Turn:
    """The milliseconds of each counted call; how many processors it kept busy meanwhile, None where it cannot tell; and
    the largest resident memory of its process so far, in bytes."""

    __pydantic_config__: ClassVar[Any] = STRICT

    milliseconds: tuple[Seconds, ...]
    busy: float | None
    memory: Count | None
