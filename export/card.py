"""The model card that stands beside every artifact."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from inference.licence import terms
from inference.manifest import Manifest
from inference.measure.corruptions import Kind
from inference.measure.metrics import ClassFigures, wilson_interval
from inference.report.training_result import FinalFigures
from inference.text import percent
from training.epoch import AUGMENTATIONS, CORRUPTED
from training.run import RunRecord

USE = """## Use and misuse

Meant for comparing models, for teaching, and for interfaces in which a wrong label costs nothing. The label is a guess
about how a face looks in one picture, learned from labels that people disagree on. It says nothing certain about what a
person feels. Do not decide about people with it: not in hiring, schools, policing, medicine or insurance.

It knows grey, roughly frontal faces of 48x48 pixels, mostly posed or from the press, labelled by few people. Expect
more mistakes on profiles, covered faces, children, old people and groups that are rare in such pictures. It has no
answer for "none of these": every picture gets one of the seven labels.
"""


@dataclass(frozen=True)
class SpoiledFigures:
    """Accuracies, 0 to 1, on some faces of a part as they are, and spoiled: the mean of each kind's strengths."""

    part: str
    faces: int
    clean: float
    kinds: Mapping[Kind, float]


def model_card(manifest: Manifest, record: RunRecord, spoiled: SpoiledFigures | None = None) -> str:
    """Return a model card in Markdown from what the artifact and its run say of themselves, and its spoiled faces."""
    parts = [head(manifest), *_facts(manifest, record), ""]
    if record.test:
        parts += _classes(record.test, _as_trained(manifest))
    if spoiled:
        parts += _spoiled(spoiled, record)
    return "\n".join([*parts, USE, "## Licence\n", terms(manifest), ""])


def head(manifest: Manifest) -> str:
    """What the model is, and what goes in and comes out."""
    batch = manifest.batch or "batch"
    return (
        f"# {manifest.model}, {manifest.made}\n\n"
        f"Takes a grey 48x48 face crop (`pixels`, uint8 [{batch}, 48, 48]) and gives `logits` and `probabilities` "
        f"(float32 [{batch}, 7]) for {', '.join(manifest.labels)}.\n"
    )


def _facts(manifest: Manifest, record: RunRecord) -> list[str]:
    data, settings = record.data, record.settings
    rows = {
        "parameters": f"{manifest.parameters:,} ({manifest.precision})",
        "data": f"{data.source}, fingerprint `{data.fingerprint[:16]}`",
        "protocol": f"{data.protocol}: {', '.join(f'{count:,} {part}' for part, count in data.counts.items())}",
        **({"corrected": f"training faces: {data.corrections.words}"} if data.corrections else {}),
        "recipe": f"{settings.recipe}, seed {settings.seed}",
        **_selected(manifest),
    }
    if settings.weights != "none":
        rows["began with"] = f"the weights of {settings.weights}"
    if settings.teachers:
        rows["taught by"] = f"{', '.join(settings.teachers)}; {percent(settings.distillation)} of each label is theirs"
    if manifest.inherited:
        others = (
            f"{earlier.source} ({earlier.protocol}, fingerprint `{earlier.fingerprint[:16]}`)"
            for earlier in manifest.inherited
        )
        rows["these had learned from"] = ", ".join(others)
    if record.test:
        rows[f"test part{_as_trained(manifest)}"] = _accuracy(record.test)
    rows["parity"] = proof_words(manifest)
    rows |= _cost(manifest)
    if manifest.batch is not None:
        rows["batch"] = (
            f"fixed at {manifest.batch}: a program fills up what its faces leave of one, and drops the answers"
        )
    if manifest.features:
        rows["features"] = "the output `features` is what the last layer averages over all places"
    rows["temperature"] = temperature_words(manifest)
    rows["trained"] = f"{record.seconds:.0f} s on {record.machine.device}, commit `{record.commit or 'unknown'}`"
    return ["| | |", "|---|---|", *(f"| {name} | {text} |" for name, text in rows.items())]


def _selected(manifest: Manifest) -> dict[str, str]:
    if (selection := manifest.selection) is None:
        return {}
    return {"selected on": f"{selection.part}, epoch {selection.epoch}: accuracy {percent(selection.accuracy, 2)}"}


