"""One job over many pictures: which pictures, shared out to workers, and written in shards."""

import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from data.errors import InputError, printable
from data.leftout import Tally
from data.locks import locked
from data.terminal import progress_bar, say
from inference.batch import Format
from inference.batch.cluster import ClusterPool, cluster_pool
from inference.batch.plan import VERSION, BatchPlan, fingerprint, keep_plan, library_versions
from inference.batch.pool import Answer, Pool
from inference.batch.table import Row, check_format, write_rows
from inference.batch.worker import Task, WorkerSettings
from inference.engine import Engine
from inference.machine import available_cpus
from inference.photos.faces import YuNetFinder, finder
from inference.photos.files import picture_files

LIST_SUFFIX = ".txt"
PICTURES_A_TASK = 32
# Towards the end tasks get smaller, so that no worker waits long for the last one: what is left makes so many for each.
LAST_TASKS = 4
LOCK_FILE = ".lock"


@dataclass(frozen=True)
class BatchOptions:
    """What a job takes beside the pictures and the model: where shards go, their kind and size, how many workers.

    `ray` is the address of the cluster that these are on, None for this machine's own processes.
    """

    out: Path
    format: Format
    shard: int
    jobs: int | None
    settings: WorkerSettings
    ray: str | None = None


@dataclass
class _Shards:
    """Rows by shard, until a shard has all its pictures."""

    folder: Path
    plan: BatchPlan
    waiting: dict[int, dict[int, tuple[Row, ...]]] = field(default_factory=dict)
    unread: int = 0

    def add(self, answers: Sequence[Answer]) -> None:
        """Take pictures' rows, and write those shards that they complete."""
        for number, answer in answers:
            self.unread += any(row[-1] is not None for row in answer)
            shard = number // self.plan.shard
            held = self.waiting.setdefault(shard, {})
            held[number] = answer
            if len(held) == len(self.plan.numbers(shard)):
                table = [row for each in sorted(held) for row in held[each]]
                write_rows(self.folder / self.plan.file(shard), table, self.plan.format)
                del self.waiting[shard]


def run_job(files: Sequence[Path], options: BatchOptions) -> int:
    """Read pictures and write what a model sees in them as shards of `options.out`; return how many were not read.

    Shards that are there already stay, and are not counted. Whatever ends this process, the next one goes on.

    Raises:
        InputError: a number is below 1, the model or the finder cannot be used, or the folder holds another job.
    """
    if options.shard < 1 or (options.jobs is not None and options.jobs < 1):
        raise InputError(f"--shard is {options.shard} and --jobs is {options.jobs}, expected 1 or more; give more")
    check_format(options.format)
    plan = _plan(files, options)
    options.out.mkdir(parents=True, exist_ok=True)
    with locked(options.out / LOCK_FILE, flags=os.O_RDWR | os.O_CREAT) as handle:
        if handle is None:
            raise InputError(f"another process writes to {options.out}; wait until it has ended")
        open_shards = keep_plan(options.out, plan)
        return _run(files, plan, open_shards, options)


def _run(files: Sequence[Path], plan: BatchPlan, open_shards: Sequence[int], options: BatchOptions) -> int:
    if finished := plan.shards - len(open_shards):
        say(f"{finished} of {plan.shards} shards are there already")
    numbers = [number for shard in open_shards for number in plan.numbers(shard)]
    shards = _Shards(options.out, plan)
    with progress_bar("pictures", total=len(numbers), unit="picture") as bar, _pool(options, files, numbers) as pool:
        for answers in pool.run(shared_out(files, numbers, pool.jobs)):
            shards.add(answers)
            bar.update(len(answers))
    return shards.unread


def _pool(
    options: BatchOptions, files: Sequence[Path], numbers: Sequence[int]
) -> AbstractContextManager[Pool | ClusterPool]:
    # For fewer pictures than that, another worker is not worth its start.
    most = -(-len(numbers) // PICTURES_A_TASK)
    if options.ray is None or not numbers:
        return Pool(options.settings, min(options.jobs or available_cpus(), most))
    sample = [files[numbers[place]] for place in (0, len(numbers) // 2, -1)]
    return cluster_pool(options.ray, options.settings, options.jobs, most, sample)


def shared_out(files: Sequence[Path], numbers: Sequence[int], jobs: int) -> Iterator[Task]:
    """Yield the pictures of those numbers as tasks for so many workers, the smallest last."""
    start = 0
    while start < len(numbers):
        count = (len(numbers) - start) // (LAST_TASKS * jobs)
        part = numbers[start : start + min(PICTURES_A_TASK, max(1, count))]
        start += len(part)
        yield Task(tuple((number, files[number]) for number in part))


def listed_files(paths: Sequence[Path], left_out: Tally) -> list[Path]:
    """Return the pictures that are meant: files, those below folders, and those that a list (.txt) has a line for.

    A list's paths start from its own folder; what is missing is found out when its turn comes.
    """
    files: list[Path] = []
    for path in paths:
        if path.suffix == LIST_SUFFIX and path.is_file():
            files += _lines(path)
        else:
            files += picture_files([path], left_out)
    if not files:
        raise InputError("no pictures are listed: expected a path a line; list one")
    return files


def _lines(path: Path) -> list[Path]:
    try:
        lines = os.fsdecode(path.read_bytes()).splitlines()
    except OSError as error:
        raise InputError(f"{printable(str(path))} cannot be read ({error.strerror}); expected a path a line") from error
    return [path.parent / line for line in lines if line.strip()]


def _plan(files: Sequence[Path], options: BatchOptions) -> BatchPlan:
    settings = options.settings
    engine = Engine.load(settings.model, provider=settings.provider, threads=settings.threads)
    search = finder(settings.yunet)
    return BatchPlan(
        job=VERSION,
        model=engine.path.stem,
        digest=engine.manifest.digest,
        finder=search.digest if isinstance(search, YuNetFinder) else "haar",
        faces=settings.faces,
        format=options.format,
        shard=options.shard,
        pictures=len(files),
        sources=fingerprint(files),
        versions=library_versions(),
        min_confidence=settings.min_confidence,
        decode_side=settings.decode_side,
    )
