"""What a training reaches, epoch by epoch: `metrics.jsonl` in its run folder, a line an epoch."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar, Literal

from data.documents import STRICT, Number, Seconds, Share, parse_document
from data.errors import InputError
from data.files import write_text
from inference.measure.metrics import ClassFigures

METRICS_FILE = "metrics.jsonl"


@dataclass(frozen=True, kw_only=True)
class EpochFigures:
    """One epoch's figures: of training faces as they were shown, and of the part that the best epoch is picked on.

    `learning_rate` is that of its first step, losses are mean cross-entropies in nats, accuracies from 0 to 1.
    `validation_part` is `validation`, or `test` where the protocol has no validation part; `classes` are that part's.
    """

    __pydantic_config__: ClassVar = STRICT

    epoch: Number
    learning_rate: float
    train_loss: float
    train_accuracy: Share
    validation_part: Literal["validation", "test"]
    validation_loss: float
    validation_accuracy: Share
    classes: tuple[ClassFigures, ...]
    seconds: Seconds
    images_per_second: Seconds


def read_history(folder: Path) -> list[EpochFigures]:
    """Return the figures of a run's epochs; an `InputError` names a line that is none of them."""
    file = folder / METRICS_FILE
    try:
        lines = file.read_bytes().splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise InputError(f"{METRICS_FILE} cannot be read ({error.strerror}); restore it or train again") from error
    remedy = "restore it or train again"
    return [
        parse_document(EpochFigures, line, f"{METRICS_FILE}, line {number}", remedy)
        for number, line in enumerate(lines, start=1)
    ]


def write_history(folder: Path, history: Sequence[EpochFigures]) -> None:
    """Write `metrics.jsonl` anew, whole or not at all."""
    write_text(folder / METRICS_FILE, "".join(json.dumps(asdict(line), allow_nan=False) + "\n" for line in history))
