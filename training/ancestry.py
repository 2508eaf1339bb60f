"""Models that a training begins with or is taught by: what they learned from, it may not be tested on."""

from collections.abc import Iterable
from dataclasses import dataclass

from data.errors import InputError
from data.faceset import FaceSet
from data.splits import Split
from inference.manifest import DataRecord, Manifest


@dataclass(frozen=True)
class Ancestor:
    """A model by its file's stem and the start of its digest, and all that it has learned from."""

    name: str
    learned: tuple[DataRecord, ...]


def ancestor(stem: str, manifest: Manifest, faces: FaceSet, division: Split) -> Ancestor:
    """Return a model as an ancestor of one that is trained on this division of `faces`.

    Raises:
        InputError: it was adopted, so that nobody knows what it learned from; or it, or an ancestor of its own, learned
            from another division of the same faces: the new model would be tested on faces that it has learned.
    """
    if manifest.adoption is not None:
        raise InputError(
            f"{stem} was adopted, and what it was trained on is unknown: the new model could be tested on faces that "
            "it has learned; choose a model that was trained here"
        )
    for record in manifest.learned:
        if record.faces == faces.fingerprint and record.fingerprint != division.fingerprint:
            raise InputError(
                f"{stem} learned from the split {record.fingerprint[:8]}, this training's is "
                f"{division.fingerprint[:8]}; the new model could be tested on faces that it has learned; choose a "
                "model of the same data and protocol"
            )
    return Ancestor(f"{stem} {manifest.digest[:12]}", manifest.learned)


def inherited(ancestors: Iterable[Ancestor], data: DataRecord) -> tuple[DataRecord, ...]:
    """Return what ancestors learned from and the training itself does not, once each."""
    records = {record.fingerprint: record for ancestor in ancestors for record in ancestor.learned}
    return tuple(record for fingerprint, record in records.items() if fingerprint != data.fingerprint)


def overlaps(ancestors: Iterable[Ancestor], data: DataRecord) -> list[str]:
    """Return a sentence for each ancestor that learned from another set of faces, which may hold some of this one's."""
    sentences = []
    for ancestor in ancestors:
        if others := sorted({record.source for record in ancestor.learned if record.faces != data.faces}):
            sentences.append(
                f"{ancestor.name} learned from {', '.join(others)}, not from the very faces of {data.source}; where "
                "the two overlap, the test part may hold faces that it has learned"
            )
    return sentences
