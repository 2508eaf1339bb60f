"""What a model has already seen of the faces that it is to be judged by.

The random protocol's training part holds most of the official test part: a model must not be measured on
faces that it may know by heart unless somebody asks for just that, and the report then says so.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.errors import InputError
from data.faceset import FaceSet
from data.splits import Split, split
from inference.manifest import DataRecord, Manifest


@dataclass(frozen=True)
class Exposure:
    """How a model met the faces of an evaluation; None where that cannot be known.

    `same_faces`: they come from the very data that it, or a model that it began with or was taught by, was trained on;
    None of an adopted model, of which nobody knows what it was trained on: it may have seen any face.
    `trained_on` and `selected_on` count the faces that trained them, and those that their best epochs were picked on.
    `copies`, bool[N]: not trained on itself but equal, pixel for pixel, to a face that was.
    """

    same_faces: bool | None
    trained_on: int | None = None
    selected_on: int | None = None
    copies: NDArray[np.bool_] | None = None


def exposure(manifest: Manifest, faces: FaceSet, indices: NDArray[np.int64]) -> Exposure:
    """Rebuild the divisions of `faces` that the model has learned from, itself or through the models that it began
    with or was taught by, and look up `indices` in them."""
    if manifest.data is None:
        return Exposure(same_faces=None)
    learned = [record for record in manifest.learned if record.faces == faces.fingerprint]
    if not learned:
        return Exposure(same_faces=False)
    known = [division for record in learned if (division := _division(record, faces)) is not None]
    if len(known) < len(learned):
        return Exposure(same_faces=True)
    trained_part = np.concatenate([division.train for division in known])
    trained = np.isin(indices, trained_part)
    selected = np.isin(indices, np.concatenate([division.part(division.plan.selects_on) for division in known]))
    copies = np.isin(faces.pictures[indices], faces.pictures[trained_part]) & ~trained
    return Exposure(True, int(trained.sum()), int((selected & ~trained).sum()), copies)


def refuse_seen(name: str, manifest: Manifest, seen: Exposure, scope: str, count: int) -> None:
    """Raise `InputError` where the model was, or may have been, trained on faces of its own data.

    Args:
        name: the model, for the message.
        manifest: the model's.
        seen: what it has seen of the faces.
        scope: the faces in words, such as `random test part`.
        count: how many they are.
    """
    protocol = manifest.protocol
    if seen.same_faces and seen.trained_on is None:
        raise InputError(
            f"{name} was trained on a part of these faces, and they do not divide into the parts of its "
            f"{protocol} protocol as they did then, so that it may know the {scope}; give the data in the form "
            "that it was trained from, or say --allow-seen"
        )
    if seen.trained_on:
        raise InputError(
            f"{name} was trained on {seen.trained_on:,} of the {count:,} faces of the {scope}; leave out --protocol "
            f"and --part to use its own test part ({protocol}), or say --allow-seen to measure it all the same"
        )


def _division(record: DataRecord, faces: FaceSet) -> Split | None:
    try:
        division = split(faces, record.plan())
    except InputError:
        # Of the same pictures, but in another form: without a Usage, or with one that leaves a part empty.
        return None
    return division if division.fingerprint == record.fingerprint else None
