"""What watching a film is: the same command goes on with it, another one is refused."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from data.documents import Seconds, Share, strict
from data.errors import InputError
from inference.batch.plan import check_same, fingerprint, library_versions
from inference.confidence import ALWAYS
from inference.engine import Engine
from inference.photos.faces import Finder, Policy, YuNetFinder
from inference.video.camera import Camera
from inference.video.film import Film, av_module
from inference.video.sources import Kind, Source

VERSION = 1
PLAN_FILE = "watch.json"


@dataclass(frozen=True, kw_only=True)
class WatchPlan:
    """All that decides what the rows are.

    Attributes:
        watch: the version of this document.
        source: what is watched, without folders and passwords.
        kind: a film, a stream or a camera.
        state: the sha256 over a film's path, size and time of change, else empty.
        every: seconds between two moments, 0 for every frame.
        limit: seconds after which to stop, or null.
        model: the artifact's stem.
        digest: the artifact's.
        finder: `haar`, or the sha256 of the YuNet file.
        faces: how faces are come by.
        min_confidence: below it the model is unsure.
        versions: of what decodes films, finds faces and runs the model.
    """

    __pydantic_config__: ClassVar = strict(watch=VERSION)

    watch: int
    source: str
    kind: Kind
    state: str
    every: Seconds
    limit: Seconds | None
    model: str
    digest: str
    finder: str
    faces: Policy
    min_confidence: Share
    versions: dict[str, str]

    def __post_init__(self) -> None:
        if self.watch != VERSION:
            raise InputError(f"it is of version {self.watch}, expected {VERSION}")


def watch_plan(
    source: Source,
    engine: Engine,
    finder: Finder,
    faces: Policy,
    every: float,
    limit: float | None,
    min_confidence: float = ALWAYS,
) -> WatchPlan:
    """Return the plan of watching a source."""
    path = source.opening.source if isinstance(source, Film) else None
    decoder = {} if isinstance(source, Camera) else {"av": str(av_module().__version__)}
    return WatchPlan(
        watch=VERSION,
        source=source.name,
        kind="camera" if isinstance(source, Camera) else "film" if source.can_resume else "stream",
        state=fingerprint([path.resolve()]) if isinstance(path, Path) else "",
        every=every,
        limit=limit,
        model=engine.path.stem,
        digest=engine.manifest.digest,
        finder=finder.digest if isinstance(finder, YuNetFinder) else "haar",
        faces=faces,
        min_confidence=min_confidence,
        versions=library_versions() | decoder,
    )


def keep_watch_plan(folder: Path, plan: WatchPlan) -> None:
    """Write the plan into its folder, or find the same one there; an `InputError` where the folder holds another."""
    folder.mkdir(parents=True, exist_ok=True)
    check_same(folder / PLAN_FILE, plan)
