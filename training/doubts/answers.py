"""Out-of-sample answers: each face of a training part is answered by a model that has not learned from it.

Each fold is a run of its own, trained by the same loop as any other, so that what was stopped goes on and what is
finished is not trained again.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from data.errors import InputError
from data.faceset import LABELS, FaceSet
from data.splits import Split
from data.terminal import say
from inference.manifest import data_record
from inference.report.training_result import Machine
from inference.text import percent
from training.epoch import class_weights
from training.loop import Trainer, start_record
from training.recipe import Settings
from training.run import (
    RECORD_FILE,
    RunRecord,
    check_file,
    exclusive,
    prepare_resume,
    read_record,
    source_commit,
)
from training.session import Framework
from training.specs import model_spec
from training.teachers import LabelShares
from training.views import EpochLoader
from training.weights import initial_weights, load_weights, parameter_count


class Stopped(Exception):
    """A signal ended a fold's training; `status` is the exit status that says which."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def held_out_answers(
    faces: FaceSet, folds: Sequence[Split], settings: Settings, framework: Framework, out: Path
) -> NDArray[np.float64]:
    """Return probabilities float64[N, 7] of all N `faces`; rows of those that are in no fold are NaN.

    Args:
        faces: what the folds divide.
        folds: see `data.folds.training_folds`.
        settings: how each fold's model is trained; each has its own split.
        framework: what trains.
        out: where each fold's run folder goes, `fold-1` and so on.

    Raises:
        InputError: a folder holds a training with other settings or of other faces.
        Stopped: a signal ended a training.
    """
    answers = np.full((len(faces), len(LABELS)), np.nan)
    for number, fold in enumerate(folds, start=1):
        folder = out / f"fold-{number}"
        folder.mkdir(parents=True, exist_ok=True)
        with exclusive(folder):
            logits = _fold_logits(folder, faces, fold, settings, framework)
        answers[fold.test] = softmax(logits.astype(np.float64), axis=1)
        right = float((answers[fold.test].argmax(axis=1) == faces.labels[fold.test]).mean())
        say(
            f"fold {number} of {len(folds)}: the label is the answer on {percent(right, 2)} of {len(fold.test):,} faces"
        )
    return answers


def _fold_logits(
    folder: Path, faces: FaceSet, fold: Split, settings: Settings, framework: Framework
) -> NDArray[np.float32]:
    """Train the fold's model, unless that is done, and return its logits float32[N, 7] of the fold's faces."""
    spec = model_spec(settings.model)
    record = _record(folder, faces, fold, settings, framework)
    records = faces.records[fold.train]
    pixels, labels = records["pixels"].copy(), records["label"].copy()
    learner = framework.learner(
        record.settings, initial_weights(spec, settings.seed), class_weights(settings.balance, labels)
    )
    if record.test is None:
        loader = EpochLoader(record.settings, pixels, labels, LabelShares(record.settings, labels))
        record = _train(Trainer(folder, record, learner, loader, faces, fold))
    best = record.best
    if best is None:
        raise InputError(f"{folder} is finished without an epoch; remove it, and it is trained again")
    learner.set_weights(load_weights(check_file(folder, best.file, best.sha256), spec))
    return learner.logits(np.ascontiguousarray(faces.records["pixels"][fold.test]))


def _record(folder: Path, faces: FaceSet, fold: Split, settings: Settings, framework: Framework) -> RunRecord:
    """Return what the fold's training has come to, or the record of one that has not begun."""
    settings = replace(settings, split=fold.plan)
    if not (folder / RECORD_FILE).exists():
        return start_record(
            settings,
            parameters=parameter_count(model_spec(settings.model)),
            versions=framework.versions(),
            data=data_record(faces.source, faces.fingerprint, fold),
            data_path=None,
            skip_bad_rows=faces.skipped > 0,
            machine=Machine(framework.device_name(settings), settings.thread_count),
            commit=source_commit(),
        )
    record = read_record(folder)
    if (record.settings, record.data.fingerprint) != (settings, fold.fingerprint):
        raise InputError(
            f"{folder} holds a training with other settings or of other faces; choose another --out, or remove the "
            "folder"
        )
    return record if record.test else prepare_resume(folder)


def _train(trainer: Trainer) -> RunRecord:
    trainer.resume_words = "the same ferox doubts command"
    progress = trainer.record.progress
    if progress:
        trainer.learner.load_state(trainer.folder / progress.state)
    try:
        status = trainer.run()
    finally:
        trainer.loader.close()
    if status:
        raise Stopped(status)
    return trainer.record
