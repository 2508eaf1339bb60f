"""What a model looks at in the faces of each class: the mean map of some that it answered right.

`ferox evaluate --explain` writes it beside a report: it takes a model's time over thousands of faces, so that nobody
gets it unasked.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from data.documents import Count, strict
from data.faceset import LABELS
from data.terminal import progress_bar
from inference.measure.evaluation import Evaluation
from inference.saliency.document import MapValues, map_values
from inference.saliency.explaining import UNITS, Explainer, Method, explainer
from inference.saliency.occlusion import enlarged

VERSION = 1
FACES_A_CLASS, SEED = 20, 0


@dataclass(frozen=True)
class ClassMap:
    """The faces of a class that were answered `right`, and the means over `faces` of them, seeded.

    `crop` is the mean face, uint8[48, 48], and `values` the mean map of the class, float32[48, 48].
    """

    label: str
    right: int
    faces: int
    crop: NDArray[np.uint8]
    values: NDArray[np.float32]


@dataclass(frozen=True)
class ClassMaps:
    """The maps of all classes, by one method; a class of which no face was answered right has none."""

    method: Method
    classes: tuple[ClassMap, ...]


@dataclass(frozen=True)
class ClassMapRecord:
    """A class's map as a document says it: 48 rows of 48 values, the mean over `faces` of the `right` ones."""

    label: str
    right: Count
    faces: Count
    values: MapValues


@dataclass(frozen=True, kw_only=True)
class ClassMapsRecord:
    """The content of `maps.json`: the report's `name`, how the maps were made, and those of the classes that have one.

    `docs/schemas/class-maps-record.json` describes it. In each class up to `faces_a_class` of the faces that were
    answered right were drawn with `seed`.
    """

    __pydantic_config__: ClassVar = strict(maps=VERSION)

    maps: int
    name: str
    method: Method
    unit: str
    faces_a_class: Count
    seed: Count
    classes: tuple[ClassMapRecord, ...]

    def to_dict(self) -> dict[str, Any]:
        """The document as plain values that strict JSON can hold."""
        return asdict(self)


def class_maps(evaluation: Evaluation, method: str | None = None) -> ClassMaps:
    """Return what an evaluation's model looks at in each class; `method` as for `explainer`.

    Raises:
        InputError: as for `explainer`.
    """
    asked = explainer(evaluation.assignment.engine, method)
    return ClassMaps(asked.method, tuple(_class_maps(evaluation, asked)))


def _class_maps(evaluation: Evaluation, asked: Explainer) -> Iterator[ClassMap]:
    records, random = evaluation.answers.records, np.random.default_rng(SEED)
    right = [np.flatnonzero(evaluation.correct & (records["label"] == label)) for label in range(len(LABELS))]
    drawn = [np.sort(random.permutation(places)[:FACES_A_CLASS]) for places in right]
    total = sum(map(len, drawn))
    with progress_bar(f"{evaluation.assignment.name}, maps", total=total, unit="face", leave=False) as progress:
        for label, (places, chosen) in enumerate(zip(right, drawn, strict=True)):
            if not len(chosen):
                continue
            crops = np.ascontiguousarray(records["pixels"][chosen])
            mean = asked.cells(crops)[:, label].mean(axis=0)
            face = np.asarray(np.rint(crops.mean(axis=0)), np.uint8)
            yield ClassMap(LABELS[label], len(places), len(chosen), face, enlarged(mean))
            progress.update(len(chosen))


def class_maps_record(name: str, found: ClassMaps) -> ClassMapsRecord:
    """Return the maps of the report called `name` as a document."""
    return ClassMapsRecord(
        maps=VERSION,
        name=name,
        method=found.method,
        unit=UNITS[found.method],
        faces_a_class=FACES_A_CLASS,
        seed=SEED,
        classes=tuple(
            ClassMapRecord(each.label, each.right, each.faces, map_values(each.values)) for each in found.classes
        ),
    )
