"""A training as HTML: its layers before, and its curves, classes, confusion and ROC while it runs."""

import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import lru_cache
from html import escape
from pathlib import Path

import numpy as np

from data.errors import InputError
from demo.state.supervisor import Current
from demo.view.cards import notice
from demo.view.words import Language, emotion, say
from inference.html import png_address
from inference.measure.metrics import confusion_matrix, summarise
from inference.report.plots import draw_confusion, draw_curves, draw_roc
from inference.text import percent
from training.history import EpochRecord, read_history
from training.run import RunRecord, read_answers
from training.specs import ModelSpec
from training.weights import STATISTICS, named_layers, output_shape, parameter_count, shapes

# Matplotlib draws one figure at a time.
_DRAWING = threading.Lock()


def layers(spec: ModelSpec, lang: Language) -> str:
    """Return a model's layers with their output shapes and parameters, from its spec alone."""
    weights = shapes(spec)
    rows = []
    for named in named_layers(spec):
        values = {field.name: getattr(named.layer, field.name) for field in fields(named.layer)}
        options = ", ".join(f"{name} {value:g}" for name, value in values.items() if type(value) in (int, float))
        shape = " x ".join(map(str, output_shape(named.layer, named.inputs)))
        count = sum(int(np.prod(size)) for name, size in weights.items() if _belongs(name, named.name))
        rows.append(
            f"<tr><td>{type(named.layer).__name__}</td><td>{escape(options)}</td><td>{shape}</td>"
            f"<td>{f'{count:,}' if count else ''}</td></tr>"
        )
    head = "".join(f"<th scope='col'>{say(lang, f'column_{name}')}</th>" for name in ("layer", "output", "weights"))
    total = say(lang, "parameters", count=f"{parameter_count(spec):,}")
    return (
        f"<details class='fx-layers'><summary><b>{escape(spec.name)}</b> · {total}</summary><div class='fx-table'>"
        f"<table><thead><tr>{head.replace('</th>', '</th><th></th>', 1)}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></div></details>"
    )


def _belongs(weight: str, layer: str) -> bool:
    return weight.startswith(f"{layer}.") and not weight.endswith(STATISTICS)


def view(current: Current, lang: Language) -> str:
    """Return all that is shown of a training."""
    if current.status == "none":
        return notice(say(lang, "train_empty"), "empty")
    try:
        history = read_history(current.folder) if current.folder and current.record else []
    except InputError as error:
        return _head(current, [], lang) + notice(str(error), "error")
    head = _head(current, history, lang)
    failed = notice(current.reason or say(lang, "killed"), "error") if current.status == "failed" else ""
    if not history or current.folder is None:
        return head + failed
    try:
        figures = _figures(current.folder, current.title, len(history), lang)
    except InputError as error:
        figures = notice(str(error), "error")
    return head + failed + figures + _classes(history[-1], lang)


def _head(current: Current, history: Sequence[EpochRecord], lang: Language) -> str:
    status = say(lang, f"status_{current.status}")
    record = current.record
    epochs = record.settings.epochs if record else 0
    share = 100 * len(history) / epochs if epochs else 0
    where = say(lang, "epoch_of", epoch=len(history), epochs=epochs) if record else ""
    tiles = _tiles(record, history, lang) if record and history else ""
    return (
        f"<div class='fx-run' data-status='{current.status}' data-epochs='{len(history)}'>"
        f"<p><b>{escape(current.title)}</b>"
        f"<span class='fx-status fx-{current.status}'>{status}</span><span>{where}</span></p>"
        f"<span class='fx-track'><i style='width:{share:.1f}%'></i></span>{tiles}</div>"
    )


def _tiles(record: RunRecord, history: Sequence[EpochRecord], lang: Language) -> str:
    last, best = history[-1], record.best
    part = last.validation_part
    tiles = [
        (say(lang, "training_accuracy"), percent(last.train_accuracy, 2)),
        (say(lang, "held_accuracy", part=say(lang, f"part_{part}")), percent(last.validation_accuracy, 2)),
        (say(lang, "epoch_seconds"), f"{last.seconds:.1f}"),
        (say(lang, "kept_epochs"), f"{len(record.checkpoints)}"),
    ]
    if best:
        tiles.append((say(lang, "best_epoch", epoch=best.epoch), percent(best.accuracy, 2)))
    if record.test:
        tiles.append((say(lang, "test_accuracy", epoch=record.test.epoch), percent(record.test.accuracy, 2)))
    return "<dl>" + "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in tiles) + "</dl>"


def _figures(folder: Path, title: str, epochs: int, lang: Language) -> str:
    pictures = [_curves(folder, epochs), *_answers(folder, epochs)]
    captions = [say(lang, f"{name}_of", name=title) for name in ("curves", "confusion", "roc")]
    shown = "".join(
        f"<img src='{picture}' alt='{escape(caption, quote=True)}'>"
        for picture, caption in zip(pictures, captions, strict=False)
    )
    return f"<div class='fx-figures fx-training'>{shown}</div>"


@lru_cache(maxsize=8)
def _curves(folder: Path, epochs: int) -> str:
    history = read_history(folder)[:epochs]
    return _drawn(lambda path: draw_curves(history, path, "Loss and accuracy"))


@lru_cache(maxsize=8)
def _answers(folder: Path, epochs: int) -> tuple[str, ...]:
    found = read_answers(folder)
    if found is None:
        return ()
    epoch, labels, probabilities = found
    confusion = confusion_matrix(labels, probabilities.argmax(axis=1))
    summary = summarise(labels, probabilities)
    return (
        _drawn(lambda path: draw_confusion(confusion, path, f"Confusion, epoch {epoch}")),
        _drawn(lambda path: draw_roc(summary, path, f"ROC, one against the rest, epoch {epoch}")),
    )


def _drawn(draw: Callable[[Path], None]) -> str:
    with _DRAWING, tempfile.TemporaryDirectory(prefix="ferox-figure-") as folder:
        path = Path(folder) / "figure.png"
        draw(path)
        return png_address(path.read_bytes())


def _classes(last: EpochRecord, lang: Language) -> str:
    names = [say(lang, f"column_{name}") for name in ("class", "precision", "recall", "class_f1")]
    head = "".join(f"<th scope='col'>{name}</th>" for name in (names[0], "TP", "FP", "TN", "FN", *names[1:]))
    rows = []
    for own in last.classes:
        counts = "".join(f"<td>{count:,}</td>" for count in (own.tp, own.fp, own.tn, own.fn))
        defined = (own.precision, own.recall, own.f1)
        shares = "".join(f"<td>{'–' if share is None else format(share, '.4f')}</td>" for share in defined)
        rows.append(f"<tr><td>{emotion(lang, own.label)}</td>{counts}{shares}</tr>")
    return (
        f"<div class='fx-table fx-numbers fx-classes'><table><thead><tr>{head}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )
