"""Whether maps mean something, and what they cost: `python -m benchmarks.explanations MODEL... --data fer2013.csv`.

Deletion and insertion curves (see `inference.saliency.faithfulness`) of the answers to seeded faces of the official
validation part. Of a model that another protocol has trained, only faces that it has not learned from are taken; of
none those that settings were chosen on. Each method stands beside maps that know nothing (drawn, as smooth as real
ones); the differences are paired, face by face, with 95 % bootstrap intervals, and a method is better where these lie
on its side of 0. Beside the methods of `ferox explain` there are controls and others' methods:

- `centre`: the same for all faces, the nearer to the middle the more;
- `another face's`: occlusion's map of the next face that got the same answer;
- `patches`: one patch of 12 pixels covered at a time, in steps of 6 (Zeiler and Fergus 2014, 49 runs of the model);
- `rise`: 64 drawn masks, half of 7 x 7 cells each, shifted at random (Petsiuk et al. 2018), with the mean answer taken
  off and each pixel divided by how much of it the masks show, which helps it.

Times are medians over faces one by one, so many threads as `--threads` says.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from data.commands import run_command
from data.errors import InputError
from data.faceset import SIDE, FaceSet
from data.load import load
from data.splits import SplitPlan, split
from data.terminal import say
from inference.catalogue import find_model
from inference.engine import Engine
from inference.measure.paired import mean_interval
from inference.saliency.explaining import Explainer, explainer
from inference.saliency.faithfulness import Areas, areas, random_maps
from inference.saliency.occlusion import GRID, MASKS, enlarged

# By their places in the shuffled validation part: what settings were chosen on, see docs/explain.md.
CHOSEN_ON = slice(300, 420)
SEED = 1
PATCH, STEP = 12, 6
TIMED = 40
KINDS = ("occlusion", "cam", "rise", "patches", "another face's", "centre")

Maps = NDArray[np.float32]
Faces = NDArray[np.uint8]


@dataclass(frozen=True)
class Sample:
    """A model, N faces uint8[N, 48, 48], and its answers to them, int64[N]."""

    engine: Engine
    crops: Faces
    answers: NDArray[np.int64]

    @cached_property
    def occlusion(self) -> Maps:
        """Occlusion's maps, which more than one row needs."""
        return _asked(explainer(self.engine, "occlusion"), self)

    def areas(self, maps: Maps) -> Areas:
        """Return what curves come to in the order of maps."""
        return areas(self.engine.predict, self.crops, self.answers, maps)


def main() -> int:
    """Print a line a model and method to stdout, as Markdown."""
    args = _parser().parse_args()
    faces = load(args.data)
    print("| model | faces | maps | ms a face | deletion | difference | insertion | difference |")
    print("| --- | ---: | --- | ---: | ---: | --- | ---: | --- |", flush=True)
    for named in args.models:
        engine = Engine.load(find_model(named), provider="cpu", threads=args.threads)
        crops = validation_faces(faces, engine, args.faces)
        sample = Sample(engine, crops, engine.predict(crops).argmax(axis=1))
        nothing = sample.areas(random_maps(len(crops), GRID, SEED))
        name = engine.path.stem
        print(_line(name, len(crops), "random", None, nothing, None), flush=True)
        for kind in args.kinds:
            if (made := _maps(kind, sample)) is not None:
                maps, milliseconds = made
                print(_line(name, len(crops), kind, milliseconds, sample.areas(maps), nothing), flush=True)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.explanations", description=__doc__, allow_abbrev=False)
    parser.add_argument("models", nargs="+", type=Path, metavar="MODEL")
    parser.add_argument("--data", type=Path, required=True, help="fer2013.csv, or another form of it")
    parser.add_argument("--faces", type=int, default=300)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    return parser


def validation_faces(faces: FaceSet, engine: Engine, count: int) -> Faces:
    """Return the first `count` shuffled faces of the official validation part that a model may be asked about."""
    part = split(faces, SplitPlan()).validation
    shuffled = np.random.default_rng(SEED).permutation(part)
    allowed = np.delete(shuffled, CHOSEN_ON)
    data = engine.manifest.data
    if data is not None and data.protocol != "official" and data.faces == faces.fingerprint:
        allowed = allowed[np.isin(allowed, split(faces, data.plan()).test)]
    return np.ascontiguousarray(faces.records[allowed[:count]]["pixels"])


