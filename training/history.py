"""What a training reaches, epoch by epoch: `metrics.jsonl` in its run folder, a line an epoch."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

from data.documents import STRICT, parse_document
from data.errors import InputError
from data.files import write_text
from inference.measure.metrics import ClassFigures
from inference.report.training_result import EpochFigures

METRICS_FILE = "metrics.jsonl"


@dataclass(frozen=True, kw_only=True)
class EpochRecord(EpochFigures):
    """A line of `metrics.jsonl`: an epoch's figures, and those of each class of the part that is validated on."""

    __pydantic_config__: ClassVar = STRICT

    classes: tuple[ClassFigures, ...]


def read_history(folder: Path) -> list[EpochRecord]:
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
        parse_document(EpochRecord, line, f"{METRICS_FILE}, line {number}", remedy)
        for number, line in enumerate(lines, start=1)
    ]


def write_history(folder: Path, history: Sequence[EpochRecord]) -> None:
    """Write `metrics.jsonl` anew, whole or not at all."""
    write_text(folder / METRICS_FILE, "".join(json.dumps(asdict(line), allow_nan=False) + "\n" for line in history))
