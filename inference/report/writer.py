"""What an evaluation leaves behind: one folder that a person can read and a program can recompute.

`report.json`, whose content is `inference.report.document.Report`, is written last and removed first, so that a folder
which holds one is whole.
"""

import csv
import io
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from data.errors import as_text
from data.faceset import LABELS, NO_USAGE, USAGES
from data.files import remove_temporaries, write_json, write_text
from inference.manifest import Manifest, data_record
from inference.measure.evaluation import Answers, Evaluation
from inference.measure.metrics import Summary
from inference.report.class_maps import ClassMaps, class_maps_record
from inference.report.document import (
    REPORT_FILE,
    VERSION,
    EvaluatedOn,
    LeftOutFiles,
    ModelFile,
    Report,
)
from inference.report.page import Mistake, render_page
from inference.report.plots import draw_abstention, draw_confusion, draw_reliability, draw_roc
from inference.text import percent

PREDICTIONS_FILE, PAGE_FILE, MAPS_FILE = "predictions.csv", "report.html", "maps.json"


@dataclass(frozen=True)
class Draft:
    """All that a report is written from, small enough to hand to another process."""

    report: Report
    answers: Answers
    maps: ClassMaps | None = None

    def write(self, out: Path) -> Path:
        """Write the report's folder into `out`, in place of an older one of the same name, and return it."""
        folder, figures = out / self.report.name, self.report.figures
        folder.mkdir(parents=True, exist_ok=True)
        remove_temporaries(folder)
        (folder / REPORT_FILE).unlink(missing_ok=True)
        title = f"{self.report.label}, {self.report.evaluated_on.scope}"
        draw_confusion(figures.confusion, folder / "confusion.png", f"Confusion: {title}")
        draw_roc(figures, folder / "roc.png", f"ROC, one against the rest: {title}")
        before = self.report.calibration.before if self.report.calibration else None
        draw_reliability(figures, folder / "reliability.png", f"Reliability: {title}", before)
        names = ["confusion", "roc", "reliability"]
        (folder / "abstention.png").unlink(missing_ok=True)
        if self.report.abstention is not None:
            words = f"Least confidence: {self.report.label}, validation part"
            draw_abstention(self.report.abstention, folder / "abstention.png", words)
            names.append("abstention")
        write_text(folder / PREDICTIONS_FILE, predictions_table(self.answers))
        pictures = {name: (folder / f"{name}.png").read_bytes() for name in names}
        (folder / MAPS_FILE).unlink(missing_ok=True)
        if self.maps is not None:
            write_json(folder / MAPS_FILE, class_maps_record(self.report.name, self.maps).to_dict())
        write_text(folder / PAGE_FILE, render_page(self.report, pictures, worst_of(self.answers), self.maps))
        write_json(folder / REPORT_FILE, self.report.to_dict())
        return folder


def draft(evaluation: Evaluation, maps: ClassMaps | None = None) -> Draft:
    """What the report of an evaluation is written from, with the maps of its classes where there are any."""
    return Draft(report_of(evaluation), evaluation.answers, maps)


def write_report(evaluation: Evaluation, out: Path, maps: ClassMaps | None = None) -> Path:
    """Write the report's folder into `out`, in place of an older one of the same name, and return it."""
    return draft(evaluation, maps).write(out)


def report_of(evaluation: Evaluation) -> Report:
    """The report of an evaluation."""
    task, figures = evaluation.assignment, evaluation.summary
    path, manifest, on = task.engine.path, task.engine.manifest, _evaluated_on(evaluation)
    return Report(
        report=VERSION,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        name=task.name,
        model=ModelFile(as_text(path.name), path.stat().st_size),
        manifest=manifest,
        evaluated_on=on,
        figures=figures,
        engine=evaluation.speed,
        notes=tuple(notes(manifest, on, figures)),
        calibration=evaluation.calibration,
        abstention=evaluation.abstention,
    )


