"""Watches one film, stream or camera into a folder: reads it, or goes on, and writes timeline, summary and page."""

import os
import shutil
import time
from collections.abc import Generator
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

from data.documents import read_document
from data.errors import InputError
from data.files import remove_temporaries, write_json, write_text
from data.locks import locked
from data.terminal import progress_bar, say
from inference.batch.table import check_arrow
from inference.confidence import ALWAYS, check_min_confidence
from inference.engine import Engine
from inference.photos.faces import Finder, Policy
from inference.video.annotated import write_annotated
from inference.video.film import Film
from inference.video.moments import Limited, Moment, watched
from inference.video.page import render_timeline
from inference.video.plan import PLAN_FILE, WatchPlan, keep_watch_plan, watch_plan
from inference.video.sources import Source, check_limit
from inference.video.summary import REMEDY, SUMMARY_FILE, VERSION, WatchSummary, totals
from inference.video.timeline import timeline_moments, write_parquet
from inference.video.work import WORK_FOLDER, Work

LOCK_FILE = ".lock"
BAR = "{desc}: {percentage:3.0f}% |{bar}| {n:.0f} of {total:.0f} s{postfix}"
OPEN_BAR = "{desc}: {n:.0f} s{postfix}"  # Where nobody knows the end.
TIMELINE_FILE, PARQUET_FILE, PAGE_FILE, ANNOTATED_FILE = (
    "timeline.csv",
    "timeline.parquet",
    "timeline.html",
    "annotated.mp4",
)


@dataclass(frozen=True, kw_only=True)
class WatchOptions:
    """How a source is watched: where the answers go, and what is asked for besides.

    Attributes:
        out: the folder for the answers.
        every: seconds between two moments, 0 for every frame.
        faces: how faces are come by.
        limit: seconds after which to stop, None for none.
        min_confidence: below it a smoothed answer has no label, 0 for never.
        parquet: whether to write the timeline as Parquet, too.
        annotate: whether to write a copy of the film with its faces marked, too.
    """

    out: Path
    every: float
    faces: Policy = "auto"
    limit: float | None = None
    min_confidence: float = ALWAYS
    parquet: bool = False
    annotate: bool = False


def run_watch(source: Source, engine: Engine, finder: Finder, options: WatchOptions) -> WatchSummary:
    """Watch a source into a folder and return what it came to; what is there already is gone on with, or left as it is.

    Whatever stops this, Ctrl-C included, what was read until then is kept; a film is gone on with by the same call.

    Raises:
        InputError: the source cannot be read at all, or the folder holds something else.
    """
    check_limit(options.limit)
    check_min_confidence(options.min_confidence)
    if options.parquet:
        check_arrow()
    if options.annotate and not source.can_resume:
        raise InputError(
            f"--annotate reads a film once more when it was watched, and {source.name} cannot be: record it first, and "
            "watch the recording; or leave it out"
        )
    plan = watch_plan(source, engine, finder, options.faces, options.every, options.limit, options.min_confidence)
    keep_watch_plan(options.out, plan)
    with locked(options.out / LOCK_FILE, flags=os.O_RDWR | os.O_CREAT) as handle:
        if handle is None:
            raise InputError(f"another process writes to {options.out}; wait until it has ended")
        remove_temporaries(options.out)
        summary = _finished(options.out) or _watch(source, engine, finder, options, plan)
        if options.annotate:
            _annotate(source, options.out, summary)
        if options.parquet:
            write_parquet(options.out / TIMELINE_FILE, options.out / PARQUET_FILE)
    return summary


def _finished(out: Path) -> WatchSummary | None:
    """Return the summary of a folder whose film was read to its end, None of any other."""
    file = out / SUMMARY_FILE
    summary = read_document(WatchSummary, file, REMEDY) if file.exists() else None
    if summary is None or not summary.finished:
        return None
    say(f"{out} holds all of {summary.source} already")
    shutil.rmtree(out / WORK_FOLDER, ignore_errors=True)  # Of a process that was killed when all was written.
    return summary


def _watch(source: Source, engine: Engine, finder: Finder, options: WatchOptions, plan: WatchPlan) -> WatchSummary:
    with Work(options.out) as work:
        if work.reached is not None:
            if not source.can_resume:
                raise InputError(
                    f"{options.out} holds what was watched before of {source.name}, which is not read twice; choose "
                    "another --out"
                )
            say(f"going on after {work.reached.position.seconds:.1f} s")
        try:
            trouble = _read(source, engine, finder, options, work)
        except (KeyboardInterrupt, SystemExit, InputError):
            if work.moments:
                work.save()
                write_answers(source, options.out, plan, work, finished=False)
            else:  # Nothing was begun: the folder is free for another film.
                work.remove()
                (options.out / PLAN_FILE).unlink()
            raise
        work.save()
        summary = write_answers(source, options.out, plan, work, finished=True, trouble=trouble)
        work.remove()
    return summary


