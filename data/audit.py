"""Counts what a dataset holds and what is wrong with it: copies, leaks from test to training, blank faces."""

from dataclasses import dataclass

import numpy as np

from data.errors import printable
from data.faceset import LABELS, NO_USAGE, USAGES, FaceSet
from data.leftout import LeftOut


@dataclass(frozen=True)
class Audit:
    """What was found in N faces.

    Attributes:
        counts: faces of each class for each Usage (`unknown` where the source has none).
        copies: faces that are pixel-identical to an earlier one in canonical order.
        leaks: PublicTest or PrivateTest faces that are pixel-identical to a Training face.
        conflicting: pictures that stand there under more than one label.
        blank: faces whose pixels are all equal.
        skipped: rows left out on request.
        left_out: what else the reader did not take, by reason.
    """

    source: str
    faces: int
    fingerprint: str
    counts: dict[str, dict[str, int]]
    copies: int
    leaks: int
    conflicting: int
    blank: int
    skipped: int
    left_out: tuple[LeftOut, ...]


def audit(faces: FaceSet) -> Audit:
    """Count a dataset's classes, copies, leaks, conflicts and blanks."""
    pictures, labels = faces.pictures, faces.labels.astype(np.int64)
    training = np.unique(pictures[faces.usages == 0])
    tests = pictures[(faces.usages == 1) | (faces.usages == 2)]
    pairs = np.unique(np.stack([pictures, labels], axis=1), axis=0)
    flat = faces.pixels.reshape(len(faces), -1)
    return Audit(
        source=faces.source,
        faces=len(faces),
        fingerprint=faces.fingerprint,
        counts=_counts(faces),
        copies=len(faces) - len(np.unique(pictures)),
        leaks=int(np.isin(tests, training).sum()),
        conflicting=int((np.unique(pairs[:, 0], return_counts=True)[1] > 1).sum()),
        blank=int((flat.max(axis=1) == flat.min(axis=1)).sum()),
        skipped=faces.skipped,
        left_out=faces.left_out,
    )


def table(audited: Audit) -> str:
    """Return an audit as text for a terminal."""
    lines = [f"{'':10}" + "".join(f"{usage:>13}" for usage in audited.counts)]
    lines += [
        f"{label:10}" + "".join(f"{counts[label]:>13,}" for counts in audited.counts.values()) for label in LABELS
    ]
    lines.append(f"{'all':10}" + "".join(f"{sum(counts.values()):>13,}" for counts in audited.counts.values()))
    # Of a folder, the skipped ones are among those left out.
    left_out = sum(left.count for left in audited.left_out) or audited.skipped
    lines += [
        "",
        f"{audited.faces:,} faces in {printable(audited.source)}, {left_out:,} left out",
        *(f"{left.count:,} {left.reason}: {', '.join(map(printable, left.examples))}" for left in audited.left_out),
        f"{audited.copies:,} are exact copies of another face",
        f"{audited.leaks:,} test faces are pixel-identical to a training face",
        f"{audited.conflicting:,} pictures stand there under more than one label",
        f"{audited.blank:,} are blank",
        f"fingerprint {audited.fingerprint}",
    ]
    return "\n".join(lines)


def _counts(faces: FaceSet) -> dict[str, dict[str, int]]:
    names = {**dict(enumerate(USAGES)), NO_USAGE: "unknown"}
    return {
        name: dict(zip(LABELS, np.bincount(faces.labels[faces.usages == code], minlength=7).tolist(), strict=True))
        for code, name in names.items()
        if (faces.usages == code).any()
    }
