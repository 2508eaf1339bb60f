"""Divides a training part once more, into folds whose faces are answered by models that were trained on the others.

The folds are for looking for doubtful labels. Of the division that they belong to, nothing but the training part is in
them.
"""

from dataclasses import replace

import numpy as np

from data.errors import InputError
from data.faceset import LABELS, FaceSet
from data.splits import TRAINING_FOLDS, Indices, Split, SplitPlan, split_fingerprint

# Of each fold's other faces, one part in so many picks the best epoch, so that the fold itself picks nothing.
PICKING = 10


def training_folds(faces: FaceSet, division: Split, folds: int, seed: int = 0) -> list[Split]:
    """Divide the training part of `division` into stratified folds; exact copies are in one and the same fold.

    Each fold is the `test` part of one of the splits, all others together its `train` part but for a tenth, which is
    its `validation` part.

    Raises:
        InputError: there are not 2 to 100 folds, or too few faces of some class for them.
    """
    first = SplitPlan(TRAINING_FOLDS, seed=seed, folds=folds, fold=1)
    plans = [replace(first, fold=number) for number in range(1, folds + 1)]
    splits = []
    for plan, (others, held) in zip(plans, _grouped(faces, division.train, folds, seed), strict=True):
        train, validation = _grouped(faces, others, PICKING, seed, "left without one fold, ", " or more --folds")[0]
        splits.append(Split(plan, train, validation, held, split_fingerprint(faces, (train, validation, held))))
    return splits


def _grouped(
    faces: FaceSet, indices: Indices, folds: int, seed: int, which: str = "", remedy: str = ""
) -> list[tuple[Indices, Indices]]:
    """Return for each fold the other faces and its own, ascending; `which` and `remedy` are for the message."""
    from sklearn.model_selection import StratifiedGroupKFold

    labels, pictures = faces.labels[indices], faces.pictures[indices]
    for label in np.unique(labels).tolist():
        count = len(np.unique(pictures[labels == label]))
        if count < max(folds, PICKING):
            raise InputError(
                f"{faces.source} has {count} different {LABELS[label]} faces to train on, {which}expected at "
                f"least {max(folds, PICKING)}, so that every fold has one; use more faces"
                + (" or fewer --folds" if folds > PICKING else remedy)
            )
    divider = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    return [(indices[others], indices[held]) for others, held in divider.split(indices, labels, pictures)]
