"""A training part without some of its faces, or with other labels for some, as a person has decided.

Whatever is decided, faces are divided as they are: validation and test parts, and with them what figures can be
compared with, stay the same. What is corrected is the training part alone, and it has a fingerprint of its own.
"""

import csv
import hashlib
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data.errors import InputError, printable
from data.faceset import LABELS, FaceSet
from data.files import write_text
from data.splits import Split

DROP_FILE, RELABEL_FILE = "dropped.csv", "relabelled.csv"
# A hundred bytes a face: far more faces than any training part has.
LARGEST_FILE = 1 << 28
DIGEST = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class LabelledPicture:
    """Which faces are meant: all of the training part whose pixels have this sha256, and whose label is this."""

    sha256: str
    given: str


@dataclass(frozen=True)
class Corrections:
    """Faces to drop, and faces that get another label, by what they are now."""

    dropped: frozenset[LabelledPicture] = frozenset()
    relabelled: Mapping[LabelledPicture, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.dropped or self.relabelled)

    def write(self, folder: Path) -> None:
        """Write them into a folder, as `read_corrections` reads them there."""
        dropped = sorted((face.sha256, face.given) for face in self.dropped)
        relabelled = sorted((face.sha256, face.given, likely) for face, likely in self.relabelled.items())
        if dropped:
            write_text(folder / DROP_FILE, _table(("sha256", "given"), dropped))
        if relabelled:
            write_text(folder / RELABEL_FILE, _table(("sha256", "given", "likely"), relabelled))


@dataclass(frozen=True)
class CorrectedPart:
    """A training part after corrections.

    Attributes:
        division: what it is part of, with the corrected `train`; validation, test and fingerprint are as they were.
        labels: uint8[N], those to train with, in the order of `division.train`.
        dropped: how many faces were dropped.
        relabelled: how many have another label.
        fingerprint: the sha256 over what is left, pixels and labels, as 64 hex digits.
    """

    division: Split
    labels: NDArray[np.uint8]
    dropped: int
    relabelled: int
    fingerprint: str


def read_corrections(drop: Path | None, relabel: Path | None) -> Corrections:
    """Read tables of faces to drop and to relabel, such as `ferox doubts` writes; None is none.

    Args:
        drop: CSV with the columns `sha256` (of the pixels, 64 hex digits) and `given` (the label's name).
        relabel: the same with the column `likely`, the name of the label to give instead.

    Raises:
        InputError: a table cannot be read, a line is wrong, or both speak of the same face; the sentence says where.
    """
    dropped = {} if drop is None else _read(drop, "given")
    relabelled = {} if relabel is None else _read(relabel, "likely")
    if drop is not None and relabel is not None and (both := dropped.keys() & relabelled.keys()):
        face = min(both, key=lambda face: face.sha256)
        raise InputError(
            f"{drop.name} and {relabel.name} both have the {face.given} face {face.sha256[:12]}, {len(both):,} in all; "
            "a face is dropped or relabelled: delete its line in one of them"
        )
    return Corrections(frozenset(dropped), relabelled)


def corrected(faces: FaceSet, division: Split, corrections: Corrections) -> CorrectedPart:
    """Apply corrections to the training part of a division.

    Raises:
        InputError: a face is not in the training part, or nothing would be left of a class.
    """
    records = faces.records[division.train]
    labels: NDArray[np.uint8] = records["label"].copy()
    kept, changed, met = np.ones(len(labels), bool), 0, set()
    named = set(corrections.dropped) | set(corrections.relabelled)
    for place, (digest, label) in enumerate(zip(records["digest"], labels.tolist(), strict=True)):
        face = LabelledPicture(digest.tobytes().hex(), LABELS[label])
        if face in named:
            met.add(face)
            kept[place] = face not in corrections.dropped
            labels[place] = LABELS.index(corrections.relabelled.get(face, face.given))
            changed += face in corrections.relabelled
    _refuse_strangers(faces, division, named - met)
    if gone := set(np.unique(records["label"]).tolist()) - set(np.unique(labels[kept]).tolist()):
        raise InputError(
            f"the corrections leave no {LABELS[min(gone)]} face to train on, expected at least one of every class "
            "that there is; delete lines"
        )
    train = division.train[kept]
    digest = hashlib.sha256(records["digest"][kept].tobytes() + labels[kept].tobytes()).hexdigest()
    parts = Split(division.plan, train, division.validation, division.test, division.fingerprint)
    return CorrectedPart(parts, labels[kept], int((~kept).sum()), changed, digest)


def _refuse_strangers(faces: FaceSet, division: Split, strangers: set[LabelledPicture]) -> None:
    if not strangers:
        return
    face = min(strangers, key=lambda face: (face.sha256, face.given))
    raise InputError(
        f"the corrections name {len(strangers):,} faces that are not in the {division.plan.protocol} training part of "
        f"{faces.source}, among them the {face.given} face {face.sha256[:12]}; only training faces are corrected: give "
        "the data and protocol that the table was made for, or delete these lines"
    )


def _read(path: Path, wanted: str) -> dict[LabelledPicture, str]:
    """Return what a table says of each face in its column `wanted`."""
    rows = csv.DictReader(io.StringIO(_text(path), newline=""), strict=True)
    try:
        found = rows.fieldnames or []
        if missing := [name for name in dict.fromkeys(("sha256", "given", wanted)) if found.count(name) != 1]:
            raise InputError(
                f"{path.name}, line 1: the column {missing[0]!r} stands there {found.count(missing[0])} times, "
                "expected it once; give a table that ferox doubts wrote, or one with such a header"
            )
        said: dict[LabelledPicture, str] = {}
        for row in rows:
            face, label = _row(row, wanted, f"{path.name}, line {rows.line_num}")
            if said.setdefault(face, label) != label:
                raise InputError(
                    f"{path.name}, line {rows.line_num}: the {face.given} face {face.sha256[:12]} is to be {label}, "
                    f"and {said[face]} in a line before; keep one of them"
                )
    except csv.Error as error:
        raise InputError(
            f"{path.name}, line {rows.line_num} is no line of a CSV table ({error}); mend or delete it"
        ) from error
    if not said:
        raise InputError(f"{path.name} names no face, expected one a line; leave the option out where none is meant")
    return said


def _row(row: Mapping[str | None, object], wanted: str, where: str) -> tuple[LabelledPicture, str]:
    if None in row or None in row.values():
        raise InputError(f"{where}: there are more or fewer fields than in the header; mend or delete the line")
    digest, given, label = (str(row[name]) for name in ("sha256", "given", wanted))
    if not DIGEST.fullmatch(digest):
        raise InputError(f"{where}: the sha256 is {printable(digest)[:70]!r}, expected 64 hex digits; mend the line")
    for name, value in (("given", given), (wanted, label)):
        if value not in LABELS:
            raise InputError(
                f"{where}: {name} is {printable(value)[:40]!r}, expected one of {', '.join(LABELS)}; mend the line"
            )
    if wanted != "given" and label == given:
        raise InputError(f"{where}: the face is {given} already, expected another label; mend or delete the line")
    return LabelledPicture(digest, given), label


def _text(path: Path) -> str:
    try:
        if not path.is_file():
            raise InputError(f"{path} is no file, expected a table that ferox doubts wrote; check the path")
        if (size := path.stat().st_size) > LARGEST_FILE:
            raise InputError(f"{path} has {size:,} bytes, expected at most {LARGEST_FILE:,}; give a table of faces")
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); check the path") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path.name} is not a text table; expected one that ferox doubts wrote") from error


def _table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    return text.getvalue()