def _maps(kind: str, sample: Sample) -> tuple[Maps, float | None] | None:
    """Return maps of a kind for the sample's answers, and the median milliseconds of one; None where a model has none.

    Maps that are not made of a face have no time.
    """
    if kind == "centre":
        across = np.arange(SIDE, dtype=np.float32) - (SIDE - 1) / 2
        return np.broadcast_to(-(across[:, None] ** 2 + across**2), sample.crops.shape), None
    if kind == "another face's":
        return _swapped(sample.occlusion, sample.answers), None
    make = _maker(kind, sample.engine)
    if make is None:
        return None
    maps, seconds = sample.occlusion if kind == "occlusion" else make(sample), []
    for place in range(min(TIMED, len(sample.crops))):
        one = Sample(sample.engine, sample.crops[place : place + 1], sample.answers[place : place + 1])
        began = time.perf_counter()
        make(one)
        seconds.append(time.perf_counter() - began)
    return maps, 1000 * float(np.median(seconds))


def _maker(kind: str, engine: Engine) -> Callable[[Sample], Maps] | None:
    if kind == "rise":
        return _rise
    if kind == "patches":
        return _patches
    try:
        asked = explainer(engine, kind)
    except InputError as error:
        say(str(error))
        return None
    return lambda sample: _asked(asked, sample)


def _asked(asked: Explainer, sample: Sample) -> Maps:
    cells = asked.cells(sample.crops)
    return np.stack([enlarged(cells[face, answer]) for face, answer in enumerate(sample.answers)])


def _swapped(maps: Maps, answers: NDArray[np.int64]) -> Maps:
    """Return for each face the map of the next one with the same answer, the last one's being the first."""
    others = np.empty_like(maps)
    for answer in np.unique(answers):
        places = np.flatnonzero(answers == answer)
        others[places] = maps[np.roll(places, -1)]
    return others


def _rise(sample: Sample) -> Maps:
    """Return how much more of each pixel is shown where the answer is more probable than on average."""
    random, cell = np.random.default_rng(SEED), -(-SIDE // GRID)
    drawn = (random.random((MASKS, GRID, GRID)) < 0.5).astype(np.float32)
    grown = [cv2.resize(cells, [(GRID + 1) * cell] * 2, interpolation=cv2.INTER_LINEAR) for cells in drawn]
    corners = random.integers(0, cell, (MASKS, 2))
    masks = np.stack([mask[y : y + SIDE, x : x + SIDE] for mask, (y, x) in zip(grown, corners, strict=True)])
    apart = masks - masks.mean(axis=0)
    shown = (apart**2).sum(axis=0)
    found = [np.tensordot(kept - kept.mean(), apart, 1) / shown for kept in _under(sample, masks)]
    return np.asarray(np.stack(found), np.float32)


def _patches(sample: Sample) -> Maps:
    """Return how much of the answer's probability goes where a patch lies, the mean of all that cover a pixel."""
    starts = range(0, SIDE - PATCH + 1, STEP)
    masks = np.ones((len(starts) ** 2, SIDE, SIDE), np.float32)
    for mask, (y, x) in zip(masks, ((y, x) for y in starts for x in starts), strict=True):
        mask[y : y + PATCH, x : x + PATCH] = 0
    covered = (1 - masks) / (1 - masks).sum(axis=0)
    return np.stack([np.tensordot(-kept, covered, 1) for kept in _under(sample, masks)]).astype(np.float32)


def _under(sample: Sample, masks: Maps) -> list[NDArray[np.float64]]:
    """Return the probability of each face's answer under each mask, its mean grey where that is 0."""
    kept = []
    for crop, answer in zip(sample.crops, sample.answers, strict=True):
        grey = np.float32(crop.mean())
        faces = np.rint(grey + masks * (crop.astype(np.float32) - grey)).astype(np.uint8)
        kept.append(sample.engine.predict(faces)[:, answer].astype(np.float64))
    return kept


def _line(name: str, count: int, kind: str, milliseconds: float | None, found: Areas, nothing: Areas | None) -> str:
    time_cell = "" if milliseconds is None else f"{milliseconds:.1f}"
    cells = [f"`{name}`", str(count), kind, time_cell]
    for curve in ("deletion", "insertion"):
        values = getattr(found, curve)
        cells += [f"{values.mean():.3f}", "" if nothing is None else _difference(values - getattr(nothing, curve))]
    return f"| {' | '.join(cells)} |"


def _difference(differences: NDArray[np.float64]) -> str:
    low, high = mean_interval(differences)
    return f"{differences.mean():+.3f} ({low:+.3f} to {high:+.3f})"


if __name__ == "__main__":
    run_command(main)
