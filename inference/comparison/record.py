"""What a comparison leaves behind for programs; `docs/report-schema.md` and `comparison.schema.json` describe it."""

import csv
import io
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from data.faceset import LABELS
from data.files import remove_temporaries, write_json, write_text
from inference.comparison.contenders import Contender, Table, twins
from inference.comparison.document import (
    VERSION,
    Comparison,
    ComparisonMachine,
    ComparisonSeconds,
    Condition,
    Group,
    PairRow,
    Pick,
    Spoiling,
    TwinPair,
    Twins,
)
from inference.comparison.measurements import Measured
from inference.comparison.row import row
from inference.machine import available_cpus, processor_name
from inference.measure.corruptions import STRENGTHS, UNITS
from inference.measure.paired import Pair, pairs
from inference.measure.robustness import CONDITIONS, SEED
from inference.report.document import REPORT_FILE
from inference.report.writer import PREDICTIONS_FILE, document, predictions_table

PAGE_FILE = "compare.html"


def comparison(tables: Sequence[Table], measured: Measured) -> Comparison:
    """What a comparison of `tables` says."""
    first = tables[0].contenders[0].members[0].speed
    return Comparison(
        comparison=VERSION,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=ComparisonMachine(
            processor=processor_name(),
            processors=available_cpus(),
            threads=first.threads,
            providers=first.providers,
            onnxruntime=first.onnxruntime,
            load=measured.load,
        ),
        seconds=ComparisonSeconds(measured.evaluation_seconds, measured.engine_seconds),
        tables=tuple(_group(table, measured, number) for number, table in enumerate(tables, 1)),
    )


def write_comparison(content: Comparison, tables: Sequence[Table], page: str, folder: Path) -> Path:
    """Write a comparison's folder, its `report.json` last, and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    remove_temporaries(folder)
    (folder / REPORT_FILE).unlink(missing_ok=True)
    for table, record in zip(tables, content.tables, strict=True):
        for one in (one for one in table.contenders if one.is_ensemble):
            write_text(folder / one.name / PREDICTIONS_FILE, predictions_table(one.answers))
        for group, found in zip(twins(table), record.twins, strict=True):
            write_text(folder / found.file, disagreements_table(table, group))
    write_text(folder / PAGE_FILE, page)
    write_json(folder / REPORT_FILE, content.to_dict())
    return folder


def disagreements_table(table: Table, group: Sequence[int]) -> str:
    """The faces on which twins disagree, as CSV: index, row, truth, and what each answered."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["index", "row", "label", *(table.contenders[place].name for place in group)])
    answers, predictions = table.answers, table.predictions[list(group)]
    for place in (predictions != predictions[0]).any(axis=0).nonzero()[0].tolist():
        said = [LABELS[guess] for guess in predictions[:, place].tolist()]
        record = answers.records[place]
        rows.writerow([answers.indices[place], record["row"], LABELS[record["label"]], *said])
    return text.getvalue()


def _group(table: Table, measured: Measured, number: int) -> Group:
    first = document(table.contenders[0].members[0])
    on, own = first.evaluated_on, first.manifest.data
    compared = pairs(table.labels, table.predictions)
    names = [one.name for one in table.contenders]
    return Group(
        heading=table.heading,
        protocol=on.protocol,
        part=on.part,
        source=on.source,
        faces=on.count,
        fingerprint=on.fingerprint,
        trained_protocol=own.protocol,
        trained_fingerprint=own.fingerprint,
        notes=table.notes,
        pick=pick(table, compared),
        rows=tuple(row(one, measured) for one in table.contenders),
        pairs=tuple(_pair(names, pair) for pair in compared),
        twins=tuple(
            _twins(table, group, compared, f"disagreements-{number}-{place}.csv")
            for place, group in enumerate(twins(table), 1)
        ),
        robustness=_spoiling(measured.robust_faces.get(table.heading)),
    )


def pick(table: Table, compared: Sequence[Pair]) -> Pick | None:
    """The contender with the best accuracy on the validation part, and those that the test part cannot tell from it.

    None where no contender was selected on a part other than the one it is tested on. Models of lower precision have
    the validation figure that their export measured; those under test-time augmentation have none of their own.
    """
    validated = {place: _validated(one) for place, one in enumerate(table.contenders)}
    figures = {place: accuracy for place, accuracy in validated.items() if accuracy is not None}
    if not figures:
        return None
    best = max(figures, key=lambda place: figures[place])
    alike = [
        pair.second if pair.first == best else pair.first
        for pair in compared
        if best in (pair.first, pair.second) and not pair.differs
    ]
    names = [one.name for one in table.contenders]
    return Pick(
        name=names[best],
        validation_accuracy=figures[best],
        not_told_apart=tuple(names[place] for place in sorted(alike)),
    )


def _validated(one: Contender) -> float | None:
    if one.choice is not None:
        return one.choice.accuracies[-1]
    evaluation = one.members[0]
    manifest, selection = evaluation.manifest, evaluation.manifest.selection
    untouched = selection.part == "validation" and not evaluation.seen.selected_on
    if one.is_ensemble or evaluation.augmentation != "none" or not untouched:
        return None
    if manifest.precision == "fp32":
        return selection.accuracy
    cost = manifest.parity.parts.get("validation")
    return None if cost is None else cost.accuracy


def _pair(names: Sequence[str], pair: Pair) -> PairRow:
    return PairRow(
        first=names[pair.first],
        second=names[pair.second],
        difference=pair.difference,
        interval=pair.interval,
        only_first=pair.mcnemar.only_first,
        only_second=pair.mcnemar.only_second,
        exact=pair.mcnemar.exact,
        mid_p=pair.mcnemar.mid_p,
        holm=pair.holm,
        differs=pair.differs,
        agreement=pair.agreement,
        kappa=pair.kappa,
    )


def _twins(table: Table, group: Sequence[int], compared: Sequence[Pair], file: str) -> Twins:
    names = [one.name for one in table.contenders]
    predictions = table.predictions[list(group)]
    return Twins(
        model=document(table.contenders[group[0]].members[0]).label,
        members=tuple(names[place] for place in group),
        frameworks=tuple(table.contenders[place].members[0].manifest.framework for place in group),
        pairs=tuple(
            TwinPair(
                first=names[pair.first],
                second=names[pair.second],
                kappa=pair.kappa,
                agreement=pair.agreement,
                identical=_identical(table.contenders[pair.first], table.contenders[pair.second]),
            )
            for pair in compared
            if pair.first in group and pair.second in group
        ),
        disagreements=int((predictions != predictions[0]).any(axis=0).sum()),
        file=file,
    )


def _identical(first: Contender, second: Contender) -> bool:
    return first.probabilities.tobytes() == second.probabilities.tobytes()


def _spoiling(faces: int | None) -> Spoiling | None:
    if faces is None:
        return None
    conditions = tuple(
        Condition(kind=kind, level=level, strength=STRENGTHS[kind][level - 1], unit=UNITS[kind])
        for kind, level in CONDITIONS
    )
    return Spoiling(faces, SEED, conditions)
