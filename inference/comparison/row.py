"""One contender as a record: what a row of a comparison's table is made from."""

from collections.abc import Iterable, Sequence

from inference.comparison.contenders import Contender
from inference.comparison.document import Row, Selected
from inference.manifest import Manifest
from inference.measure.curves import coverage
from inference.report.document import Report
from inference.report.writer import PREDICTIONS_FILE, notes


def row(contender: Contender) -> Row:
    """The record of a contender, with what was measured of it; None where it was not."""
    reports = [model.report for model in contender.members]
    manifests = [report.manifest for report in reports]
    single, batch = contender.timings or (None, None)
    confidences = contender.probabilities.max(axis=1).astype(float)
    right = contender.predictions == contender.answers.records["label"]
    return Row(
        name=contender.name,
        label=_label(contender, reports),
        kind="ensemble" if contender.is_ensemble else "model",
        members=tuple(report.name for report in reports),
        predictions=f"{'' if contender.is_ensemble else '../'}{contender.name}/{PREDICTIONS_FILE}",
        framework=_together(manifest.framework for manifest in manifests),
        model=_together(manifest.model for manifest in manifests),
        recipe=_together(report.recipe for report in reports),
        precision=_together(manifest.precision for manifest in manifests),
        protocol=_together(manifest.protocol for manifest in manifests),
        augmentation=_together(report.evaluated_on.augmentation for report in reports),
        parameters=sum(manifest.parameters for manifest in manifests),
        bytes=sum(report.model.bytes for report in reports),
        parity="passed" if all(manifest.parity.passed for manifest in manifests) else "not proven",
        selection=_selection(contender),
        figures=contender.summary,
        coverage=coverage(confidences, right),
        latency=single,
        throughput=batch,
        robustness=contender.robustness,
        notes=tuple(_notes(contender, reports)),
        calibration=None if contender.is_ensemble else reports[0].calibration,
        abstention=None if contender.is_ensemble else reports[0].abstention,
    )


def _together(values: Iterable[str]) -> str:
    return " + ".join(dict.fromkeys(values))


def _label(contender: Contender, reports: Sequence[Report]) -> str:
    if not contender.is_ensemble:
        return reports[0].label
    picked = "" if contender.choice is None else ", picked"
    return f"ensemble of {len(contender.members)}{picked}"


def _selection(contender: Contender) -> Selected:
    """On what the contender was selected: its part, how, and its figures there."""
    if not contender.is_ensemble:
        return selected(contender.members[0].manifest)
    if contender.choice is None:
        return Selected(how="named by hand")
    return Selected(how="picked greedily", part="validation", accuracy=contender.choice.accuracies[-1])


def selected(manifest: Manifest) -> Selected:
    """How a model's epoch was selected, as far as that is known."""
    if manifest.selection is None:
        return Selected(how="unknown")
    return Selected(how="best epoch", **vars(manifest.selection))


def _notes(contender: Contender, reports: Sequence[Report]) -> list[str]:
    """What qualifies the figures of a model, or of an ensemble by its own figures and what is true of all members."""
    if not contender.is_ensemble:
        return list(reports[0].notes)
    first, *others = (notes(report.manifest, report.evaluated_on, contender.summary) for report in reports)
    return [note for note in first if all(note in other for other in others)]
