"""Writes the static site: what `make web` built, models, words, the face finder's numbers, and compressed copies."""

import gzip
import hashlib
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from data.documents import top_level
from data.errors import InputError, is_text
from data.faceset import LABELS
from data.files import write_bytes
from data.places import is_checkout
from demo.examples import draw_examples
from demo.state.shelf import title
from demo.view.words import EMOTIONS_ZH
from demo.web.cascade import NAME as CASCADE_NAME
from demo.web.cascade import frontal_faces
from demo.web.sentences import sentences
from inference.engine import Engine, read_artifact
from inference.report.plots import PALETTE

HERE = Path(__file__).parent
BUILT = HERE / "built"
STYLE = HERE.parent / "view" / "style.css"
SITE, WORKER, EMBED, LICENCES = "site.json", "service-worker.js", "embed.js", "licences.txt"
# What is not packed already; of the others compressed copies would be as large.
PACKED = (".jpg", ".png", ".br", ".gz")
Language = Literal["en", "zh"]


@dataclass(frozen=True)
class SiteModel:
    """An artifact of the site: its stem, its title for people, its file's address, its digest and its size in bytes."""

    name: str
    title: str
    file: str
    digest: str
    bytes: int


@dataclass(frozen=True)
class Site:
    """The content of `site.json`, which `src/site.ts` reads.

    `version` changes with any file; `files` are all that were written, but for `site.json` and the copies made by gzip;
    `embed` is whether other pages may ask for answers.
    """

    version: str
    embed: bool
    models: tuple[SiteModel, ...]
    words: Mapping[Language, Mapping[str, str]]
    emotions: Mapping[Language, Mapping[str, str]]
    colours: Mapping[str, str]
    examples: tuple[str, ...]
    files: tuple[str, ...]


def write_site(folder: Path, models: Sequence[Path], *, embed: bool = False) -> Site:
    """Write a site and return what it says of itself.

    Args:
        folder: absent, empty, or holding an earlier site, which is replaced; what else it holds then stays.
        models: artifacts; the first is the one that the page begins with.
        embed: whether to write what shows the page within others.

    Raises:
        InputError: the site's fixed part was not built, a model cannot be used or two have one name, or the folder
            holds something else.
    """
    fixed = _built()
    earlier = _earlier(folder)
    files = fixed | _model_files(models) | _example_files()
    described = _described(models)
    if not embed:
        del files[EMBED]
    examples = tuple(name for name in files if name.startswith("examples/"))
    files |= _texts(files)
    version = hashlib.sha256(b"".join(_mark(name, files[name]) for name in sorted(files))).hexdigest()[:16]
    site = Site(
        version=version,
        embed=embed,
        models=described,
        words={"en": sentences(False), "zh": sentences(True)},
        emotions={"en": {label: label for label in LABELS}, "zh": EMOTIONS_ZH},
        colours=dict(zip(LABELS, PALETTE, strict=True)),
        examples=examples,
        files=tuple(sorted(files)),
    )
    first = [name for name in site.files if not name.endswith((".br", ".onnx"))] + [described[0].file, SITE, "./"]
    files[WORKER] = _worker(files[WORKER], version, [name for name in first if name != WORKER])
    files[SITE] = json.dumps(asdict(site), ensure_ascii=False, allow_nan=False).encode()
    _write(folder, files, earlier)
    return site


def _built() -> dict[str, bytes]:
    """Return the files that `make web` made, by name."""
    if not (BUILT / WORKER).is_file():
        remedy = "run make web, which needs npm" if is_checkout() else "build the wheel where npm is (make wheel)"
        raise InputError(f"the page's scripts are not built: expected them in {BUILT}; {remedy}")
    return {path.name: path.read_bytes() for path in sorted(BUILT.iterdir()) if path.is_file()}


def _earlier(folder: Path) -> tuple[str, ...]:
    """Return the files of the site that is in the folder already."""
    if not folder.exists() or not any(folder.iterdir()):
        return ()
    try:
        document = top_level((folder / SITE).read_text())
    except (OSError, UnicodeDecodeError):
        document = None
    files = document.get("files") if document else None
    if not isinstance(files, list) or not all(isinstance(name, str) and _is_inside(name) for name in files):
        raise InputError(f"{folder} holds something else than a site of ferox; give a new or empty folder")
    return tuple(files)


def _is_inside(name: str) -> bool:
    return ".." not in Path(name).parts and not Path(name).is_absolute()


def _described(models: Sequence[Path]) -> tuple[SiteModel, ...]:
    engines = [Engine.load(path, provider="cpu") for path in models]
    return tuple(
        SiteModel(
            path.stem, title(path.stem), f"models/{quote(path.name)}", engine.manifest.digest, path.stat().st_size
        )
        for path, engine in zip(models, engines, strict=True)
    )


def _model_files(models: Sequence[Path]) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    for path in models:
        if not is_text(path.name):
            raise InputError(f"{path.name} is no name that a page can hold, expected UTF-8; rename the file")
        if f"models/{path.name}" in files:
            raise InputError(f"two models are called {path.name}, expected each once; rename one, or leave one out")
        files[f"models/{path.name}"] = read_artifact(path)
    return files


def _example_files() -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        return {f"examples/{path.name}": path.read_bytes() for path in draw_examples(Path(folder))}


def _texts(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the cascade, the look of the cards, and the licences of all that the site holds of others."""
    cascade, licence = frontal_faces()
    licences = f"{files[LICENCES].decode()}\n\n{CASCADE_NAME} of OpenCV, as cascade.json\n\n{licence}\n"
    return {
        "cascade.json": json.dumps(asdict(cascade), separators=(",", ":")).encode(),
        "style.css": STYLE.read_bytes(),
        LICENCES: licences.encode(),
    }


def _mark(name: str, content: bytes) -> bytes:
    return name.encode() + b"\0" + hashlib.sha256(content).digest()


def _worker(script: bytes, version: str, files: Sequence[str]) -> bytes:
    """Return the service worker's script with what it keeps: another version is another script, and taken up."""
    kept: dict[str, Any] = {"version": version, "files": files}
    return f"const FEROX_SITE = {json.dumps(kept)};\n".encode() + script


def _write(folder: Path, files: Mapping[str, bytes], earlier: Sequence[str]) -> None:
    """Write all files, `site.json` last, and remove those of an earlier site that are no more."""
    for name, content in files.items():
        write_bytes(folder / name, content)
        if not name.endswith(PACKED):
            write_bytes(folder / f"{name}.gz", gzip.compress(content, mtime=0))
    for name in set(earlier) - set(files):
        for path in (folder / name, folder / f"{name}.gz"):
            path.unlink(missing_ok=True)
