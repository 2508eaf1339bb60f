"""What a comparison leaves behind for programs; `docs/reports.md` describes it."""

import csv
import io
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from data.faceset import LABELS
from data.files import remove_temporaries, write_json, write_text
from inference.comparison.contenders import Contender, ContenderGroup, twins
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
    not_told_apart,
)
from inference.comparison.row import row
from inference.machine import available_cpus, processor_name
from inference.manifest import UNKNOWN, DataRecord
from inference.measure.corruptions import STRENGTHS, UNITS
from inference.measure.paired import Pair, pairs
from inference.measure.robustness import CONDITIONS, SEED
from inference.report.document import REPORT_FILE
from inference.report.writer import PREDICTIONS_FILE, predictions_table

PAGE_FILE = "compare.html"


def comparison(groups: Sequence[ContenderGroup], seconds: ComparisonSeconds, load: float | None) -> Comparison:
    """What a comparison of `groups` says.

    Args:
        groups: all contenders, with what was measured of them.
        seconds: what the evaluations took.
        load: the mean number of processes that wanted a processor in the minute before all, None where unknown.
    """
    first = groups[0].contenders[0].members[0].evaluation.speed
    return Comparison(
        comparison=VERSION,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=ComparisonMachine(
            processor=processor_name(),
            processors=available_cpus(),
            threads=first.threads,
            providers=first.providers,
            onnxruntime=first.onnxruntime,
            load=load,
        ),
        seconds=seconds,
        tables=tuple(_group(group, number) for number, group in enumerate(groups, 1)),
    )


def write_comparison(content: Comparison, groups: Sequence[ContenderGroup], page: str, folder: Path) -> Path:
    """Write a comparison's folder, its `report.json` last, and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    remove_temporaries(folder)
    (folder / REPORT_FILE).unlink(missing_ok=True)
    for group, record in zip(groups, content.tables, strict=True):
        for ensemble in (contender for contender in group.contenders if contender.is_ensemble):
            write_text(folder / ensemble.name / PREDICTIONS_FILE, predictions_table(ensemble.answers))
        for indices, twin_record in zip(twins(group), record.twins, strict=True):
            write_text(folder / twin_record.file, disagreements_table(group, indices))
    write_text(folder / PAGE_FILE, page)
    write_json(folder / REPORT_FILE, content.to_dict())
    return folder


def disagreements_table(group: ContenderGroup, indices: Sequence[int]) -> str:
    """The faces on which twins, at `places`, disagree, as CSV: index, row, truth, and what each answered."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["index", "row", "label", *(group.contenders[index].name for index in indices)])
    answers, predictions = group.answers, group.predictions[list(indices)]
    for face in (predictions != predictions[0]).any(axis=0).nonzero()[0].tolist():
        said = [LABELS[guess] for guess in predictions[:, face].tolist()]
        record = answers.records[face]
        rows.writerow([answers.indices[face], record["row"], LABELS[record["label"]], *said])
    return text.getvalue()


def _group(group: ContenderGroup, number: int) -> Group:
    first = group.contenders[0].members[0].report
    on, trained_on = first.evaluated_on, trained_data(group)
    compared = pairs(group.labels, group.predictions)
    names = [contender.name for contender in group.contenders]
    pair_rows = tuple(_pair(names, pair) for pair in compared)
    return Group(
        heading=group.heading,
        protocol=on.protocol,
        part=on.part,
        source=on.source,
        faces=on.count,
        fingerprint=on.fingerprint,
        trained_protocol=UNKNOWN if trained_on is None else trained_on.protocol,
        trained_fingerprint=UNKNOWN if trained_on is None else trained_on.fingerprint,
        notes=group.notes,
        pick=pick(group, pair_rows),
        rows=tuple(map(row, group.contenders)),
        pairs=pair_rows,
        twins=tuple(
            _twins(group, indices, compared, f"disagreements-{number}-{twin_number}.csv")
            for twin_number, indices in enumerate(twins(group), 1)
        ),
        robustness=_spoiling(group.spoiled_faces),
    )


def trained_data(group: ContenderGroup) -> DataRecord | None:
    """What the models of a group were trained on, which they have in common; None where all of them were adopted."""
    manifests = (model.manifest for contender in group.contenders for model in contender.members)
    return next((manifest.data for manifest in manifests if manifest.data is not None), None)


def pick(group: ContenderGroup, pair_rows: Sequence[PairRow]) -> Pick | None:
    """The contender with the best accuracy on the validation part, and those that the test part cannot tell from it.

    None where no contender was selected on a part other than the one it is tested on. Models of lower precision have
    the validation figure that their export measured; those under test-time augmentation have none of their own.
    """
    validated = {contender.name: _validated(contender) for contender in group.contenders}
    accuracies = {name: accuracy for name, accuracy in validated.items() if accuracy is not None}
    if not accuracies:
        return None
    best = max(accuracies, key=lambda name: accuracies[name])
    alike = not_told_apart(best, pair_rows)
    return Pick(name=best, validation_accuracy=accuracies[best], not_told_apart=alike)


def _validated(contender: Contender) -> float | None:
    if contender.choice is not None:
        return contender.choice.accuracies[-1]
    task, manifest = contender.members[0].assignment, contender.members[0].manifest
    selection = manifest.selection
    if selection is None or contender.is_ensemble or task.augmentation != "none":
        return None
    if selection.part != "validation" or task.seen.selected_on:
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


def _twins(group: ContenderGroup, indices: Sequence[int], compared: Sequence[Pair], file: str) -> Twins:
    names = [contender.name for contender in group.contenders]
    models = [group.contenders[index].members[0] for index in indices]
    predictions = group.predictions[list(indices)]
    return Twins(
        model=models[0].report.label,
        members=tuple(names[index] for index in indices),
        frameworks=tuple(model.manifest.framework for model in models),
        pairs=tuple(
            TwinPair(
                first=names[pair.first],
                second=names[pair.second],
                kappa=pair.kappa,
                agreement=pair.agreement,
                identical=_identical(group.contenders[pair.first], group.contenders[pair.second]),
            )
            for pair in compared
            if pair.first in indices and pair.second in indices
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
