"""Persons who keep their numbers: `python -m benchmarks.tracking --yunet FILE`, then judged by motmetrics.

Draws films of 2 to 6 persons who exchange places and turn round, has the faces found and followed, and writes what was
true and what was answered in the form of MOTChallenge: https://motchallenge.net/instructions/. motmetrics needs
numpy 1, so it has an environment of its own, and a program that imports nothing else judges:

    uv venv judge && uv pip install --python judge/bin/python 'numpy<2' motmetrics
    judge/bin/python benchmarks/tracking_judge.py FOLDER
"""

import argparse
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import cv2

from benchmarks.films import RATE, DrawnFilm
from benchmarks.identity import idf1, switches
from inference.catalogue import DEFAULT, find_model
from inference.engine import Engine
from inference.photos.faces import Finder, finder
from inference.video import EVERY
from inference.video.frames import Frame, Position
from inference.video.moments import watched

PERSONS = range(2, 7)


def main() -> None:
    """Write the films' truths and answers, and print a line for each film."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, metavar="FOLDER")
    parser.add_argument("--seeds", type=int, default=6, help="films for each number of persons (default: 6)")
    parser.add_argument("--first", type=int, default=100, help="the first seed (default: 100)")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--every", type=float, default=EVERY)
    parser.add_argument("--gaps", type=float, nargs=2, default=(0.3, 0.9), help="how long heads are turned round")
    parser.add_argument("--yunet", type=Path)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    engine, search = Engine.load(find_model(Path(DEFAULT))), finder(args.yunet)
    for persons, number in product(PERSONS, range(args.seeds)):
        film = DrawnFilm(persons, args.seconds, args.first + number, tuple(args.gaps))
        follow(film, engine, search, args.every, args.out / f"{persons}-{args.first + number}")


def follow(film: DrawnFilm, engine: Engine, search: Finder, every: float, folder: Path) -> None:
    """Follow a film's persons, write both files into a folder, and print what it came to."""
    folder.mkdir(parents=True, exist_ok=True)
    moments = []
    truths, answers = [], []
    for place, step in enumerate(watched(frames(film, every), engine, search), 1):
        truth = film.seen(step.moment.seconds)
        boxes = [(face.track, face.box) for face in step.moment.faces]
        moments.append((truth, [(track, box.x + box.width / 2, box.y + box.height / 2) for track, box in boxes]))
        truths += [line(place, one.person + 1, one.x - one.side / 2, one.y - one.side / 2, one.side) for one in truth]
        for track, box in boxes:
            side = max(box.width, box.height)
            left, top = box.x + (box.width - side) / 2, box.y + (box.height - side) / 2
            answers.append(line(place, track, left, top, side))
    (folder / "gt.txt").write_text("".join(truths))
    (folder / "answers.txt").write_text("".join(answers))
    short = sum(every * (now - before) < 1 for now, before in switches(moments))
    print(f"{folder.name}: IDF1 {idf1(moments):.3f}, switches {len(switches(moments))}, at gaps under 1 s {short}")


def line(frame: int, number: int, left: float, top: float, side: float) -> str:
    """Return a box as MOTChallenge writes it: frame and number from 1."""
    return f"{frame},{number},{left:.2f},{top:.2f},{side:.2f},{side:.2f},1,-1,-1,-1\n"


def frames(film: DrawnFilm, every: float) -> Iterator[Frame]:
    """Yield the frames that are looked at, straight from the drawer."""
    for number in range(0, film.frames, max(1, round(every * RATE))):
        yield Frame(
            Position(number=number, time=None, seconds=number / RATE, origin=0.0, shift=0.0, damaged=0),
            film.frame(number),
        )


if __name__ == "__main__":
    main()
