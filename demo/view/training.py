"""A training as HTML: its layers before, and its curves, classes, confusion and ROC while it runs."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path

import numpy as np
from markupsafe import Markup

from data.errors import InputError
from data.scratch import scratch_folder
from demo.state.supervisor import Current
from demo.view.html import notice, part
from demo.view.words import Language, say
from inference.html import png_address
from inference.measure.metrics import confusion_matrix, summarise
from inference.report.plots import draw_confusion, draw_curves, draw_roc
from inference.text import percent
from training.history import EpochRecord, read_history
from training.run import RunRecord, answers_written, read_answers
from training.specs import ModelSpec
from training.weights import STATISTICS, named_layers, output_shape, parameter_count, shapes

# Matplotlib draws one figure at a time.
_DRAWING = threading.Lock()


@dataclass(frozen=True)
class LayerRow:
    """A layer of a model: its kind, its numbers in words, its output's shape, and how many parameters it has."""

    kind: str
    options: str
    shape: str
    parameters: int


def layers(spec: ModelSpec, lang: Language) -> Markup:
    """Return a model's layers with their output shapes and parameters, from its spec alone."""
    weights = shapes(spec)
    rows = []
    for named in named_layers(spec):
        values = {field.name: getattr(named.layer, field.name) for field in fields(named.layer)}
        options = ", ".join(f"{name} {value:g}" for name, value in values.items() if type(value) in (int, float))
        shape = " x ".join(map(str, output_shape(named.layer, named.inputs)))
        count = sum(int(np.prod(size)) for name, size in weights.items() if _belongs(name, named.name))
        rows.append(LayerRow(type(named.layer).__name__, options, shape, count))
    total = say(lang, "parameters", count=f"{parameter_count(spec):,}")
    return part("layers", lang=lang, name=spec.name, total=total, layers=rows)


def _belongs(weight: str, layer: str) -> bool:
    return weight.startswith(f"{layer}.") and not weight.endswith(STATISTICS)


def view(current: Current, lang: Language) -> Markup:
    """Return all that is shown of a training."""
    if current.status == "none":
        return notice(say(lang, "train_empty"), "empty")
    history: list[EpochRecord] = []
    figures: list[tuple[str, str]] = []
    errors = [current.reason or say(lang, "killed")] if current.status == "failed" else []
    try:
        if current.folder and current.record:
            history = read_history(current.folder)
        if current.folder and history:
            figures = _figures(current.folder, current.title, len(history), lang)
    except InputError as error:
        errors.append(str(error))
    record = current.record
    return part(
        "training",
        lang=lang,
        current=current,
        done=len(history),
        epochs=record.settings.epochs if record else 0,
        tiles=_tiles(record, history, lang) if record and history else [],
        errors=errors,
        figures=figures,
        classes=history[-1].classes if history else (),
    )


def _tiles(record: RunRecord, history: Sequence[EpochRecord], lang: Language) -> list[tuple[str, str]]:
    last, best = history[-1], record.best
    part_name = say(lang, f"part_{last.validation_part}")
    tiles = [
        (say(lang, "training_accuracy"), percent(last.train_accuracy, 2)),
        (say(lang, "held_accuracy", part=part_name), percent(last.validation_accuracy, 2)),
        (say(lang, "epoch_seconds"), f"{last.seconds:.1f}"),
        (say(lang, "kept_epochs"), f"{len(record.checkpoints)}"),
    ]
    if best:
        tiles.append((say(lang, "best_epoch", epoch=best.epoch), percent(best.accuracy, 2)))
    if record.test:
        tiles.append((say(lang, "test_accuracy", epoch=record.test.epoch), percent(record.test.accuracy, 2)))
    return tiles


def _figures(folder: Path, title: str, epochs: int, lang: Language) -> list[tuple[str, str]]:
    """Return the addresses of the pictures that there are yet, with their captions."""
    captions = [say(lang, f"{name}_of", name=title) for name in ("curves", "confusion", "roc")]
    return list(zip([_curves(folder, epochs), *_answers(folder, answers_written(folder))], captions, strict=False))


@lru_cache(maxsize=8)
def _curves(folder: Path, epochs: int) -> str:
    history = read_history(folder)[:epochs]
    return _drawn(lambda path: draw_curves(history, path, "Loss and accuracy"))


@lru_cache(maxsize=8)
def _answers(folder: Path, _written: int | None) -> tuple[str, ...]:
    """Draw what was answered last; the file comes a moment after the epoch's line."""
    answers = read_answers(folder)
    if answers is None:
        return ()
    epoch, labels, probabilities = answers
    confusion = confusion_matrix(labels, probabilities.argmax(axis=1))
    summary = summarise(labels, probabilities)
    return (
        _drawn(lambda path: draw_confusion(confusion, path, f"Confusion, epoch {epoch}")),
        _drawn(lambda path: draw_roc(summary, path, f"ROC, one against the rest, epoch {epoch}")),
    )


def _drawn(draw: Callable[[Path], None]) -> str:
    with _DRAWING, scratch_folder("ferox-figure-") as folder:
        path = folder / "figure.png"
        draw(path)
        return png_address(path.read_bytes())
