"""What decides about answers beside the pictures: it has to be the same on every machine that reads some."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from data.errors import InputError
from inference.batch.plan import fingerprint, library_versions
from inference.batch.worker import WorkerSettings
from inference.engine import read_artifact, verify_digest
from inference.photos.faces import YuNetFinder, finder


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What one machine has.

    Attributes:
        model: the artifact's digest.
        finder: `haar`, or the sha256 of the YuNet file.
        versions: of what reads pictures, finds faces and runs the model.
        pictures: the fingerprint of some of them, by which a machine finds out that it does not see the same folder.
    """

    model: str
    finder: str
    versions: dict[str, str]
    pictures: str


def conditions(settings: WorkerSettings, sample: Sequence[Path]) -> Conditions:
    """Return what this machine has, with `sample` for the pictures.

    Raises:
        InputError: model or finder cannot be read here.
    """
    search = finder(settings.yunet)
    return Conditions(
        model=verify_digest(read_artifact(settings.model), settings.model.name),
        finder=search.digest if isinstance(search, YuNetFinder) else "haar",
        versions=library_versions(),
        pictures=fingerprint(sample),
    )


def check(found: Conditions, expected: Conditions, where: str) -> None:
    """Raise an `InputError` where a machine would give other answers."""
    names = [each.name for each in fields(found) if getattr(found, each.name) != getattr(expected, each.name)]
    if not names:
        return
    said = (
        f"versions {found.versions}, expected {expected.versions}; install these"
        if names == ["versions"]
        else f"other {', '.join(names)}, expected what this machine has; give paths (--yunet, too) that all share"
    )
    raise InputError(f"{where} has {said}")
