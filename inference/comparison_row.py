"""One contender as a record: what a row of a comparison's table is made from."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from inference.contenders import Contender
from inference.curves import coverage, without_points
from inference.measurements import Measured
from inference.report import PREDICTIONS_FILE, document, notes
from inference.report_document import Report


def row(one: Contender, measured: Measured) -> dict[str, Any]:
    """The record of a contender, with what was measured of it; null where it was not."""
    reports = [document(member) for member in one.members]
    timings, robust = measured.timings.get(one.name), measured.robust.get(one.name)
    confidences, right = one.probabilities.max(axis=1).astype(float), one.predictions == one.answers.records["label"]
    return {
        "name": one.name,
        "label": _label(one, reports),
        "kind": "ensemble" if one.is_ensemble else "model",
        "members": [member.name for member in one.members],
        "predictions": f"{'' if one.is_ensemble else '../'}{one.name}/{PREDICTIONS_FILE}",
        **_manifests(reports),
        "selection": _selection(one),
        "figures": without_points(one.summary.to_dict()),
        "coverage": [asdict(step) for step in coverage(confidences, right)],
        "latency": asdict(timings[0]) if timings else None,
        "throughput": asdict(timings[1]) if timings else None,
        "robustness": asdict(robust) if robust else None,
        "notes": _notes(one, reports),
    }


def _label(one: Contender, reports: Sequence[Report]) -> str:
    if not one.is_ensemble:
        return reports[0].label
    picked = "" if one.choice is None else ", picked"
    return f"ensemble of {len(one.members)}{picked}"


def _manifests(reports: Sequence[Report]) -> dict[str, Any]:
    manifests = [report.manifest for report in reports]
    together = {
        "framework": [manifest.framework for manifest in manifests],
        "model": [manifest.model for manifest in manifests],
        "recipe": [report.recipe for report in reports],
        "precision": [manifest.precision for manifest in manifests],
        "protocol": [manifest.data.protocol for manifest in manifests],
        "augmentation": [report.evaluated_on.augmentation for report in reports],
    }
    return {name: " + ".join(dict.fromkeys(values)) for name, values in together.items()} | {
        "parameters": sum(manifest.parameters for manifest in manifests),
        "bytes": sum(report.model.bytes for report in reports),
        "parity": "passed" if all(manifest.parity.passed for manifest in manifests) else "not proven",
    }


def _selection(one: Contender) -> dict[str, Any]:
    """On what the contender was selected: its part, how, and its figures there."""
    if not one.is_ensemble:
        return {"how": "best epoch"} | asdict(one.members[0].manifest.selection)
    if one.choice is None:
        return {"how": "named by hand", "part": None, "epoch": None, "accuracy": None, "loss": None}
    accuracy = one.choice.accuracies[-1]
    return {"how": "picked greedily", "part": "validation", "epoch": None, "accuracy": accuracy, "loss": None}


def _notes(one: Contender, reports: Sequence[Report]) -> list[str]:
    """What qualifies the figures of a model, or of an ensemble by its own figures and what is true of all members."""
    if not one.is_ensemble:
        return list(reports[0].notes)
    first, *others = (notes(report.manifest, report.evaluated_on, one.summary) for report in reports)
    return [note for note in first if all(note in other for other in others)]
