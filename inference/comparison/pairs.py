"""What the comparison page says of models two by two: whether they differ, and how far twins agree."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from data.faceset import LABELS
from inference.comparison.contenders import ContenderGroup, twins
from inference.comparison.document import Group, PairRow, Twins

TWIN_FACES = 12


@dataclass(frozen=True)
class Difference:
    """A row's accuracy less a column's, in points; `ahead` or `behind` where the same faces tell the two apart."""

    pair: PairRow
    points: str
    kind: Literal["ahead", "behind", ""]


@dataclass(frozen=True)
class Disagreement:
    """A face uint8[48, 48] that twins answer differently: its label, its row in the data, and framework by answer."""

    pixels: NDArray[np.uint8]
    truth: str
    row: int
    answers: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class TwinsShown:
    """Twins, the framework of each by its name, and the faces on which they disagree with most confidence."""

    record: Twins
    frameworks: Mapping[str, str]
    faces: tuple[Disagreement, ...]


def differences(record: Group) -> list[list[Difference | None]]:
    """The matrix of all pairs, in the order of the rows; None where a row would be compared with itself."""
    names = [row.name for row in record.rows]
    cells: dict[tuple[str, str], Difference] = {}
    for pair in record.pairs:
        cells[pair.first, pair.second] = _difference(pair, pair.difference)
        cells[pair.second, pair.first] = _difference(pair, -pair.difference)
    return [[cells.get((row, column)) for column in names] for row in names]


def _difference(pair: PairRow, difference: float) -> Difference:
    # Adding 0 takes the sign from a zero.
    points = f"{round(100 * difference, 1) + 0.0:+.1f}"
    return Difference(pair, points, "" if not pair.differs else "ahead" if difference > 0 else "behind")


def p_value(p: float) -> str:
    """A p-value as people read it."""
    return "< 0.0001" if p < 0.0001 else f"{p:.4f}"


def twins_shown(record: Group, group: ContenderGroup) -> list[TwinsShown]:
    """The twins of a group with the faces that they disagree on."""
    shown = []
    for twin_record, indices in zip(record.twins, twins(group), strict=True):
        frameworks = dict(zip(twin_record.members, twin_record.frameworks, strict=True))
        shown.append(TwinsShown(twin_record, frameworks, _disagreements(group, indices)))
    return shown


def _disagreements(group: ContenderGroup, indices: Sequence[int]) -> tuple[Disagreement, ...]:
    members = [group.contenders[index] for index in indices]
    frameworks = [member.members[0].manifest.framework for member in members]
    predictions = np.stack([member.predictions for member in members])
    confidence = np.stack([member.probabilities.max(axis=1) for member in members]).min(axis=0)
    faces = np.flatnonzero((predictions != predictions[0]).any(axis=0))
    surest = faces[np.argsort(-confidence[faces], kind="stable")][:TWIN_FACES]
    records = group.answers.records
    return tuple(
        Disagreement(
            records["pixels"][face],
            LABELS[records["label"][face]],
            int(records["row"][face]),
            tuple(zip(frameworks, (LABELS[guess] for guess in predictions[:, face].tolist()), strict=True)),
        )
        for face in surest.tolist()
    )
