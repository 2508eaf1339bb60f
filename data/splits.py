"""Divides faces into training, validation and test parts that come out the same from any form of the data."""

import hashlib
from dataclasses import dataclass
from math import ceil
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from data.errors import InputError
from data.faceset import LABELS, NO_USAGE, USAGES, FaceSet

PROTOCOLS = ("official", "random", "kfold")
# For measuring alone: no division at all, every part is the whole.
WHOLE = "whole"
# For looking for doubtful labels alone: folds of another division's training part, made by `data.folds`.
TRAINING_FOLDS = "training-folds"
PARTS = ("train", "validation", "test")
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class SplitPlan:
    """How to divide faces.

    `official`: train on Training, select on PublicTest, test on PrivateTest. `random`: scikit-learn's
    `train_test_split` with `test_share` and `seed`, shuffled; the test part is also what the best epoch is
    picked on. `kfold`: the same with fold number `fold` (1 to `folds`) of a stratified k-fold as the test part.
    `WHOLE`, which nothing is trained by: every part is all faces. `TRAINING_FOLDS`, by which nothing is published: fold
    number `fold` of another division's training part.
    """

    protocol: str = "official"
    test_share: float = 0.2
    seed: int = 42
    drop_duplicates: bool = False
    folds: int = 5
    fold: int | None = None

    def __post_init__(self) -> None:
        if self.protocol not in (*PROTOCOLS, WHOLE, TRAINING_FOLDS):
            raise InputError(f"--protocol is {self.protocol!r}, expected one of {', '.join(PROTOCOLS)}")
        if not 0.01 <= self.test_share <= 0.9:
            raise InputError(f"--test-share is {self.test_share}, expected 0.01 to 0.9")
        if not 0 <= self.seed < 2**32:
            raise InputError(f"--split-seed is {self.seed}, expected 0 to {2**32 - 1}")
        if not 2 <= self.folds <= 100:
            raise InputError(f"--folds is {self.folds}, expected 2 to 100")
        folded = self.protocol in ("kfold", TRAINING_FOLDS)
        if folded and (self.fold is None or not 1 <= self.fold <= self.folds):
            raise InputError(f"--fold is {self.fold}, expected 1 to {self.folds} with --protocol {self.protocol}")
        if not folded and self.fold is not None:
            raise InputError(f"--fold {self.fold} belongs to --protocol kfold, not to {self.protocol!r}")

    @property
    def selects_on(self) -> Literal["validation", "test"]:
        """The part that the best epoch is picked on: validation, or test where a protocol has no validation part."""
        return "validation" if self.protocol in ("official", TRAINING_FOLDS) else "test"


@dataclass(frozen=True)
class Split:
    """Three parts as int64 indices into a `FaceSet`, ascending. For `random` and `kfold`, validation is test."""

    plan: SplitPlan
    train: Indices
    validation: Indices
    test: Indices
    fingerprint: str

    def part(self, name: str) -> Indices:
        """Return the part called `train`, `validation` or `test`; `all` where the plan is `WHOLE`."""
        if name == "all" and self.plan.protocol == WHOLE:
            return self.test
        if name not in PARTS:
            raise InputError(f"the part is {name!r}, expected one of {', '.join(PARTS)}")
        return {"train": self.train, "validation": self.validation, "test": self.test}[name]

    @property
    def counts(self) -> dict[str, int]:
        """How many faces each part has."""
        return {name: len(self.part(name)) for name in PARTS}


def split(faces: FaceSet, plan: SplitPlan) -> Split:
    """Divide `faces` as `plan` says.

    Raises:
        InputError: the protocol needs a Usage that the faces do not have, or a part would be empty.
    """
    kept = without_duplicates(faces) if plan.drop_duplicates else np.arange(len(faces))
    train, validation, test = DIVIDERS[plan.protocol](faces, kept, plan)
    for name, part in (("training", train), ("validation", validation), ("test", test)):
        if not len(part):
            raise InputError(f"{faces.source} leaves no faces for the {name} part; expected at least one")
    return Split(plan, train, validation, test, split_fingerprint(faces, (train, validation, test)))


def without_duplicates(faces: FaceSet) -> Indices:
    """Return the faces that remain when every picture is kept once, ascending.

    The copy kept is that of the part nearest to the final test (PrivateTest, PublicTest, Training), so that test
    parts lose only what they hold twice; among these, one with the label that most copies have.
    """
    pictures, labels = faces.pictures, faces.labels.astype(np.int64)
    votes = np.zeros((pictures[-1] + 1, len(LABELS)), np.int64)
    np.add.at(votes, (pictures, labels), 1)
    nearness = np.where(faces.usages == NO_USAGE, 0, faces.usages).astype(np.int64)
    best_first = np.lexsort((labels, -votes[pictures, labels], -nearness, pictures))
    first = np.unique(pictures[best_first], return_index=True)[1]
    return np.sort(best_first[first])


def _official(faces: FaceSet, kept: Indices, plan: SplitPlan) -> tuple[Indices, Indices, Indices]:
    if not faces.has_usage:
        raise InputError(
            f"{faces.source} does not say which faces belong to {', '.join(USAGES)}, which the official protocol "
            "needs; use --protocol random, or measure a model on all of them with --part all"
        )
    train, validation, test = (kept[faces.usages[kept] == code] for code in range(len(USAGES)))
    return train, validation, test


def _random(faces: FaceSet, kept: Indices, plan: SplitPlan) -> tuple[Indices, Indices, Indices]:
    from sklearn.model_selection import train_test_split

    tested = ceil(plan.test_share * len(kept))
    if not 0 < tested < len(kept):
        raise InputError(
            f"{faces.source} holds {len(kept)} faces, of which a --test-share of {plan.test_share:g} leaves none to "
            "train on; expected more faces or a smaller share"
        )
    train, test = train_test_split(kept, test_size=plan.test_share, random_state=plan.seed, shuffle=True)
    return np.sort(train), np.sort(test), np.sort(test)


def _kfold(faces: FaceSet, kept: Indices, plan: SplitPlan) -> tuple[Indices, Indices, Indices]:
    from sklearn.model_selection import StratifiedKFold

    labels = faces.labels[kept]
    if np.bincount(labels).max() < plan.folds:
        raise InputError(f"{faces.source} has fewer than {plan.folds} faces of every class; use fewer --folds")
    folds = StratifiedKFold(plan.folds, shuffle=True, random_state=plan.seed).split(kept, labels)
    train, test = list(folds)[(plan.fold or 1) - 1]
    return kept[train], kept[test], kept[test]


def _whole(faces: FaceSet, kept: Indices, plan: SplitPlan) -> tuple[Indices, Indices, Indices]:
    return kept, kept, kept


def _training_folds(faces: FaceSet, kept: Indices, plan: SplitPlan) -> tuple[Indices, Indices, Indices]:
    raise InputError(
        "this training is a fold of ferox doubts, which asks it about doubtful labels and nothing else; expected a run "
        "of ferox train; train a model of its own"
    )


DIVIDERS = {
    "official": _official,
    "random": _random,
    "kfold": _kfold,
    WHOLE: _whole,
    TRAINING_FOLDS: _training_folds,
}


def split_fingerprint(faces: FaceSet, parts: tuple[Indices, ...]) -> str:
    """The sha256 over the faces' fingerprint and the places of each part's faces, as 64 hex digits."""
    digest = hashlib.sha256(faces.fingerprint.encode())
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part.astype("<i8").tobytes())
    return digest.hexdigest()
