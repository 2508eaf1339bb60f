"""Writes a model in the form of the Hugging Face Hub: the artifact, its configuration, and its card with metadata.

Nothing is uploaded. Form of the card: https://huggingface.co/docs/hub/model-cards
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from data.errors import InputError, printable
from data.faceset import SIDE
from data.files import write_bytes, write_json, write_text
from inference.engine import Engine, read_artifact
from inference.licence import terms
from inference.manifest import DataRecord, Manifest
from inference.report.document import REPORT_FILE, EvaluatedOn, Report, read_report
from inference.report.published import is_fer2013
from inference.wire import contents

CARD, CONFIG, LICENCE, MODEL = "README.md", "config.json", "LICENSE.md", "model.onnx"
TASK = "image-classification"
METRICS = {"accuracy": "accuracy", "f1": "macro F1"}
# The Hub's name for the only set that is told for sure.
FER2013 = "fer2013"


@dataclass(frozen=True)
class Tensor:
    """An input or output of the model; `batch` stands for an axis of any length."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]


@dataclass(frozen=True)
class HubConfig:
    """The Hub's `config.json`: labels by number, and what goes in, happens inside and comes out.

    `in_the_file` names, in order, what a program must not do to a picture itself.
    """

    model_type: str
    id2label: Mapping[int, str]
    label2id: Mapping[str, int]
    image_size: int
    num_channels: int
    input: Tensor
    outputs: tuple[Tensor, ...]
    in_the_file: tuple[str, ...]
    precision: str
    digest: str


@dataclass(frozen=True)
class Measured:
    """Figures of the artifact, from 0 to 1, on faces in words; metrics as the Hub calls them."""

    faces: str
    split: str
    is_fer2013: bool
    accuracy: float
    macro_f1: float | None = None

    @property
    def metrics(self) -> dict[str, float]:
        """The figures that there are, by the Hub's name of the metric."""
        return {"accuracy": self.accuracy} | ({} if self.macro_f1 is None else {"f1": self.macro_f1})


def hub_folder(artifact: Path, out: Path, report: Path | None = None) -> Path:
    """Write an artifact as a folder for the Hub, and return the folder.

    Args:
        artifact: an `.onnx` that `ferox export` wrote, with its card beside it.
        out: the folder; what it holds besides stays.
        report: a folder that `ferox evaluate` wrote about this very file, for its figures; None takes
            `reports/<stem>` beside the artifact where there is one, else what the export itself has measured.

    Raises:
        InputError: the artifact, its card or the report cannot be used, the model was adopted and is others' to give
            away, or `out` is some other project's folder.
        OSError: something cannot be written.
    """
    content, engine = read_artifact(artifact), Engine.load(artifact, provider="cpu")
    manifest = engine.manifest
    if manifest.data is None:
        raise InputError(
            f"{artifact.name} was adopted: its weights are others', under terms that its file does not say; expected a "
            "model that was trained here; point to where its makers offer it"
        )
    measured = _measured(manifest, manifest.data, _report(artifact, manifest, report))
    card = _text(artifact)
    _check_target(out)
    write_bytes(out / MODEL, content)
    write_json(out / CONFIG, asdict(config(manifest, content)))
    write_text(out / LICENCE, f"{terms(manifest)}\n")
    write_text(out / CARD, f"{_front_matter(artifact.stem, manifest, measured)}\n{card}\n{_usage(manifest)}")
    return out


def config(manifest: Manifest, content: bytes) -> HubConfig:
    """Return the Hub's configuration of an artifact, whose bytes say whether it resizes."""
    batch = manifest.batch or "batch"
    resizes = ("", "Resize") in contents(content, manifest.model).operators
    return HubConfig(
        model_type=manifest.model,
        id2label=dict(enumerate(manifest.labels)),
        label2id={label: number for number, label in enumerate(manifest.labels)},
        image_size=SIDE,
        num_channels=1,
        input=Tensor("pixels", "uint8", (batch, SIDE, SIDE)),
        outputs=tuple(Tensor(name, "float32", (batch, len(manifest.labels))) for name in ("logits", "probabilities")),
        in_the_file=(
            "grey values to [-1, 1]",
            *(["resizing"] if resizes else []),
            f"logits divided by the temperature {manifest.temperature.value:g}",
            "softmax",
        ),
        precision=manifest.precision,
        digest=manifest.digest,
    )