def _cost(manifest: Manifest) -> dict[str, str]:
    """What a lower precision costs, by part, and the layers that int8 leaves alone."""
    rows = {
        f"{manifest.precision} on {part}": (
            f"accuracy {percent(cost.accuracy_fp32, 2)} before, {percent(cost.accuracy, 2)} after; the same label on "
            f"{percent(cost.agreement, 2)} of {cost.faces:,} faces"
        )
        for part, cost in manifest.parity.parts.items()
    }
    if manifest.float_layers:
        rows["layers in float32"] = ", ".join(manifest.float_layers)
    return rows


def proof_words(manifest: Manifest) -> str:
    """How the float32 artifact was proven."""
    proof = manifest.parity.fp32 or manifest.parity
    return (
        f"{proof.faces:,} faces, largest logit difference {proof.largest_difference:.2g}, "
        f"{len(proof.near_ties)} near ties"
    )


def temperature_words(manifest: Manifest) -> str:
    """The temperature, and what it was fitted on."""
    temperature = manifest.temperature
    if temperature.faces is None or temperature.log_loss is None or temperature.log_loss_before is None:
        if manifest.adoption is not None:
            return f"{temperature.value:g}: it was adopted without a validation part to fit one on"
        return f"{temperature.value:g}: the {manifest.protocol} protocol has no validation part to fit one on"
    return (
        f"{temperature.value:.3f}, fitted on {temperature.faces:,} validation faces: log loss "
        f"{temperature.log_loss_before:.4f} before, {temperature.log_loss:.4f} after"
    )


def _accuracy(test: FinalFigures) -> str:
    low, high = wilson_interval(test.correct, test.faces)
    interval = f"95 % interval {percent(low, 2)} to {percent(high, 2)}"
    return f"accuracy {percent(test.accuracy, 2)} ({interval}) on {test.faces:,} faces"


def _as_trained(manifest: Manifest) -> str:
    """What figures of the training, which are float32's, are to say beside a file of a lower precision."""
    return "" if manifest.precision == "fp32" else ", in float32"


def _classes(test: FinalFigures, as_trained: str) -> list[str]:
    """Each class's figures on the test part, as trained, the worst recall first; classes without a face last."""
    figures = sorted(test.classes, key=lambda row: 2 if row.recall is None else row.recall)
    rows = [
        f"| {row.label} | {row.support:,} | {_share(row.precision)} | {_share(row.recall)} | {_share(row.f1)} |"
        for row in figures
    ]
    return [
        "## Where it fails",
        "",
        _weakest(figures, as_trained),
        "",
        "| class | faces | precision | recall | F1 |",
        "|---|---:|---:|---:|---:|",
        *rows,
        "",
    ]


def _weakest(figures: Sequence[ClassFigures], as_trained: str) -> str:
    """Name the class that is recognised worst, and all others of which more faces are missed than found."""
    weakest, *others = figures
    found = f"{weakest.label}, {_share(weakest.recall)} of those faces"
    sentence = f"What it recognises worst on the test part{as_trained}: {found}"
    missed = [row for row in others if row.recall is not None and row.recall < 0.5]
    if not missed:
        return sentence + "."
    names = " and ".join(f"{row.label} ({_share(row.recall)})" for row in missed)
    return f"{sentence}. It misses more than it finds of {names}, too."


def _spoiled(spoiled: SpoiledFigures, record: RunRecord) -> list[str]:
    """Accuracy on faces as cameras and networks spoil them; kinds that it was trained on stand apart."""
    augmentation = AUGMENTATIONS.get(record.settings.augmentation)
    trained = CORRUPTED if augmentation is not None and augmentation.corruption else ()
    rows = [
        f"| {kind} | {'yes' if kind in trained else 'no'} | {_share(share)} |" for kind, share in spoiled.kinds.items()
    ]
    mean = sum(spoiled.kinds.values()) / len(spoiled.kinds)
    return [
        "## On spoiled faces",
        "",
        f"Accuracy on {spoiled.faces:,} faces of the {spoiled.part} part: {_share(spoiled.clean)} as they are, "
        f"{_share(mean)} in the mean of seven kinds of corruption, three strengths each.",
        "",
        "| corruption | trained on it | accuracy |",
        "|---|---|---:|",
        *rows,
        "",
    ]


def _share(value: float | None) -> str:
    return percent(value, 1)
