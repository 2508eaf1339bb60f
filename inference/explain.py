"""What a model looked at in the faces of pictures: `ferox explain IMAGE|FOLDER...`.

Of each picture there is a document, `inference.saliency.document.PictureExplanation`, and of each face of it a PNG.
With `--json`, stdout is one strict JSON list of the documents, in the order given, and files are written only where
`--out` says so.
"""

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from data.commands import BAD_INPUT
from data.errors import as_text, printable
from data.files import whole_file, write_text
from data.leftout import Tally, sentence
from data.places import explanations_folder
from data.terminal import hand_over, say, warn
from inference.catalogue import DEFAULT, find_model
from inference.engine import Engine
from inference.photos.faces import HaarFinder, finder, finder_words
from inference.photos.files import picture_files
from inference.photos.reading import predict_files
from inference.predict import NO_FACE
from inference.saliency.document import PictureExplanation, picture_explanation
from inference.saliency.explaining import Explainer, FaceExplanation, explainer
from inference.saliency.heat import side_by_side

LONGEST_NAME = 100  # Characters of a picture's name in the names of files.


def main(args: argparse.Namespace) -> int:
    """Explain `args.images`; return 2 if any of several could not be read, else 0.

    Args:
        args: images (list[Path]), model (Path or None: the default one), method (str or None), faces ("auto" or
            "whole"), yunet (Path or None), json (bool), out (Path or None), provider (str), threads (int or None).

    Raises:
        InputError: a path is missing, a folder holds no pictures, the only picture cannot be read, or the model cannot
            be used, or not with this method.
    """
    search = finder(args.yunet)
    if args.faces == "auto" and isinstance(search, HaarFinder):
        say(f"note: {finder_words(search)}")
    left_out = Tally()
    files = picture_files(args.images, left_out)
    if left_out.found:
        warn(sentence(left_out.sorted()))
    model = find_model(args.model or Path(DEFAULT))
    asked = explainer(Engine.load(model, provider=args.provider, threads=args.threads), args.method)
    out = args.out if args.json else args.out or explanations_folder()
    folder = None if out is None else _Folder(out / printable(as_text(model.stem)))
    listed, refused = _JsonList(), 0
    for picture in predict_files(asked.engine, files, search, args.faces, keep_errors=len(files) > 1):
        faces = asked.explain(picture.faces)
        document = picture_explanation(asked, picture, faces)
        if picture.error is not None or not faces:
            say(f"{picture.name}: {picture.error or NO_FACE}")
        refused += picture.error is not None
        if folder is not None:
            written = _written(folder.place(picture.name), asked, document, faces)
            for path in () if args.json else written:
                hand_over(path)
        if args.json:
            listed.add(document)
    if args.json:
        listed.close()
    if refused:
        say(f"error: {refused} of {len(files)} pictures could not be read")
    return BAD_INPUT if refused else 0


class _Folder:
    """Where the files of one model go."""

    def __init__(self, path: Path) -> None:
        self._path, self._stems = path, Counter[str]()

    def place(self, photo: str) -> Path:
        """Return what the names of a photo's files begin with; those of other folders can be called the same."""
        stem = printable(as_text(Path(photo).stem))[:LONGEST_NAME]
        self._stems[stem] += 1
        return self._path / (stem if self._stems[stem] == 1 else f"{stem}~{self._stems[stem]}")


class _JsonList:
    """Prints a JSON list, an item a line, each when it is there: thousands of maps need not be held."""

    def __init__(self) -> None:
        self._before = "["

    def add(self, document: PictureExplanation) -> None:
        print(self._before + _as_line(document), end="", flush=True)
        self._before = ",\n"

    def close(self) -> None:
        print("[]" if self._before == "[" else "]", flush=True)


def _written(
    place: Path, asked: Explainer, document: PictureExplanation, faces: Sequence[FaceExplanation]
) -> list[Path]:
    """Write a picture's document and a PNG of each of its faces; return their paths, the document's last.

    `place` is what their names begin with.
    """
    title = f"{printable(asked.engine.path.stem)}, {asked.method}: red speaks for the answer, blue against it"
    pictures = []
    for number, face in enumerate(faces, 1):
        pictures.append(place.with_name(f"{place.name}.{asked.method}.face-{number}.png"))
        with whole_file(pictures[-1]) as file:
            Image.fromarray(side_by_side(face, title)).save(file, "PNG", optimize=True)
    path = place.with_name(f"{place.name}.{asked.method}.json")
    write_text(path, _as_line(document) + "\n")
    return [*pictures, path]


def _as_line(document: PictureExplanation) -> str:
    return json.dumps(document.to_dict(), allow_nan=False)