def _report(artifact: Path, manifest: Manifest, folder: Path | None) -> Report | None:
    beside = artifact.parent / "reports" / artifact.stem
    if folder is None and not (beside / REPORT_FILE).exists():
        return None
    report = read_report(folder or beside)
    if report.manifest.digest != manifest.digest:
        raise InputError(
            f"{folder or beside} is a report of another file (digest {report.manifest.digest[:12]}) than "
            f"{artifact.name} ({manifest.digest[:12]}); evaluate it again: ferox evaluate {artifact}"
        )
    return report


def _measured(manifest: Manifest, data: DataRecord, report: Report | None) -> list[Measured]:
    """What is known of the file itself: of a lower precision, the figures of float32 are not."""
    selection, parts = manifest.selection, manifest.parity.parts
    if report is not None:
        on, figures = report.evaluated_on, report.figures
        return [Measured(_faces(on), on.part, is_fer2013(on), figures.accuracy, figures.macro.f1.value)]
    if manifest.precision == "fp32" and selection is not None:
        faces = f"{selection.part} part of {printable(data.source)}, on which its epoch was picked"
        return [Measured(faces, selection.part, is_fer2013(data), selection.accuracy)]
    return [
        Measured(
            f"{part} part of {printable(data.source)}, {cost.faces:,} faces", part, is_fer2013(data), cost.accuracy
        )
        for part, cost in parts.items()
    ]


def _faces(on: EvaluatedOn) -> str:
    """The faces of a report, with all that flatters a figure on them."""
    words = [f"{on.scope} of {printable(on.source)}", f"{on.count:,} faces"]
    if on.trained_on:
        words.append(f"trained on {on.trained_on:,} of them")
    if on.selected_on:
        words.append("on which its epoch was picked")
    if on.augmentation != "none":
        words.append(f"with {on.augmentation} test-time augmentation")
    return ", ".join(words)


def _front_matter(name: str, manifest: Manifest, measured: list[Measured]) -> str:
    """The card's metadata as YAML, of which JSON is a part."""
    entries = {
        "license": "other",
        "license_name": "terms-of-the-training-data",
        "license_link": LICENCE,
        "library_name": "onnx",
        "pipeline_tag": TASK,
        "tags": ["onnx", "onnxruntime", "facial-emotion-recognition", printable(manifest.model), manifest.precision],
        **({"datasets": [FER2013]} if manifest.data is not None and is_fer2013(manifest.data) else {}),
        "metrics": list(dict.fromkeys(metric for one in measured for metric in one.metrics)),
        "model-index": [{"name": printable(name), "results": list(map(_result, measured))}],
    }
    lines = (f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in entries.items())
    return "\n".join(["---", *lines, "---", ""])


def _result(measured: Measured) -> dict[str, Any]:
    kind = FER2013 if measured.is_fer2013 else "other"
    return {
        "task": {"type": TASK, "name": "Facial emotion recognition"},
        "dataset": {"type": kind, "name": measured.faces, "split": measured.split},
        "metrics": [
            {"type": metric, "name": METRICS[metric], "value": value} for metric, value in measured.metrics.items()
        ],
    }


def _text(artifact: Path) -> str:
    """The model card that stands beside an artifact."""
    path = artifact.with_suffix(".md")
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no UTF-8"
        raise InputError(
            f"{printable(str(path))} cannot be read ({reason}); expected the model card that export wrote beside "
            f"{printable(artifact.name)}; copy it there, or export the run again"
        ) from error


def _usage(manifest: Manifest) -> str:
    return (
        "## Use\n\n"
        "Faces go in as they are: what `config.json` lists under `in_the_file` is not to be done before.\n\n"
        "```python\n"
        "import os\n\n"
        "# onnxruntime's own reporting; read when it is imported.\n"
        'os.environ["ORT_DISABLE_TELEMETRY"] = "1"\n'
        "import numpy, onnxruntime\n\n"
        f'session = onnxruntime.InferenceSession("{MODEL}")\n'
        f"faces = numpy.zeros(({manifest.batch or 1}, {SIDE}, {SIDE}), numpy.uint8)\n"
        'print(session.run(["probabilities"], {"pixels": faces})[0])\n'
        "```\n"
    )


def _check_target(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise InputError(f"{printable(str(out))} is a file, expected a folder; give another")
    if (out / CARD).exists() and not (out / MODEL).exists():
        raise InputError(
            f"{printable(str(out))} has a {CARD} and no {MODEL}: it is another project's; expected a new folder, or "
            "one that a model was written to before; give another"
        )
