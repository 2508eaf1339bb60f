"""Faces with their labels, in one canonical order, whatever form they were held in."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.leftout import LeftOut

SIDE = 48
LABELS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
USAGES = ("Training", "PublicTest", "PrivateTest")
NO_USAGE = 255

RECORD = np.dtype(
    [
        ("pixels", np.uint8, (SIDE, SIDE)),
        ("label", np.uint8),
        ("usage", np.uint8),
        ("row", np.int32),
        ("digest", np.uint8, (32,)),
    ]
)


@dataclass(frozen=True)
class FaceSet:
    """N faces in canonical order: by the sha256 of their pixels, then label, then usage.

    `records` has the dtype `RECORD` and may be a read-only memory map. `row` is the line of a table, or
    the place among a folder's sorted names, that the face came from. `skipped` counts bad rows left out on request,
    `left_out` what else the reader did not take, by reason.
    """

    records: NDArray[Any] = field(repr=False)
    source: str
    skipped: int = 0
    left_out: tuple[LeftOut, ...] = ()

    def __len__(self) -> int:
        return len(self.records)

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """uint8[N, 48, 48]."""
        return self.records["pixels"]

    @property
    def labels(self) -> NDArray[np.uint8]:
        """uint8[N], indices into `LABELS`."""
        return self.records["label"]

    @property
    def usages(self) -> NDArray[np.uint8]:
        """uint8[N], indices into `USAGES`, or `NO_USAGE` for all where the source has none."""
        return self.records["usage"]

    @property
    def has_usage(self) -> bool:
        """Whether the source says which face belongs to which official part."""
        return bool(len(self)) and bool((self.usages != NO_USAGE).all())

    @cached_property
    def fingerprint(self) -> str:
        """The sha256 over all pixels and labels, as 64 hex digits; independent of the source's form."""
        digest = hashlib.sha256(self.records["digest"].tobytes())
        digest.update(self.labels.tobytes())
        return digest.hexdigest()

    @cached_property
    def pictures(self) -> NDArray[np.int64]:
        """int64[N]: the same number for faces whose pixels are the same, 0 to the number of pictures - 1."""
        digests = self.records["digest"]
        if not len(digests):
            return np.zeros(0, np.int64)
        changes = (digests[1:] != digests[:-1]).any(axis=1)
        return np.concatenate([[0], np.cumsum(changes)]).astype(np.int64)


def face_set(
    pixels: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    usages: NDArray[np.uint8] | None = None,
    rows: Sequence[int] | NDArray[np.int32] | None = None,
    *,
    source: str,
    skipped: int = 0,
    left_out: tuple[LeftOut, ...] = (),
) -> FaceSet:
    """Put faces into canonical order.

    Args:
        pixels: uint8[N, 48, 48].
        labels: uint8[N], 0 to 6.
        usages: uint8[N], 0 to 2, or None where the source has no such column.
        rows: where each face stood in the source; 0 to N-1 by default.
        source: a name for messages and records, without the folders it lies in.
        skipped: how many bad rows were left out on request.
        left_out: what else was not taken.
    """
    count = len(pixels)
    records = np.empty(count, RECORD)
    records["pixels"] = pixels
    records["label"] = labels
    records["usage"] = NO_USAGE if usages is None else usages
    records["row"] = np.arange(count) if rows is None else rows
    flat = np.ascontiguousarray(pixels).reshape(count, SIDE * SIDE)
    digests = b"".join(hashlib.sha256(face.data).digest() for face in flat)
    records["digest"] = np.frombuffer(digests, np.uint8).reshape(count, 32)
    words = np.ascontiguousarray(records["digest"]).view(">u8").reshape(count, 4)
    order = np.lexsort((records["usage"], records["label"], *words.T[::-1]))
    return FaceSet(records[order], source, skipped, left_out)
