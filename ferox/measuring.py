"""Models measured and compared from Python: the typed documents that reports are written from, and tables of them."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from data.faceset import LABELS
from data.load import load as load_faces
from inference.catalogue import find_model
from inference.compare import Options, write_finished
from inference.compare import compare as compare_tasks
from inference.comparison.document import Comparison, Row
from inference.engine import Engine
from inference.measure.evaluation import Assignment, assign, refuse_same_names
from inference.report.document import Report
from inference.report.writer import draft
from inference.testtime import TestTimeAugmentation

if TYPE_CHECKING:
    from pandas import DataFrame

Named = str | Path


@dataclass(frozen=True)
class Evaluated:
    """A model measured on faces that it may be judged by.

    Attributes:
        report: the document that `report.json` holds: figures, intervals, notes, the model's manifest.
        labels: int64[N], the true classes, indices into `LABELS`.
        probabilities: float32[N, 7], what the model answered, in the same order.
        rows: int32[N], where in the data each face came from: the line of a table, the place among sorted names.
        folder: what was written, None where nothing was to be.
    """

    report: Report
    labels: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    rows: NDArray[np.int32]
    folder: Path | None

    @property
    def accuracy(self) -> float:
        """The share of faces answered rightly, 0 to 1."""
        return self.report.figures.accuracy

    @cached_property
    def classes(self) -> "DataFrame":
        """A row for each class, by its label: counts, precision, recall, F1 and so on; NaN where a figure is 0/0."""
        from pandas import DataFrame

        return DataFrame([vars(figures) for figures in self.report.figures.classes]).set_index("label")

    @cached_property
    def confusion(self) -> "DataFrame":
        """How many faces of each true class (rows) were answered with each class (columns)."""
        from pandas import DataFrame, Index

        names = {"index": Index(LABELS, name="true"), "columns": Index(LABELS, name="answered")}
        return DataFrame(self.report.figures.confusion, **names)

    @cached_property
    def faces(self) -> "DataFrame":
        """A row for each face: its `row` in the data, `true` and `answered` label, and the seven probabilities."""
        from pandas import DataFrame

        table = DataFrame(self.probabilities, columns=list(LABELS))
        table.insert(0, "row", self.rows)
        table.insert(1, "true", np.array(LABELS)[self.labels])
        table.insert(2, "answered", np.array(LABELS)[self.probabilities.argmax(axis=1)])
        return table


@dataclass(frozen=True)
class Compared:
    """Models measured on the same faces, with tests of every pair.

    Attributes:
        document: what the comparison's `report.json` holds.
        folder: what was written, None where nothing was to be.
    """

    document: Comparison
    folder: Path | None

    @cached_property
    def models(self) -> "DataFrame":
        """A row for each model, test-time augmentation and ensemble, best first; `group` tells apart what stands in no
        common table. Accuracy from 0 to 1 with its 95 % interval, milliseconds of one face, images a second."""
        from pandas import DataFrame

        groups = enumerate(self.document.tables, 1)
        return DataFrame([{"group": number} | _model_row(row) for number, group in groups for row in group.rows])

    @cached_property
    def pairs(self) -> "DataFrame":
        """A row for each pair: the difference of accuracy, its paired 95 % interval, p values, whether they differ."""
        from pandas import DataFrame

        groups = enumerate(self.document.tables, 1)
        return DataFrame([{"group": number} | vars(pair) for number, group in groups for pair in group.pairs])


def evaluate(
    model: Named,
    data: Named | None = None,
    *,
    part: str | None = None,
    protocol: str | None = None,
    tta: TestTimeAugmentation = "none",
    allow_seen: bool = False,
    classes: str = "",
    out: Named | None = None,
) -> Evaluated:
    """Measure a model as `ferox evaluate` does.

    Args:
        model: a file, a stem, or a short name, see `ferox.models`.
        data: fer2013.csv, an image folder, or an archive; None draws faces.
        part: `train`, `validation`, `test` (the default) or `all`.
        protocol: `official` or `random`; by default the model's own.
        tta: test-time augmentation, `none`, `flip` or `ten-crop`.
        allow_seen: measure even on faces that the model was trained on.
        classes: what folders mean that have none of the seven names, such as `contempt=skip`.
        out: where to write the report's folder; nothing is written without.

    Raises:
        InputError: the data or the model cannot be used, or the model may not be measured on these faces.
    """
    faces = load_faces(None if data is None else Path(data), classes)
    task = assign(
        Engine.load(find_model(model)), faces, part, protocol=protocol, allow_seen=allow_seen, augmentation=tta
    )
    evaluation = task.evaluate()
    drafted = draft(evaluation)
    folder = None if out is None else drafted.write(Path(out))
    records = evaluation.answers.records
    return Evaluated(
        drafted.report, records["label"].astype(np.int64), evaluation.probabilities, records["row"], folder
    )


def compare(  # noqa: PLR0913 - keywords
    models: Sequence[Named],
    data: Named | None = None,
    *,
    part: str | None = None,
    protocol: str | None = None,
    tta: Sequence[TestTimeAugmentation] = ("none",),
    allow_seen: bool = False,
    classes: str = "",
    ensembles: Sequence[Sequence[str]] = (),
    robustness: bool = True,
    latency: bool = True,
    latency_seconds: float = 2.0,
    out: Named | None = None,
) -> Compared:
    """Compare models as `ferox compare` does.

    Args:
        models: files, stems or short names.
        data: as for `evaluate`, like `part`, `protocol`, `allow_seen` and `classes`.
        part: as for `evaluate`.
        protocol: as for `evaluate`.
        tta: test-time augmentations, a row for each.
        allow_seen: as for `evaluate`.
        classes: as for `evaluate`.
        ensembles: the stems of the models of each ensemble; an empty one is picked on the validation part.
        robustness: whether to measure on spoiled faces, too.
        latency: whether to time the models.
        latency_seconds: the least time to time each model.
        out: where to write the comparison's folder and the models' reports; nothing stays without.

    Raises:
        InputError: the data, a model or an ensemble cannot be used, or a model may not be measured on these faces.
    """
    paths = [find_model(model) for model in models]
    refuse_same_names(paths)
    faces = load_faces(None if data is None else Path(data), classes)
    began = time.perf_counter()
    options = Options(tuple(map(tuple, ensembles)), robustness, latency, latency_seconds)
    tasks: list[Assignment] = [
        assign(engine, faces, part, protocol=protocol, allow_seen=allow_seen, augmentation=augmentation)
        for engine in map(Engine.load, paths)
        for augmentation in dict.fromkeys(tta)
    ]
    folder = None if out is None else Path(out)
    finished = compare_tasks(tasks, options, began, folder)
    return Compared(finished.document, None if folder is None else write_finished(finished, folder))


def _model_row(row: Row) -> dict[str, Any]:
    figures = row.figures
    return {
        "name": row.name,
        "model": row.model,
        "framework": row.framework,
        "recipe": row.recipe,
        "precision": row.precision,
        "protocol": row.protocol,
        "augmentation": row.augmentation,
        "accuracy": figures.accuracy,
        "accuracy_low": figures.interval[0],
        "accuracy_high": figures.interval[1],
        "macro_f1": figures.macro.f1.value,
        "macro_auc": figures.macro_roc.auc,
        "log_loss": figures.log_loss,
        "calibration_error": figures.calibration_error,
        "parameters": row.parameters,
        "megabytes": row.bytes / 1e6,
        "milliseconds": row.latency and row.latency.p50,
        "images_per_second": row.throughput and row.throughput.images_per_second,
    }
