"""Takes a run over from another holder of its lease: a copy of its last commit, into a folder of one's own."""

import os
import shutil
from pathlib import Path

from data.errors import InputError
from data.files import TEMPORARY_PREFIX, write_bytes
from training.run import LOCK_FILE, RECORD_FILE, RunRecord, read_record

TRIES = 20
NOT_TAKEN = (LOCK_FILE, RECORD_FILE)


def inherit(run: Path, folder: Path) -> Path:
    """Return a copy below `folder` of a run as it was last committed, whether its old holder still writes or not.

    Its files are linked where that can be: they are never changed, only replaced. The record comes last, so that a copy
    that is broken off is no run.

    Raises:
        InputError: the run's record is damaged, or is committed to faster than it can be read.
    """
    copy = folder.joinpath(*run.parts[-3:])
    copy.mkdir(parents=True, exist_ok=True)
    for _ in range(TRIES):
        content, record = (run / RECORD_FILE).read_bytes(), read_record(run)
        _link_all(run, copy)
        # Committed to meanwhile: what this record refers to may have been removed before it was linked.
        if _is_whole(copy, record) and (run / RECORD_FILE).read_bytes() == content:
            write_bytes(copy / RECORD_FILE, content)
            return copy
    raise InputError(f"{run} changes while it is read, {TRIES} times over; end the process that trains in it")


def _link_all(run: Path, copy: Path) -> None:
    for file in run.iterdir():
        if file.name in NOT_TAKEN or file.name.startswith(TEMPORARY_PREFIX):
            continue
        target = copy / file.name
        target.unlink(missing_ok=True)
        try:
            os.link(file, target)
        except FileNotFoundError:
            continue
        except OSError:  # Not every file system has links.
            shutil.copyfile(file, target)


def _is_whole(copy: Path, record: RunRecord) -> bool:
    progress = record.progress
    names = [checkpoint.file for checkpoint in record.checkpoints]
    names += [progress.state, progress.average] if progress else []
    return all((copy / name).is_file() for name in names if name)
