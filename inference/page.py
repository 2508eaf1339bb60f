"""The report as one page that stands alone: no network, no script, pictures inline, all text escaped."""

import base64
import io
import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from inference.comparison import model_name, scope
from inference.figures import percent

TEMPLATE, STYLE = (Path(__file__).with_name(name) for name in ("report.html", "page.css"))
Mistake = tuple[NDArray[np.uint8], str, str, float]


def render_page(content: Mapping[str, Any], pictures: Mapping[str, bytes], mistakes: Sequence[Mistake]) -> str:
    """Fill the page.

    Args:
        content: the content of `report.json`.
        pictures: PNGs called `confusion`, `roc` and `reliability`.
        mistakes: face uint8[48, 48], truth, prediction and confidence (0 to 1) of each mistake to show.
    """
    manifest, on, figures = content["manifest"], content["evaluated_on"], content["figures"]
    low, high = figures["interval"]
    images = {name: image_address(png) for name, png in pictures.items()}
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        images,
        style=style(),
        title=escape(f"{model_name(content)} · {scope(on)}"),
        model=escape(manifest["model"]),
        chips=list_items(_chips(content)),
        accuracy=percent(figures["accuracy"], 2),
        low=f"{100 * low:.2f}",
        high=f"{100 * high:.2f}",
        span=f"{100 * (high - low):.3f}",
        point=f"{100 * figures['accuracy']:.3f}",
        sentence=escape(_sentence(content)),
        tiles="".join(f"<div><dt>{escape(name)}</dt><dd>{value}</dd></div>" for name, value in _tiles(content)),
        notes=note_list(content["notes"]),
        class_rows="".join(_class_row(c, r) for c, r in zip(figures["classes"], figures["roc"], strict=True)),
        average_rows="".join(_average_row(kind, figures) for kind in ("macro", "weighted")),
        mistakes=mistake_figures(mistakes),
        facts="".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in _facts(content)),
        settings=_settings(manifest["recipe"]),
        manifest=escape(json.dumps(manifest, indent=2, ensure_ascii=False)),
        created=escape(content["created"]),
    )


def style() -> str:
    """The style that all our pages share."""
    return STYLE.read_text(encoding="utf-8")


def _chips(content: Mapping[str, Any]) -> list[str]:
    manifest = content["manifest"]
    recipe = f"{manifest['recipe'].get('recipe', 'own')} recipe"
    augmentation = content["evaluated_on"]["augmentation"]
    marked = [] if augmentation == "none" else [f"{augmentation} test-time augmentation"]
    return [manifest["framework"], recipe, manifest["precision"], f"{manifest['parameters']:,} parameters", *marked]


def _sentence(content: Mapping[str, Any]) -> str:
    on, figures = content["evaluated_on"], content["figures"]
    return (
        f"{figures['correct']:,} of {figures['faces']:,} faces right on the {scope(on)} of {on['source']}. "
        f"Trained under the {content['manifest']['data']['protocol']} protocol."
    )


def _tiles(content: Mapping[str, Any]) -> list[tuple[str, str]]:
    figures = content["figures"]
    return [
        ("macro F1", _mean(figures["macro"]["f1"])),
        ("macro AUC", _figure(figures["macro_roc"]["auc"])),
        ("log loss", _figure(figures["log_loss"])),
        ("calibration error", _figure(figures["calibration_error"])),
        ("images a second", f"{content['engine']['images_per_second']:,.0f}"),
        ("file size", f"{content['model']['bytes'] / 1e6:.2f} MB"),
    ]


def _class_row(figures: Mapping[str, Any], curve: Mapping[str, Any]) -> str:
    counts = "".join(f"<td>{figures[name]:,}</td>" for name in ("support", "tp", "fp", "tn", "fn"))
    names = ("accuracy", "precision", "recall", "specificity", "f1")
    shares = "".join(f"<td>{_figure(figures[name])}</td>" for name in names)
    return f"<tr><th scope='row'>{figures['label']}</th>{counts}{shares}<td>{_figure(curve['auc'])}</td></tr>"


def _average_row(kind: str, figures: Mapping[str, Any]) -> str:
    means = figures[kind]
    precision, recall, f1 = (f"<td>{_mean(means[name])}</td>" for name in ("precision", "recall", "f1"))
    area = _figure(figures["macro_roc"]["auc"]) if kind == "macro" else ""
    return (
        f"<tr><th scope='row'>{kind} average</th><td>{figures['faces']:,}</td>{'<td></td>' * 5}"
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


def _facts(content: Mapping[str, Any]) -> list[tuple[str, str]]:
    manifest, on, engine = content["manifest"], content["evaluated_on"], content["engine"]
    own, selection = manifest["data"], manifest["selection"]
    threads = "its own choice of threads" if engine["threads"] is None else f"{engine['threads']} threads"
    counts = ", ".join(f"{name} {count:,}" for name, count in own["counts"].items())
    return [
        ("file", f"{content['model']['file']}, {content['model']['bytes'] / 1e6:.2f} MB"),
        ("digest", manifest["digest"]),
        ("made with", ", ".join(f"{name} {version}" for name, version in manifest["versions"].items())),
        (
            "trained on",
            f"{own['source']}, {own['protocol']} protocol ({counts}), split {own['fingerprint'][:16]}",
        ),
        (
            "selected on",
            f"{selection['part']} part: epoch {selection['epoch']}, accuracy "
            f"{percent(selection['accuracy'], 2)}, loss {selection['loss']:.4f}",
        ),
        (
            "evaluated on",
            f"{on['source']}, {scope(on)}, {on['count']:,} faces, split {on['fingerprint'][:16]}",
        ),
        ("parity", parity_verdict(manifest["parity"])),
        ("checkpoint", manifest["checkpoint_sha256"]),
        ("exported", manifest["created"]),
        ("engine", f"onnxruntime {engine['onnxruntime']}, {', '.join(engine['providers'])}, {threads}"),
    ]


def parity_verdict(parity: Mapping[str, Any]) -> str:
    """The proof that the artifact equals what was trained, in words."""
    verdict = "passed" if parity.get("passed") is True else "not proven"
    plain = {name: value for name, value in parity.items() if type(value) in (int, float, str) and value != ""}
    figures = (f"{value:.3g}" if isinstance(value, float) else str(value) for value in plain.values())
    return ", ".join(
        [verdict, *(f"{name.replace('_', ' ')} {text}" for name, text in zip(plain, figures, strict=True))]
    )


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


def _mean(mean: Mapping[str, Any]) -> str:
    partial = "" if mean["classes"] in (0, 7) else f" <small>of {mean['classes']} classes</small>"
    return _figure(mean["value"]) + partial


def image_address(png: bytes) -> str:
    """A PNG as an address that a page can hold."""
    return "data:image/png;base64," + base64.b64encode(png).decode()
