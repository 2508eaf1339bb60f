"""What other programs look for in an `.onnx`, so that their viewers and loaders show something true.

The engine reads none of it: the manifest says the same and more.
"""

from data.faceset import SIDE
from inference.manifest import Manifest

PROGRAM = "The program that wrote this file: Apache-2.0"
LICENCE = f"The weights: as the terms of the training data allow. {PROGRAM}"
OTHERS_LICENCE = f"The weights: as their makers and the terms of their training data allow. {PROGRAM}"


def metadata(manifest: Manifest) -> dict[str, str]:
    """Return the metadata keys of ultralytics (`AutoBackend`: `names`, `task`, `imgsz` and those beside them) and of
    OpenVINO's Model API (`model_info ...`), whose labels are divided by blanks."""
    labels = manifest.labels
    return {
        "description": (
            f"Facial emotion of a grey 48x48 face: {manifest.model}, {manifest.precision}, {_made(manifest)}"
            f"{_form(manifest)}"
        ),
        "author": "ferox",
        "date": manifest.created,
        "license": LICENCE if manifest.adoption is None else OTHERS_LICENCE,
        "task": "classify",
        "batch": f"{manifest.batch or 1}",
        "imgsz": f"{[SIDE, SIDE]}",
        "channels": "1",
        "names": f"{dict(enumerate(labels))}",
        "model_info model_type": "Classification",
        "model_info labels": " ".join(labels),
    }


def _made(manifest: Manifest) -> str:
    return manifest.made if manifest.data is None else f"{manifest.made} on {manifest.data.source}"


def _form(manifest: Manifest) -> str:
    batch = "" if manifest.batch is None else f"; batch fixed at {manifest.batch}"
    return batch + ("; gives its features, too" if manifest.features else "")