def notes(manifest: Manifest, on: EvaluatedOn, figures: Summary) -> list[str]:
    """What a reader must know before believing the figures, one sentence each."""
    sentences = _corrected(manifest, on) + _adopted(manifest, on)
    if on.same_faces is False:
        sentences.append(
            "This is not the data it was trained on: its fingerprint is another, and whether the model has "
            "seen any of these faces is unknown."
        )
    elif on.same_faces and on.trained_on is None:
        sentences.append("Which of these faces it was trained on cannot be told from this form of the data.")
    if on.same_faces and (others := _other_sources(manifest, on.faces)):
        sentences.append(
            f"It, or a model that it began with or was taught by, also learned from other data ({', '.join(others)}): "
            "whether any of these faces are among that is unknown."
        )
    if on.trained_on:
        sentences.append(
            f"It was trained on {on.trained_on:,} of these {on.count:,} faces: the figures say what it "
            "remembers, not what it can do with a new face."
        )
    if on.selected_on:
        sentences.append(f"Its best epoch was picked on {on.selected_on:,} of these faces, which flatters its figures.")
    if on.copies:
        sentences.append(
            f"{on.copies:,} of these faces are exact copies of faces that it was trained on; without them "
            f"its accuracy is {percent(on.accuracy_without_copies, 2, 'undefined')}."
        )
    for part, cost in manifest.parity.parts.items():
        changed, before, after = (
            percent(share, 2) for share in (1 - cost.agreement, cost.accuracy_fp32, cost.accuracy)
        )
        sentences.append(
            f"{manifest.precision} changed its answer on {changed} of {cost.faces:,} faces of the {part} part: "
            f"accuracy {after}, against {before} in float32."
        )
    # Of a folder, the skipped ones are among those left out.
    if on.skipped_rows and not on.left_out:
        sentences.append(f"{on.skipped_rows:,} bad rows of the data were left out on request.")
    if on.left_out:
        parts = ", ".join(f"{left.count:,} {left.reason}" for left in on.left_out)
        sentences.append(f"Of the data's files some were not read: {parts}.")
    classes = figures.classes
    if absent := [row.label for row in classes if not row.support]:
        sentences.append(f"There is no {', no '.join(absent)} face here: what needs one is undefined.")
    if unsaid := [row.label for row in classes if row.support and row.precision is None]:
        sentences.append(f"It never answered {', nor '.join(unsaid)}: that precision and F1 are undefined, not 0.")
    return sentences


def _corrected(manifest: Manifest, on: EvaluatedOn) -> list[str]:
    if (corrections := manifest.corrections) is None:
        return []
    sentences = [
        f"Of its training faces some were corrected first ({corrections.words}); those that it is measured on have the "
        "labels that the data give them."
    ]
    # A manifest has their number only.
    if corrections.dropped and (on.trained_on or on.copies):
        sentences.append("Faces that were dropped count here as faces that it was trained on.")
    return sentences


def _adopted(manifest: Manifest, on: EvaluatedOn) -> list[str]:
    """What is to be said of figures of a model that others have trained on nobody knows what."""
    if (adoption := manifest.adoption) is None:
        return []
    sentences = [f"It was adopted; what it was trained on is {adoption.training_data}. It may know any of these faces."]
    if on.part in ("train", "all") and on.protocol != "random":
        sentences.append("Models are trained on these faces: if it was, too, the figures say what it remembers.")
    if adoption.validation is not None and not adoption.validation.is_above_chance:
        sentences.append("On its adopter's validation part it answered at chance: it is probably fed wrongly.")
    return sentences


def predictions_table(answers: Answers) -> str:
    """One line a face, as CSV: its index in canonical order, its row in the source, and the answer."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["index", "row", "usage", "label", "prediction", "correct", *LABELS])
    guesses = answers.probabilities.argmax(axis=1)
    for index, record, guess, shares in zip(
        answers.indices.tolist(), answers.records, guesses.tolist(), answers.probabilities, strict=True
    ):
        usage = "" if record["usage"] == NO_USAGE else USAGES[record["usage"]]
        label = int(record["label"])
        # Nine significant digits bring every float32 back as it was.
        digits = [f"{share:.9g}" for share in shares]
        table.writerow([index, record["row"], usage, LABELS[label], LABELS[guess], int(label == guess), *digits])
    return text.getvalue()


def worst_of(answers: Answers, count: int = 18) -> list[Mistake]:
    """The most confident mistakes, surest first."""
    guesses, labels = answers.probabilities.argmax(axis=1), answers.records["label"]
    wrong = np.flatnonzero(guesses != labels)
    confidence = answers.probabilities.max(axis=1)
    surest = wrong[np.argsort(-confidence[wrong], kind="stable")][:count]
    return [
        Mistake(answers.records["pixels"][face], LABELS[labels[face]], LABELS[guesses[face]], float(confidence[face]))
        for face in surest
    ]


def _evaluated_on(evaluation: Evaluation) -> EvaluatedOn:
    task = evaluation.assignment
    faces, seen = task.faces, task.seen
    copies = None if seen.copies is None else int(seen.copies.sum())
    rest = None if seen.copies is None else evaluation.correct[~seen.copies]
    return EvaluatedOn(
        **vars(data_record(faces.source, faces.fingerprint, task.split)),
        part=task.part,
        count=len(task.indices),
        skipped_rows=faces.skipped,
        same_faces=seen.same_faces,
        trained_on=seen.trained_on,
        selected_on=seen.selected_on,
        copies=copies,
        accuracy_without_copies=float(rest.mean()) if rest is not None and len(rest) else None,
        augmentation=task.augmentation,
        left_out=tuple(LeftOutFiles(left.reason, left.count) for left in faces.left_out),
    )


def _other_sources(manifest: Manifest, faces: str) -> list[str]:
    return sorted({record.source for record in manifest.learned if record.faces != faces})
