"""What a job over many pictures is: the same command goes on with it, another one is refused."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, TypeVar

import cv2
import numpy as np
import onnxruntime
import PIL

from data.documents import Count, Number, Share, read_document, strict
from data.errors import InputError
from data.files import remove_temporaries, write_json
from inference.batch import Format
from inference.confidence import ALWAYS
from inference.photos.faces import Policy

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    Plan = TypeVar("Plan", bound=DataclassInstance)

VERSION = 1
PLAN_FILE = "job.json"


@dataclass(frozen=True, kw_only=True)
class BatchPlan:
    """All that decides what the shards hold.

    Attributes:
        job: the version of this document.
        model: the artifact's stem.
        digest: the artifact's.
        finder: `haar`, or the sha256 of the YuNet file.
        faces: how faces are found, see `inference.photos.faces.face_crops`.
        format: of the shards.
        shard: pictures in each shard but the last.
        pictures: how many there are.
        sources: the sha256 over every picture's path, size and time of change.
        versions: of what reads pictures, finds faces and runs the model.
        min_confidence: the least confidence at which a face has a label, 0 is always.
        decode_side: of a JPEG, the longer side that it keeps at least when it is decoded smaller; null is as it is.
    """

    __pydantic_config__: ClassVar = strict(job=VERSION)

    job: int
    model: str
    digest: str
    finder: str
    faces: Policy
    format: Format
    shard: Number
    pictures: Count
    sources: str
    versions: dict[str, str]
    min_confidence: Share = ALWAYS
    decode_side: Count | None = None

    def __post_init__(self) -> None:
        if self.job != VERSION:
            raise InputError(f"it is of version {self.job}, expected {VERSION}")

    @property
    def shards(self) -> int:
        """How many shards there are."""
        return -(-self.pictures // self.shard)

    def numbers(self, shard: int) -> range:
        """Return the numbers of a shard's pictures, from 0."""
        return range(shard * self.shard, min((shard + 1) * self.shard, self.pictures))

    def file(self, shard: int) -> str:
        """Return the name of a shard's file."""
        return f"part-{shard:05d}.{self.format}"


def fingerprint(files: Sequence[Path]) -> str:
    """Return the sha256 over the files' paths, sizes and times of change; a missing one counts as that."""
    digest = hashlib.sha256()
    for file in files:
        try:
            status = file.stat()
            state = f"{status.st_size} {status.st_mtime_ns}"
        except OSError:
            state = "missing"
        digest.update(os.fsencode(file) + b"\0" + state.encode() + b"\n")
    return digest.hexdigest()


def library_versions() -> dict[str, str]:
    """Return the versions of what decides about answers."""
    modules = {"numpy": np, "opencv": cv2, "pillow": PIL, "onnxruntime": onnxruntime}
    return {"ferox": version("ferox")} | {name: module.__version__ for name, module in modules.items()}


def keep_plan(folder: Path, plan: BatchPlan) -> list[int]:
    """Write a job's plan into its folder, or find the same one there; return the shards that are not finished.

    The folder has to be there, and locked: what a write has left behind is removed, and another's under way would be.

    Raises:
        InputError: the folder holds another job.
    """
    remove_temporaries(folder)
    check_same(folder / PLAN_FILE, plan)
    return [shard for shard in range(plan.shards) if not (folder / plan.file(shard)).exists()]


def check_same(file: Path, plan: "Plan") -> None:
    """Write a job's plan, a dataclass, to `file`, or find the same one there.

    Raises:
        InputError: another one is there.
    """
    if not file.exists():
        write_json(file, asdict(plan))
        return
    other = read_document(type(plan), file, "choose another --out")
    if differing := [each.name for each in fields(plan) if getattr(other, each.name) != getattr(plan, each.name)]:
        raise InputError(
            f"{file.parent} holds a job with other {', '.join(differing)} (see {file.name}); choose another --out, or "
            "repeat its own command to go on with it"
        )
