"""Facial emotions from pictures, by models that are proven equal to what was trained.

    import ferox

    reader = ferox.load()
    for face in reader.read("photo.jpg"):
        print(face.label, face.confidence, face.box)

What `__all__` names is public and stays; everything else may change. Nothing heavy is imported before it is used: no
training framework and no Gradio at all, onnxruntime and OpenCV with the first model, pandas with the first table.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from data.errors import InputError
    from data.faceset import LABELS
    from ferox.measuring import Compared, Evaluated, compare, evaluate
    from ferox.reader import Reader, load, models
    from inference.catalogue import KnownModel
    from inference.photos.faces import FaceBox
    from inference.photos.reading import FacePrediction, PicturePrediction
    from inference.saliency.explaining import FaceExplanation, HeatMap
    from inference.video.moments import Moment, WatchedFace

__all__ = [
    "LABELS",
    "Compared",
    "Evaluated",
    "FaceBox",
    "FaceExplanation",
    "FacePrediction",
    "HeatMap",
    "InputError",
    "KnownModel",
    "Moment",
    "PicturePrediction",
    "Reader",
    "WatchedFace",
    "compare",
    "evaluate",
    "load",
    "models",
]

_HOMES = {
    "LABELS": "data.faceset",
    "Compared": "ferox.measuring",
    "Evaluated": "ferox.measuring",
    "FaceBox": "inference.photos.faces",
    "FaceExplanation": "inference.saliency.explaining",
    "FacePrediction": "inference.photos.reading",
    "HeatMap": "inference.saliency.explaining",
    "InputError": "data.errors",
    "KnownModel": "inference.catalogue",
    "Moment": "inference.video.moments",
    "PicturePrediction": "inference.photos.reading",
    "Reader": "ferox.reader",
    "WatchedFace": "inference.video.moments",
    "compare": "ferox.measuring",
    "evaluate": "ferox.measuring",
    "load": "ferox.reader",
    "models": "ferox.reader",
}


def __getattr__(name: str) -> Any:
    if (home := _HOMES.get(name)) is None:
        raise AttributeError(f"module 'ferox' has no attribute {name!r}")
    from ferox.ownership import refuse_foreign_names

    refuse_foreign_names()
    value = globals()[name] = getattr(importlib.import_module(home), name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
