"""Measures models on faces they may be judged by: `python -m inference evaluate MODEL... --data PATH`."""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from data.errors import InputError
from data.faceset import FaceSet
from data.load import load
from data.splits import Split, SplitPlan, split
from inference.comparison.summary import summary_table
from inference.engine import BATCH, Engine
from inference.measure.exposure import Exposure, exposure, refuse_seen
from inference.measure.metrics import summarise
from inference.report.document import Speed, read_report, scope
from inference.report.writer import Evaluation, report_name, write_report
from inference.testtime import Augmentation, Augmented

OUT = Path("artifacts/reports")
FACES_AT_ONCE = 256


def main(args: argparse.Namespace) -> int:
    """Evaluate every model of `args.models`; the table goes to stderr, the report folders to stdout.

    Args:
        args: models (list[Path]), data (Path or None: drawn faces), part (str or None: test), protocol (str
            or None: the model's own), tta (str: the test-time augmentation), allow_seen (bool), skip_bad_rows (bool),
            classes (str), out (Path), provider (str), threads (int or None).

    Raises:
        InputError: the data or a model cannot be used, or a model may not be measured on these faces.
    """
    refuse_same_names(args.models)
    faces = load(args.data, args.classes, skip_bad_rows=args.skip_bad_rows)
    reports = []
    for path in args.models:
        engine = Engine.load(path, provider=args.provider, threads=args.threads)
        folder = evaluate(
            engine,
            faces,
            args.part,
            protocol=args.protocol,
            allow_seen=args.allow_seen,
            augmentation=args.tta,
            out=args.out,
        )
        print(folder, flush=True)
        reports.append(read_report(folder))
    print(summary_table(reports), file=sys.stderr)
    return 0


@dataclass(frozen=True)
class Assignment:
    """A model and the part of some faces that it is to be measured on, and may be."""

    engine: Engine
    faces: FaceSet
    split: Split
    part: str
    seen: Exposure
    augmentation: Augmentation = "none"

    @property
    def indices(self) -> NDArray[np.int64]:
        """int64[N]: the faces to be measured on."""
        return self.split.part(self.part)

    @property
    def name(self) -> str:
        """What the report's folder will be called."""
        return report_name(self.engine.path, self.engine.manifest, self.split, self.part, self.augmentation)

    @property
    def predictor(self) -> Augmented:
        """The model under its test-time augmentation."""
        return Augmented(self.engine, self.augmentation)

    def conclude(self, probabilities: NDArray[np.float32], seconds: float) -> Evaluation:
        """Sum up the answers float32[N, 7] that took the engine `seconds`."""
        return Evaluation(
            self.engine.path,
            self.engine.manifest,
            self.faces,
            self.split,
            self.part,
            self.seen,
            probabilities,
            summarise(self.faces.labels[self.indices], probabilities),
            _speed(self.engine, len(self.indices), seconds),
            self.augmentation,
        )


def assign(
    engine: Engine,
    faces: FaceSet,
    part: str | None = None,
    *,
    protocol: str | None = None,
    allow_seen: bool = False,
    augmentation: Augmentation = "none",
) -> Assignment:
    """Divide the faces for a model, and refuse those it may not be measured on; arguments as for `evaluate`."""
    manifest, name = engine.manifest, part or "test"
    division = split(faces, _plan(manifest.data.plan(), protocol))
    indices = division.part(name)
    seen = exposure(manifest, faces, indices)
    if not allow_seen and name != "train":
        words = scope(division.plan.protocol, name)
        refuse_seen(engine.path.name, manifest, seen, words, len(indices))
    return Assignment(engine, faces, division, name, seen, augmentation)


def evaluate(
    engine: Engine,
    faces: FaceSet,
    part: str | None = None,
    *,
    protocol: str | None = None,
    allow_seen: bool = False,
    augmentation: Augmentation = "none",
    out: Path = OUT,
) -> Path:
    """Measure a model on one part of `faces` and write its report.

    Args:
        engine: the model.
        faces: divided by the model's own protocol, unless `protocol` names another.
        part: `train`, `validation` or `test`, which is the default. Naming `train` asks for seen faces.
        protocol: `official`, `random` or `kfold`, with the model's own share, seed and folds.
        allow_seen: measure the model even on faces that it was trained on.
        augmentation: test-time augmentation, see `inference.testtime`.
        out: the folder that gets the report's folder.

    Returns:
        The report's folder, see `inference.report.writer`.

    Raises:
        InputError: the faces cannot be divided so, or the model was trained on some of them.
    """
    task = assign(engine, faces, part, protocol=protocol, allow_seen=allow_seen, augmentation=augmentation)
    return write_report(task.conclude(*measure(task.predictor, faces.pixels, task.indices)), out)


def measure(
    model: Engine | Augmented,
    pixels: NDArray[np.uint8],
    indices: NDArray[np.int64],
    advance: Callable[[int], None] | None = None,
) -> tuple[NDArray[np.float32], float]:
    """Probabilities float32[N, 7] of the faces `indices`, and the seconds that the engine alone took.

    The first batch runs once unmeasured, since the first run of a session also plans its memory. `advance` is told of
    every so many faces done; None shows a progress bar instead.
    """
    model.predict(np.ascontiguousarray(pixels[indices[:BATCH]]))
    answers, seconds = [], 0.0
    with tqdm(
        total=len(indices), desc=model.path.stem, unit="face", leave=False, disable=True if advance else None
    ) as progress:
        for start in range(0, len(indices), FACES_AT_ONCE):
            batch = np.ascontiguousarray(pixels[indices[start : start + FACES_AT_ONCE]])
            began = time.perf_counter()
            answers.append(model.predict(batch))
            seconds += time.perf_counter() - began
            (advance or progress.update)(len(batch))
    return np.concatenate(answers), seconds


def _speed(engine: Engine, count: int, seconds: float) -> Speed:
    # Imported here, after the engine's module, which says what to install where there is none.
    import onnxruntime

    threads = engine.session.get_session_options().intra_op_num_threads
    return Speed(onnxruntime.__version__, engine.providers, threads or None, seconds, count / seconds)


def _plan(own: SplitPlan, protocol: str | None) -> SplitPlan:
    if protocol is None or protocol == own.protocol:
        return own
    return replace(own, protocol=protocol, fold=1 if protocol == "kfold" else None)


def refuse_same_names(models: Sequence[Path]) -> None:
    """Raise `InputError` where two models' reports would have one folder."""
    twice = [stem for stem, count in Counter(path.stem for path in models).items() if count > 1]
    if twice:
        raise InputError(
            f"two of the models are called {twice[0]}, and their reports would have one folder; "
            "evaluate them one by one, with another --out each"
        )
