"""What is exported: a run's best checkpoint, under which name, and whose place it may not take."""

import re
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from data.errors import InputError
from inference.engine import Engine
from inference.manifest import LARGEST_BATCH
from inference.report.training_result import Checkpoint
from training.recipe import Settings, recipe
from training.run import RunRecord, check_file, read_record
from training.specs import MODELS, GlobalAveragePool, model_spec


@dataclass(frozen=True)
class Form:
    """What an artifact takes and gives otherwise than most.

    Attributes:
        batch: the number of faces that every run of it takes, 1 to `LARGEST_BATCH`; None leaves it open.
        features: whether it also gives its last features, of which class activation maps are made.
    """

    batch: int | None = None
    features: bool = False


OPEN = Form()


@dataclass(frozen=True)
class Options:
    """How runs are exported.

    Attributes:
        data: the run's own data, where it has moved.
        out: the folder of artifacts.
        precision: one of `inference.manifest.PRECISIONS`.
        form: its batch, and whether it gives its features.
        tag: what the artifact's name is to say besides, see `artifact_stem`.
        replace: put it in the place of another checkpoint's artifact of the same name.
        spoiled: measure it on spoiled faces, too, for its card.
    """

    data: Path | None
    out: Path
    precision: str = "fp32"
    form: Form = OPEN
    tag: str = ""
    replace: bool = False
    spoiled: bool = False


@dataclass(frozen=True)
class ExportJob:
    """What is exported: a run's record, its best checkpoint, and the precision and form that the artifact gets."""

    run: Path
    record: RunRecord
    checkpoint: Checkpoint
    precision: str
    form: Form
    stem: str


def read_job(run: Path, options: Options) -> ExportJob:
    """Read what a run has to export; an `InputError` where it has nothing yet, or may not be exported so."""
    precision, form = options.precision, options.form
    check_batch(form.batch)
    record = read_record(run)
    settings = record.settings
    if form.features:
        _check_features(settings.model)
    if record.best is None:
        raise InputError(f"{run} has no checkpoint yet; go on with: ferox train --resume {run}")
    return ExportJob(run, record, record.best, precision, form, artifact_stem(settings, precision, options.tag, form))


def check_batch(batch: int | None) -> None:
    """Raise an `InputError` unless a batch is open, or of a size that an engine takes."""
    if batch is not None and not 1 <= batch <= LARGEST_BATCH:
        raise InputError(
            f"--fixed-batch is {batch}, expected 1 to {LARGEST_BATCH} faces; leave it out for a batch of any size"
        )


def _check_features(model: str) -> None:
    if GlobalAveragePool() not in model_spec(model).layers:
        able = ", ".join(name for name, spec in MODELS.items() if GlobalAveragePool() in spec.layers)
        raise InputError(
            f"--features is for networks that end in a global average pool ({able}), and {model} does not; leave it out"
        )


def held(run: Path, options: Options, work: Path) -> ExportJob:
    """Read a job and copy its checkpoint into `work`: while a run is trained, a better one can take its place."""
    job = read_job(run, options)
    try:
        return _copied(job, work)
    except InputError:
        newest = read_job(run, options)
        if newest.checkpoint == job.checkpoint:
            raise
        return _copied(newest, work)


def _copied(job: ExportJob, work: Path) -> ExportJob:
    weights = check_file(job.run, job.checkpoint.file, job.checkpoint.sha256)
    try:
        shutil.copy(weights, work)
    except FileNotFoundError as error:
        raise InputError(f"{weights} has gone while it was copied; expected it to stay; export again") from error
    return job


def artifact_stem(settings: Settings, precision: str, tag: str = "", form: Form = OPEN) -> str:
    """Return `<model>.<framework>.<recipe>[-<optimizer>]-<protocol>[-fold<n>][-<tag>]`, and then
    `[.<precision>][.batch<n>][.features]`.

    The optimiser is named where it is not the recipe's own, the precision where it is not float32, the batch where it
    is not open, and the features where it gives them.

    Raises:
        InputError: the tag holds what would be taken for another part of the name, or belongs in no file's.
    """
    if not re.fullmatch(r"[A-Za-z0-9_-]{0,60}", tag):
        raise InputError(f"--tag is {tag!r}, expected up to 60 letters, digits, - and _")
    recipe_optimizer = recipe(settings.recipe, settings.framework, settings.model).optimizer
    fold = settings.split.fold
    words = (
        settings.recipe,
        "" if settings.optimizer == recipe_optimizer else settings.optimizer,
        settings.split.protocol,
        "" if fold is None else f"fold{fold}",
        tag,
    )
    batch, features = "" if form.batch is None else f"batch{form.batch}", "features" if form.features else ""
    forms = ("" if precision == "fp32" else precision, batch, features)
    return ".".join([settings.model, settings.framework, "-".join(filter(None, words)), *filter(None, forms)])


def refuse_taken_names(jobs: Sequence[ExportJob], options: Options) -> None:
    """Raise `InputError` where two jobs have one name, or an artifact of another checkpoint has it and is to stay."""
    remedy = "tell them apart with --tag TEXT, one run at a time"
    twice = [stem for stem, count in Counter(job.stem for job in jobs).items() if count > 1]
    if twice:
        raise InputError(f"two of the runs would be published as {twice[0]}; {remedy}")
    for job in jobs:
        if not options.replace:
            refuse_taken(options.out / f"{job.stem}.onnx", job.checkpoint.sha256, job.run, remedy)


def refuse_taken(path: Path, sha256: str, source: Path, remedy: str) -> None:
    """Raise `InputError` where an artifact of another checkpoint than `source`'s, by its sha256, has a name."""
    if not path.exists():
        return
    try:
        checkpoint = Engine.load(path, provider="cpu").manifest.checkpoint_sha256
    except InputError as error:
        raise InputError(f"{error}; or put {source}'s artifact in its place with --replace") from error
    if checkpoint != sha256:
        raise InputError(
            f"{path} is of another checkpoint ({checkpoint[:12]}) than {source} would publish there ({sha256[:12]}); "
            f"{remedy}, or put this one in its place with --replace"
        )
