"""Distillation: a model learns from what trained ones say of its faces, beside the faces' own labels.

A label says which class a face is, a teacher's probabilities also which others it resembles (Hinton et al. 2015,
https://arxiv.org/abs/1503.02531). They are asked for once, before training, of each face as it is and mirrored.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data.errors import InputError
from data.faceset import LABELS, FaceSet
from data.splits import Split
from training.ancestry import Ancestor, ancestor
from training.weights import load_arrays, save_arrays

TEACHINGS_FILE = "teachings.npz"


def teach(paths: Sequence[Path], faces: FaceSet, division: Split) -> tuple[list[Ancestor], NDArray[np.float32]]:
    """Return the teachers as ancestors, and their mean probabilities float32[N, 7] of the training part's faces.

    Raises:
        InputError: a teacher cannot be loaded, or learned from another division of faces: what is kept from the new
            model to test it on could be what its teacher was trained on.
    """
    # Training alone does without onnxruntime.
    from inference.engine import Engine
    from inference.ensemble import Ensemble
    from inference.testtime import Augmented

    engines = [Engine.load(path) for path in paths]
    for engine in engines:
        learned = engine.manifest.data.fingerprint
        if learned != division.fingerprint:
            raise InputError(
                f"{engine.path.name} learned from the split {learned[:8]}, this training's is "
                f"{division.fingerprint[:8]}; its training faces could be among those that the new model is tested on; "
                "choose a teacher of the same data and protocol"
            )
    ancestors = [ancestor(engine.path.stem, engine.manifest, faces, division) for engine in engines]
    ensemble = Ensemble(tuple(Augmented(engine, "flip") for engine in engines))
    return ancestors, ensemble.predict(np.ascontiguousarray(faces.records["pixels"][division.train]))


def save_teachings(path: Path, probabilities: NDArray[np.float32]) -> None:
    """Write what teachers said, whole or not at all."""
    save_arrays(path, {"probabilities": probabilities})


def load_teachings(path: Path) -> NDArray[np.float32]:
    """Read what `save_teachings` wrote."""
    return load_arrays(path, f"{path.name} is not what teachers said; train again")["probabilities"]


def label_shares(
    labels: NDArray[np.uint8], teachings: NDArray[np.float32] | None = None, distillation: float = 0.0
) -> NDArray[np.float32]:
    """Return the classes' shares float32[N, 7] in each face: its label alone, or a share `distillation` of it what
    teachers said."""
    own = np.eye(len(LABELS), dtype=np.float32)[labels]
    if teachings is None:
        return own
    return np.asarray((1 - distillation) * own + distillation * teachings, np.float32)
