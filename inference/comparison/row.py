"""One contender as a record: what a row of a comparison's table is made from."""

from collections.abc import Iterable, Sequence

from inference.comparison.contenders import Contender
from inference.comparison.document import Row, Selected
from inference.manifest import Selection
from inference.measure.curves import coverage
from inference.report.document import Report
from inference.report.writer import PREDICTIONS_FILE, notes


def row(one: Contender) -> Row:
    """The record of a contender, with what was measured of it; None where it was not."""
    reports = [model.report for model in one.members]
    manifests = [report.manifest for report in reports]
    single, batch = one.timings or (None, None)
    confidences, right = one.probabilities.max(axis=1).astype(float), one.predictions == one.answers.records["label"]
    return Row(
        name=one.name,
        label=_label(one, reports),
        kind="ensemble" if one.is_ensemble else "model",
        members=tuple(report.name for report in reports),
        predictions=f"{'' if one.is_ensemble else '../'}{one.name}/{PREDICTIONS_FILE}",
        framework=_together(manifest.framework for manifest in manifests),
        model=_together(manifest.model for manifest in manifests),
        recipe=_together(report.recipe for report in reports),
        precision=_together(manifest.precision for manifest in manifests),
        protocol=_together(manifest.data.protocol for manifest in manifests),
        augmentation=_together(report.evaluated_on.augmentation for report in reports),
        parameters=sum(manifest.parameters for manifest in manifests),
        bytes=sum(report.model.bytes for report in reports),
        parity="passed" if all(manifest.parity.passed for manifest in manifests) else "not proven",
        selection=_selection(one),
        figures=one.summary,
        coverage=coverage(confidences, right),
        latency=single,
        throughput=batch,
        robustness=one.robustness,
        notes=tuple(_notes(one, reports)),
    )


def _together(values: Iterable[str]) -> str:
    return " + ".join(dict.fromkeys(values))


def _label(one: Contender, reports: Sequence[Report]) -> str:
    if not one.is_ensemble:
        return reports[0].label
    picked = "" if one.choice is None else ", picked"
    return f"ensemble of {len(one.members)}{picked}"


def _selection(one: Contender) -> Selected:
    """On what the contender was selected: its part, how, and its figures there."""
    if not one.is_ensemble:
        return best_epoch(one.members[0].manifest.selection)
    if one.choice is None:
        return Selected(how="named by hand")
    return Selected(how="picked greedily", part="validation", accuracy=one.choice.accuracies[-1])


def best_epoch(selection: Selection) -> Selected:
    """How a model's epoch was selected."""
    return Selected(how="best epoch", **vars(selection))


def _notes(one: Contender, reports: Sequence[Report]) -> list[str]:
    """What qualifies the figures of a model, or of an ensemble by its own figures and what is true of all members."""
    if not one.is_ensemble:
        return list(reports[0].notes)
    first, *others = (notes(report.manifest, report.evaluated_on, one.summary) for report in reports)
    return [note for note in first if all(note in other for other in others)]
