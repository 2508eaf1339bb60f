"""A model with a face finder, ready to read pictures: what most programs want of ferox."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from data.errors import InputError
from data.faceset import LABELS
from data.modes import to_rgb
from inference.catalogue import DEFAULT, KnownModel, find_model, known_models
from inference.video import EVERY

if TYPE_CHECKING:
    from inference.engine import Engine
    from inference.photos.faces import Finder, Policy
    from inference.photos.pictures import Picture
    from inference.photos.reading import FacePrediction, PicturePrediction
    from inference.saliency.explaining import FaceExplanation
    from inference.video.moments import Moment

Photo = str | Path | bytes | Image.Image | NDArray[np.uint8]


def models() -> list[KnownModel]:
    """Return the models there are, the default one first: those that come with ferox, and those exported here."""
    return known_models()


def load(
    model: str | Path = DEFAULT,
    *,
    yunet: str | Path | None = None,
    provider: str = "auto",
    threads: int | None = None,
    min_confidence: float = 0.0,
) -> "Reader":
    """Load a model and verify it.

    Args:
        model: a file, its stem, or a short name, see `models`; VGG-32, which comes with ferox, by default.
        yunet: a YuNet file to find faces with; by default the one of FEROX_YUNET, else the one that was fetched, else
            OpenCV's Haar cascade.
        provider: `cpu`, `cuda` or `openvino`; `auto` takes CUDA where it can be used.
        threads: processor threads for one run; None takes all that this process may use.
        min_confidence: a face's `label` is None where the most probable one has a lower probability; 0 is never.

    Raises:
        InputError: there is no such model, it or the finder cannot be used, or `min_confidence` is not from 0 to 1.
    """
    from inference.confidence import check_min_confidence
    from inference.engine import Engine
    from inference.photos.faces import finder

    engine = Engine.load(find_model(model), provider=provider, threads=threads)
    least = check_min_confidence(min_confidence, "min_confidence")
    return Reader(engine, finder(None if yunet is None else Path(yunet)), least)


@dataclass(frozen=True)
class Reader:
    """Reads faces in pictures. Safe to use from several threads; make one with `load`.

    Attributes:
        engine: the model; `engine.manifest` says what it is and how it was proven.
        finder: what finds the faces.
        min_confidence: the least confidence at which a face has a label, 0 to 1.
    """

    engine: "Engine"
    finder: "Finder"
    min_confidence: float = 0.0

    @property
    def labels(self) -> tuple[str, ...]:
        """The seven emotions, in the order of all probabilities."""
        return LABELS

    def read(self, photo: Photo, *, faces: "Policy" = "auto") -> "tuple[FacePrediction, ...]":
        """Return the faces of a picture, the largest first; none where none is found.

        Each has `label` (None where its probability is below `min_confidence`), `guess` (the most probable label,
        however sure), `confidence` (the guess's, 0 to 1), `probabilities` (float32[7] in the order of `labels`),
        `ranking`, `box` (pixels of the upright picture) and `crop` (uint8[48, 48], what the model saw).

        Args:
            photo: a path, a file's content, a PIL image, or pixels: uint8[H, W, 3] in RGB, or uint8[H, W] in grey.
            faces: "auto" finds faces, but takes a small grey square as one; "whole" takes the whole picture as one.

        Raises:
            InputError: the picture cannot be read.
        """
        from inference.photos.reading import predict_picture

        return predict_picture(self.engine, _picture(photo), self.finder, faces, self.min_confidence).faces

    def read_many(self, paths: Iterable[str | Path], *, faces: "Policy" = "auto") -> "Iterator[PicturePrediction]":
        """Yield what is seen in each picture, in their order, while the next ones are read: memory stays bounded.

        Each has `name`, `faces` as of `read`, `notes` on what of the file was not taken, and `error`: a sentence where
        that picture could not be read, else None.

        Args:
            paths: pictures' files; a folder's with `Path(folder).iterdir()`.
            faces: as for `read`.
        """
        from inference.photos.reading import predict_files

        return predict_files(
            self.engine, map(Path, paths), self.finder, faces, keep_errors=True, min_confidence=self.min_confidence
        )

    def explain(
        self, photo: Photo, *, faces: "Policy" = "auto", method: str | None = None
    ) -> "tuple[FaceExplanation, ...]":
        """Return what the model looked at in each face of a picture, the largest first; none where none is found.

        Each has `face` as of `read`, and `maps`: one for its answer and one for its runner-up, with `label`,
        `probability` and `values` (float32[48, 48]: above 0 a place speaks for that answer, below 0 against it). What
        they say, and what not: docs/explain.md.

        Args:
            photo: as for `read`.
            faces: as for `read`.
            method: "occlusion", the default, asks any model about the face with parts of it covered; "cam" gives class
                activation maps, of models that end in an average pool.

        Raises:
            InputError: the picture cannot be read, or the model has no maps of this kind.
        """
        from inference.saliency.explaining import explainer

        return explainer(self.engine, method).explain(self.read(photo, faces=faces))

    def watch(
        self,
        source: str | int | Path,
        *,
        every: float | Literal["frame"] = EVERY,
        limit: float | None = None,
        faces: "Policy" = "auto",
    ) -> "Iterator[Moment]":
        """Yield what is seen in a film over time, while the next frames are read: memory stays bounded.

        Each moment has `seconds`, `frame`, `pixels` (uint8[H, W, 3] in RGB, upright) and `faces`. A face has `track`, a
        number that a person keeps, and `label`, `confidence`, `probabilities` and `ranking` as of `read`, smoothed over
        time; `raw` is the answer to this frame alone.

        Args:
            source: a film's path, a camera's number, or a stream's address; films and streams need the extra `video`.
            every: seconds between two moments, or "frame" for every frame.
            limit: seconds after which to stop; a camera goes on until nobody asks for another moment.
            faces: as for `read`.

        Raises:
            InputError: the source cannot be opened; or, after its last moment, it could not be read to its end.
        """
        from inference.video.moments import watch

        return watch(source, self.engine, self.finder, every, limit, faces, self.min_confidence)

    def predict(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the probabilities, float32[N, 7], of grey face crops as they are, uint8[N, 48, 48].

        Raises:
            InputError: the crops have another shape or dtype.
        """
        return self.engine.predict(crops)


def _picture(photo: Photo) -> "Picture":
    from inference.photos.pictures import Picture, check_size, read_picture

    if isinstance(photo, str | Path):
        return read_picture(Path(photo))
    if isinstance(photo, bytes):
        return read_picture(photo)
    pixels = _upright(photo) if isinstance(photo, Image.Image) else _rgb(photo)
    check_size(pixels.shape[1], pixels.shape[0], "the picture")
    return Picture(pixels, "the picture")


def _upright(image: Image.Image) -> NDArray[np.uint8]:
    turned = ImageOps.exif_transpose(image)
    return np.asarray(to_rgb(turned, "the picture"), np.uint8)


def _rgb(pixels: Any) -> NDArray[np.uint8]:
    if not isinstance(pixels, np.ndarray):
        raise InputError(f"the picture is a {type(pixels).__name__}, expected a path, bytes, a PIL image or an array")
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] != 3):
        raise InputError(
            f"the picture is {pixels.dtype}{list(pixels.shape)}, expected uint8[H, W, 3] in RGB or uint8[H, W] in "
            "grey; convert it"
        )
    colour = np.repeat(pixels[:, :, None], 3, axis=2) if pixels.ndim == 2 else pixels
    return np.ascontiguousarray(colour)
