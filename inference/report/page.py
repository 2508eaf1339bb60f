"""The report as one page that stands alone: no network, no script, pictures inline, all text escaped."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.adoption import Adoption
from inference.html import fill
from inference.manifest import Manifest, Parity, stated
from inference.report.class_maps import ClassMaps
from inference.report.document import Report
from inference.saliency.heat import overlay, strength
from inference.text import percent, threads

TEMPLATES = Path(__file__).with_name("templates")


@dataclass(frozen=True)
class Mistake:
    """A face uint8[48, 48] that was answered wrong: its label, the answer, and how sure the model was, 0 to 1."""

    face: NDArray[np.uint8]
    truth: str
    answer: str
    confidence: float


def render_page(
    report: Report, pictures: Mapping[str, bytes], mistakes: Sequence[Mistake], maps: ClassMaps | None = None
) -> str:
    """Fill the page.

    Args:
        report: the evaluation.
        pictures: PNGs called `confusion`, `roc` and `reliability`, and `abstention` where the report has that.
        mistakes: those to show.
        maps: what the model looks at in each class, where that was asked for.
    """
    return fill(
        [TEMPLATES],
        "report.html",
        report=report,
        pictures=pictures,
        mistakes=mistakes,
        maps=maps,
        overlay=overlay,
        strength=strength,
        chips=_chips(report),
        sentence=_sentence(report),
        facts=_facts(report),
        settings=[
            f"{name.replace('_', ' ')}: {_setting(value)}"
            for name, value in report.manifest.recipe.items()
            if name != "split"
        ],
        manifest=json.dumps(asdict(report.manifest, dict_factory=stated), indent=2, ensure_ascii=False),
    )


def _chips(report: Report) -> list[str]:
    manifest, augmentation = report.manifest, report.evaluated_on.augmentation
    recipe = f"{manifest.recipe.get('recipe', 'own')} recipe" if manifest.adoption is None else report.recipe
    batch = [] if manifest.batch is None else [f"batch of {manifest.batch}"]
    marked = [] if augmentation == "none" else [f"{augmentation} test-time augmentation"]
    return [manifest.framework, recipe, manifest.precision, *batch, f"{manifest.parameters:,} parameters", *marked]


def _sentence(report: Report) -> str:
    on, figures, adoption = report.evaluated_on, report.figures, report.manifest.adoption
    right = f"{figures.correct:,} of {figures.faces:,} faces right on the {on.scope} of {on.source}."
    if adoption is not None:
        return f"{right} Adopted; what it was trained on is {adoption.training_data}."
    return f"{right} Trained under the {report.manifest.protocol} protocol."


def _facts(report: Report) -> list[tuple[str, str]]:
    manifest, on, engine = report.manifest, report.evaluated_on, report.engine
    return [
        ("file", f"{report.model.file}, {report.megabytes:.2f} MB"),
        ("digest", manifest.digest),
        ("made with", ", ".join(f"{name} {version}" for name, version in manifest.versions.items())),
        *(_training(manifest) if manifest.adoption is None else _adoption(manifest.adoption)),
        ("evaluated on", f"{on.source}, {on.scope}, {on.count:,} faces, split {on.fingerprint[:16]}"),
        ("parity", parity_verdict(manifest.parity)),
        ("temperature", _temperature(report)),
        ("checkpoint" if manifest.adoption is None else "adopted file's sha256", manifest.checkpoint_sha256),
        ("exported" if manifest.adoption is None else "adopted", manifest.created),
        ("engine", f"onnxruntime {engine.onnxruntime}, {', '.join(engine.providers)}, {threads(engine.threads)}"),
    ]


def _training(manifest: Manifest) -> list[tuple[str, str]]:
    data, selection = manifest.data, manifest.selection
    if data is None or selection is None:
        return []
    counts = ", ".join(f"{name} {count:,}" for name, count in data.counts.items())
    return [
        ("trained on", f"{data.source}, {data.protocol} protocol ({counts}), split {data.fingerprint[:16]}"),
        *([("corrected", data.corrections.words)] if data.corrections else []),
        (
            "selected on",
            f"{selection.part} part: epoch {selection.epoch}, accuracy {percent(selection.accuracy, 2)}, "
            f"loss {selection.loss:.4f}",
        ),
    ]


def _adoption(adoption: Adoption) -> list[tuple[str, str]]:
    return [
        ("trained on", adoption.training_data),
        ("adopted from", f"{adoption.file}, opset {adoption.opset}, output {adoption.output} ({adoption.answers})"),
        ("fed with", adoption.preprocessing.words),
        ("its labels", ", ".join(adoption.names)),
        *([("other labels", adoption.others_words)] if adoption.others_words else []),
    ]


def _temperature(report: Report) -> str:
    temperature, calibration = report.manifest.temperature, report.calibration
    if report.manifest.contract == 1:
        return "1: files of contract 1 have none"
    if temperature.faces is None:
        if report.manifest.adoption is not None:
            return "1: it was adopted without a validation part to fit one on"
        return "1: the protocol has no validation part to fit one on"
    fitted = f"{temperature.value:g}, fitted on {temperature.faces:,} validation faces"
    if calibration is None or calibration.before is None or calibration.change is None:
        return fitted
    low, high = calibration.change
    return (
        f"{fitted}; calibration error {report.figures.calibration_error:.4f} "
        f"({calibration.interval[0]:.4f} to {calibration.interval[1]:.4f}), at temperature 1 "
        f"{calibration.before.calibration_error:.4f} ({calibration.before.interval[0]:.4f} to "
        f"{calibration.before.interval[1]:.4f}), change {low:+.4f} to {high:+.4f}"
    )


def parity_verdict(parity: Parity) -> str:
    """The proof that the artifact equals what was trained, in words."""
    plain = {name: value for name, value in vars(parity).items() if type(value) in (int, float, str) and value != ""}
    figures = (f"{value:.3g}" if isinstance(value, float) else str(value) for value in plain.values())
    said = (f"{name.replace('_', ' ')} {text}" for name, text in zip(plain, figures, strict=True))
    return ", ".join(["passed" if parity.passed else "not proven", *said])


def _settings(report: Report) -> list[str]:
    recipe = report.manifest.recipe
    return [f"{name.replace('_', ' ')}: {_setting(value)}" for name, value in recipe.items() if name != "split"]


def _setting(value: Any) -> str:
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
