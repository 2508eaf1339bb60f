"""The report as one page that stands alone: no network, no script, pictures inline, all text escaped."""

import base64
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from html import escape
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from inference.manifest import Parity
from inference.measure.curves import RocCurve
from inference.measure.metrics import Averages, ClassFigures, Mean, Summary
from inference.report.document import Report
from inference.text import percent, threads

TEMPLATE, STYLE = (Path(__file__).with_name(name) for name in ("report.html", "page.css"))
Mistake = tuple[NDArray[np.uint8], str, str, float]


def render_page(report: Report, pictures: Mapping[str, bytes], mistakes: Sequence[Mistake]) -> str:
    """Fill the page.

    Args:
        report: the evaluation.
        pictures: PNGs called `confusion`, `roc` and `reliability`.
        mistakes: face uint8[48, 48], truth, prediction and confidence (0 to 1) of each mistake to show.
    """
    figures = report.figures
    low, high = figures.interval
    images = {name: image_address(png) for name, png in pictures.items()}
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        images,
        style=style(),
        title=escape(f"{report.label} · {report.evaluated_on.scope}"),
        model=escape(report.manifest.model),
        chips=list_items(_chips(report)),
        accuracy=percent(figures.accuracy, 2),
        low=f"{100 * low:.2f}",
        high=f"{100 * high:.2f}",
        span=f"{100 * (high - low):.3f}",
        point=f"{100 * figures.accuracy:.3f}",
        sentence=escape(_sentence(report)),
        tiles="".join(f"<div><dt>{escape(name)}</dt><dd>{value}</dd></div>" for name, value in _tiles(report)),
        notes=note_list(report.notes),
        class_rows="".join(_class_row(c, r) for c, r in zip(figures.classes, figures.roc, strict=True)),
        average_rows=_average_row("macro", figures.macro, figures)
        + _average_row("weighted", figures.weighted, figures),
        mistakes=mistake_figures(mistakes),
        facts="".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in _facts(report)),
        settings=_settings(report.manifest.recipe),
        manifest=escape(json.dumps(asdict(report.manifest), indent=2, ensure_ascii=False)),
        created=escape(report.created),
    )


def style() -> str:
    """The style that all our pages share."""
    return STYLE.read_text(encoding="utf-8")


def _chips(report: Report) -> list[str]:
    manifest, augmentation = report.manifest, report.evaluated_on.augmentation
    recipe = f"{manifest.recipe.get('recipe', 'own')} recipe"
    marked = [] if augmentation == "none" else [f"{augmentation} test-time augmentation"]
    return [manifest.framework, recipe, manifest.precision, f"{manifest.parameters:,} parameters", *marked]


def _sentence(report: Report) -> str:
    on, figures = report.evaluated_on, report.figures
    return (
        f"{figures.correct:,} of {figures.faces:,} faces right on the {on.scope} of {on.source}. "
        f"Trained under the {report.manifest.data.protocol} protocol."
    )


def _tiles(report: Report) -> list[tuple[str, str]]:
    figures = report.figures
    return [
        ("macro F1", _mean(figures.macro.f1)),
        ("macro AUC", _figure(figures.macro_roc.auc)),
        ("log loss", _figure(figures.log_loss)),
        ("calibration error", _figure(figures.calibration_error)),
        ("images a second", f"{report.engine.images_per_second:,.0f}"),
        ("file size", f"{report.megabytes:.2f} MB"),
    ]


def _class_row(own: ClassFigures, curve: RocCurve) -> str:
    counts = "".join(f"<td>{count:,}</td>" for count in (own.support, own.tp, own.fp, own.tn, own.fn))
    shares = (own.accuracy, own.precision, own.recall, own.specificity, own.f1, curve.auc)
    cells = "".join(f"<td>{_figure(share)}</td>" for share in shares)
    return f"<tr><th scope='row'>{escape(own.label)}</th>{counts}{cells}</tr>"


