"""What a model sees in a film, a stream or before a camera, over time: `ferox watch FILE|CAMERA|STREAM --out DIR`."""

import argparse
import signal
import sys
from pathlib import Path

import cv2

from data.commands import BAD_INPUT
from data.terminal import hand_over, say
from inference.catalogue import DEFAULT, find_model
from inference.engine import Engine
from inference.photos.faces import HaarFinder, finder, finder_words
from inference.video.job import WatchOptions, run_watch
from inference.video.sources import checked_every, open_source


def main(args: argparse.Namespace) -> int:
    """Watch `args.source` and write what it shows over time; return 2 if it could not be read to its end, else 0.

    Args:
        args: source (str), model (Path or None: the default model), out (Path), every (str: seconds, or "frame"), limit
            (float or None), faces ("auto" or "whole"), yunet (Path or None), min_confidence (float, 0 to 1), annotate
            (bool), parquet (bool), provider (str), threads (int or None: 1).

    Raises:
        InputError: the source, the model or the finder cannot be used, or the folder holds something else.
    """
    signal.signal(signal.SIGTERM, _end)
    every, source = checked_every(args.every), open_source(args.source)
    search = finder(args.yunet)
    if args.faces == "auto" and isinstance(search, HaarFinder):
        say(f"note: {finder_words(search)}")
    # Several frames are searched at once, each by one thread, while the model runs: more would wait for each other.
    cv2.setNumThreads(1)
    threads = 1 if args.threads is None else args.threads
    engine = Engine.load(find_model(args.model or Path(DEFAULT)), provider=args.provider, threads=threads)
    options = WatchOptions(
        out=args.out,
        every=every,
        faces=args.faces,
        limit=args.limit,
        min_confidence=args.min_confidence,
        parquet=args.parquet,
        annotate=args.annotate,
    )
    summary = run_watch(source, engine, search, options)
    hand_over(args.out)
    if summary.trouble is not None:
        say(f"error: {summary.trouble}")
    return BAD_INPUT if summary.trouble is not None else 0


def _end(number: int, _: object) -> None:
    """End as by Ctrl-C: by way of all that keeps what was read."""
    signal.signal(number, signal.SIG_IGN)
    sys.exit(128 + number)