def _read(source: Source, engine: Engine, finder: Finder, options: WatchOptions, work: Work) -> str | None:
    """Keep a source's moments from where `work` is, with a bar; return what could not be read, or None for nothing."""
    begin = work.reached.position.seconds if work.reached else 0.0
    reading = Reading(source, options, work)
    with (
        closing(reading.moments(engine, finder)) as moments,
        Progress(source, options.limit, begin) as progress,
    ):
        for moment in moments:
            progress.reached(moment.seconds)
    return reading.trouble


@dataclass
class Reading:
    """A source that is being read into a folder; `trouble` says in the end what could not be read, None for nothing."""

    source: Source
    options: WatchOptions
    work: Work
    trouble: str | None = None

    def moments(self, engine: Engine, finder: Finder) -> Generator[Moment]:
        """Yield the moments behind what is kept already, each when it is kept, too.

        Raises:
            InputError: not one moment can be read.
        """
        begun, options = self.work.reached, self.options
        frames = Limited(self.source.frames(options.every, begun.position if begun else None), options.limit)
        try:
            scene = begun.scene if begun else None
            for step in watched(frames, engine, finder, options.faces, scene, options.min_confidence):
                self.work.add(step)
                yield step.moment
        except InputError as error:
            if not self.work.moments:
                raise
            self.trouble = str(error)
        else:
            self.trouble = None if frames.is_reached else self.source.trouble()


def _annotate(source: Source, out: Path, summary: WatchSummary) -> None:
    """Write the copy of a film with its faces marked, unless it is there; it ends where the timeline does."""
    path = out / ANNOTATED_FILE
    if path.exists() or not isinstance(source, Film):
        return
    with Progress(source, summary.limit, 0.0, "marked") as progress:
        for seconds in write_annotated(source, timeline_moments(out / TIMELINE_FILE), path, summary.limit):
            progress.reached(seconds)


class Progress:
    """A bar of a film's seconds, and how many of them were read in a second; use it as a context."""

    def __init__(self, source: Source, limit: float | None, begin: float, doing: str = "read") -> None:
        self._doing = doing
        stated = source.facts.seconds
        ends = [end for end in (stated, limit) if end is not None]
        total = round(min(ends), 1) if ends else None
        shape = OPEN_BAR if total is None else BAR
        self._bar = progress_bar(source.name, total=total, initial=round(begin, 1), unit="s", bar_format=shape)
        self._begin, self._at = begin, begin
        self._began = time.monotonic()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()
        say(f"{self._doing} {self._at - self._begin:.1f} s in {time.monotonic() - self._began:.1f} s: {self._speed}")

    def reached(self, seconds: float) -> None:
        """Show that so many seconds of the film are read."""
        self._bar.set_postfix_str(self._speed, refresh=False)
        self._bar.update(seconds - self._at)
        self._at = seconds

    @property
    def _speed(self) -> str:
        taken = time.monotonic() - self._began
        return f"{(self._at - self._begin) / taken:.1f} times real time" if taken > 0 else ""


def write_answers(
    source: Source, out: Path, plan: WatchPlan, work: Work, *, finished: bool, trouble: str | None = None
) -> WatchSummary:
    """Write timeline, page and summary of what was read; the summary comes last, and says that all are there."""
    timeline = out / TIMELINE_FILE
    work.publish(timeline)
    summary = _summary(source, plan, timeline, finished, trouble)
    write_text(out / PAGE_FILE, render_timeline(summary, timeline, work.thumbnails.kept(summary.moments)))
    write_json(out / SUMMARY_FILE, asdict(summary))
    return summary


def _summary(source: Source, plan: WatchPlan, timeline: Path, finished: bool, trouble: str | None) -> WatchSummary:
    added = totals(timeline_moments(timeline))
    facts = source.facts
    return WatchSummary(
        timeline=VERSION,
        source=plan.source,
        kind=plan.kind,
        finished=finished,
        trouble=trouble,
        limit=plan.limit,
        width=facts.width,
        height=facts.height,
        rate=facts.rate,
        model=plan.model,
        digest=plan.digest,
        finder=plan.finder,
        faces=plan.faces,
        every=plan.every,
        min_confidence=plan.min_confidence,
        seconds=added.seconds,
        moments=added.moments,
        moments_without_face=added.without_face,
        tracks=added.tracks,
    )