def _average_row(kind: str, means: Averages, figures: Summary) -> str:
    precision, recall, f1 = (f"<td>{_mean(mean)}</td>" for mean in (means.precision, means.recall, means.f1))
    area = _figure(figures.macro_roc.auc) if kind == "macro" else ""
    return (
        f"<tr><th scope='row'>{kind} average</th><td>{figures.faces:,}</td>{'<td></td>' * 5}"
        f"{precision}{recall}<td></td>{f1}<td>{area}</td></tr>"
    )


def mistake_figures(mistakes: Sequence[Mistake]) -> str:
    """Mistakes as faces, each with the truth, the answer and how sure it was."""
    if not mistakes:
        return "<p>None: every face was answered right.</p>"
    return "".join(
        f"<figure>{face_image(face, truth)}<figcaption><span>{escape(truth)}</span><b>{escape(prediction)}</b>"
        f"<i>{percent(confidence, 1)}</i></figcaption></figure>"
        for face, truth, prediction, confidence in mistakes
    )


def face_image(face: NDArray[np.uint8], truth: str) -> str:
    """A face uint8[48, 48] as a picture in the page."""
    png = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(face)).save(png, "PNG", optimize=True)
    return f"<img src='{image_address(png.getvalue())}' width='48' height='48' alt='{escape(truth)} face'>"


def _facts(report: Report) -> list[tuple[str, str]]:
    manifest, on, engine = report.manifest, report.evaluated_on, report.engine
    own, selection = manifest.data, manifest.selection
    counts = ", ".join(f"{name} {count:,}" for name, count in own.counts.items())
    return [
        ("file", f"{report.model.file}, {report.megabytes:.2f} MB"),
        ("digest", manifest.digest),
        ("made with", ", ".join(f"{name} {version}" for name, version in manifest.versions.items())),
        ("trained on", f"{own.source}, {own.protocol} protocol ({counts}), split {own.fingerprint[:16]}"),
        (
            "selected on",
            f"{selection.part} part: epoch {selection.epoch}, accuracy {percent(selection.accuracy, 2)}, "
            f"loss {selection.loss:.4f}",
        ),
        ("evaluated on", f"{on.source}, {on.scope}, {on.count:,} faces, split {on.fingerprint[:16]}"),
        ("parity", parity_verdict(manifest.parity)),
        ("temperature", f"{manifest.temperature.value:g}"),
        ("checkpoint", manifest.checkpoint_sha256),
        ("exported", manifest.created),
        ("engine", f"onnxruntime {engine.onnxruntime}, {', '.join(engine.providers)}, {threads(engine.threads)}"),
    ]


def parity_verdict(parity: Parity) -> str:
    """The proof that the artifact equals what was trained, in words."""
    plain = {name: value for name, value in vars(parity).items() if type(value) in (int, float, str) and value != ""}
    figures = (f"{value:.3g}" if isinstance(value, float) else str(value) for value in plain.values())
    said = (f"{name.replace('_', ' ')} {text}" for name, text in zip(plain, figures, strict=True))
    return ", ".join(["passed" if parity.passed else "not proven", *said])


def _settings(recipe: Mapping[str, Any]) -> str:
    items = [f"{name.replace('_', ' ')}: {_setting(value)}" for name, value in recipe.items()]
    return list_items([item for item in items if not item.startswith("split:")])


def _setting(value: Any) -> str:
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def list_items(texts: Sequence[str]) -> str:
    """Texts as the items of a list, escaped."""
    return "".join(f"<li>{escape(text)}</li>" for text in texts)


def note_list(texts: Sequence[str]) -> str:
    """Notes as a list that stands out; nothing where there are none."""
    return f"<ul class='notes' aria-label='notes'>{list_items(texts)}</ul>" if texts else ""


def _figure(value: float | None) -> str:
    return "<span class='none'>undefined</span>" if value is None else f"{value:.4f}"


def _mean(mean: Mean) -> str:
    partial = "" if mean.classes in (0, 7) else f" <small>of {mean.classes} classes</small>"
    return _figure(mean.value) + partial


def image_address(png: bytes) -> str:
    """A PNG as an address that a page can hold."""
    return "data:image/png;base64," + base64.b64encode(png).decode()
