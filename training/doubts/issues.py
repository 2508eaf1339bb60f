"""Which labels are probably wrong, by confident learning over out-of-sample answers.

Source: Northcutt, Jiang and Chuang 2021, "Confident Learning: Estimating Uncertainty in Dataset Labels",
https://arxiv.org/abs/1911.00068, as cleanlab has it.
"""

import csv
import io
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.commands import how_to_install
from data.errors import InputError
from data.faceset import LABELS, FaceSet
from data.splits import Indices

MISSING_CLEANLAB = "doubtful labels are found by cleanlab, which is not installed; {}"


@dataclass(frozen=True)
class Doubt:
    """A face whose label is probably wrong; copies that have the same label are one doubt.

    Attributes:
        sha256: of its pixels, as 64 hex digits.
        given: its label.
        likely: the class that the models give most to.
        score: how much they give to the label, 0 to 1; the least stand first.
        likely_score: how much they give to the likely class.
        copies: how many faces of the training part have these pixels and this label.
        row: where one of them stood in the source.
    """

    sha256: str
    given: str
    likely: str
    score: float
    likely_score: float
    copies: int
    row: int


def find_doubts(faces: FaceSet, indices: Indices, probabilities: NDArray[np.float64]) -> list[tuple[int, Doubt]]:
    """Return the doubtful of the faces `indices`, each with its place in `faces`, most doubtful first.

    Confident learning counts, for each pair of classes, the faces labelled as one that the models hold to be the other
    with more confidence than that one's own faces get on the average; as many faces of each pair are doubted as the
    counts estimate to be wrong, those whose two probabilities lie furthest apart (cleanlab's `prune_by_noise_rate`).

    Args:
        faces: all faces.
        indices: int64[N], those that were asked about.
        probabilities: float64[N, 7] of these, by models that have not learned from them.
    """
    labels = faces.labels[indices].astype(np.int64)
    found: dict[tuple[str, str], tuple[int, Doubt]] = {}
    copies = np.unique(np.stack([faces.pictures[indices], labels]), axis=1, return_inverse=True, return_counts=True)
    for place in _ranked(labels, probabilities).tolist():
        face = int(indices[place])
        record, shares = faces.records[face], probabilities[place]
        doubt = Doubt(
            sha256=bytes(record["digest"]).hex(),
            given=LABELS[labels[place]],
            likely=LABELS[int(shares.argmax())],
            score=float(shares[labels[place]]),
            likely_score=float(shares.max()),
            copies=int(copies[2][copies[1].ravel()[place]]),
            row=int(record["row"]),
        )
        found.setdefault((doubt.sha256, doubt.given), (face, doubt))
    return list(found.values())


def _ranked(labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the places of doubtful labels, those that the models give least to first."""
    find_label_issues = label_issues()
    with warnings.catch_warnings():
        # A class that the data do not have has nothing to be flagged.
        warnings.filterwarnings("ignore", "May not flag all label issues", UserWarning)
        ranked = find_label_issues(labels, probabilities, return_indices_ranked_by="self_confidence", n_jobs=1)
    return np.asarray(ranked, np.int64)


def label_issues() -> Any:
    """Import cleanlab's `find_label_issues`; an `InputError` where it is not installed."""
    try:
        from cleanlab.filter import find_label_issues
    except ImportError as error:
        raise InputError(MISSING_CLEANLAB.format(how_to_install("doubts"))) from error
    return find_label_issues


def doubts_table(doubts: Sequence[Doubt]) -> str:
    """One line a doubt, as CSV; `--drop` and `--relabel` of a training read it."""
    text = io.StringIO()
    table = csv.DictWriter(text, [field.name for field in fields(Doubt)], lineterminator="\n")
    table.writeheader()
    for doubt in doubts:
        # A score's nine digits bring a float32 back as it was.
        table.writerow(asdict(doubt) | {"score": f"{doubt.score:.9g}", "likely_score": f"{doubt.likely_score:.9g}"})
    return text.getvalue()
