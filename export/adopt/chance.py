"""Is an adopted model fed rightly? What it reaches on a validation part tells, and what other declarations would reach.

A model that is fed wrongly still answers, and no comparison of tensors can see it: it is then at chance, or at what
always giving the most frequent label reaches. So that is what it has to beat surely, by the 95 % Wilson interval.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from data.faceset import LABELS, FaceSet
from data.splits import Split
from export.adopt.foreign import Foreign, runner
from export.adopt.presets import IMAGENET_DEVIATION, IMAGENET_MEAN
from export.adopt.reference import Floats, Pixels, answered
from inference.adoption import Adoption, Order, Preprocessing, ValidationFigures
from inference.measure.metrics import wilson_interval
from inference.text import percent

# Enough to tell declarations apart whose accuracies differ by `LEAST_GAIN`.
FACES = 300
LEAST_GAIN = 0.10
# What grey values are commonly made to be, as `--divide-by`, `--mean` and `--std`.
RANGES: tuple[tuple[float, tuple[float, ...], tuple[float, ...]], ...] = (
    (1.0, (0.0,), (1.0,)),
    (255.0, (0.0,), (1.0,)),
    (127.5, (1.0,), (1.0,)),
    (255.0, IMAGENET_MEAN, IMAGENET_DEVIATION),
)


def validation_figures(logits: NDArray[np.float32], faces: FaceSet, division: Split) -> ValidationFigures:
    """Return how logits float32[N, 7] of the validation part do there."""
    labels = faces.labels[division.validation]
    correct = int((logits.argmax(axis=1) == labels).sum())
    return ValidationFigures(
        source=faces.source,
        fingerprint=division.fingerprint,
        faces=len(labels),
        accuracy=correct / len(labels),
        interval=wilson_interval(correct, len(labels)),
        constant=float(np.bincount(labels).max() / len(labels)),
    )


@dataclass(frozen=True)
class _Tried:
    options: str
    accuracy: float


def suggestion(foreign: Foreign, output: str, adoption: Adoption, faces: FaceSet, division: Split) -> str:
    """Return in a sentence which other declaration does much better on some validation faces; empty where none does.

    `output` is the foreign file's own name of what is used.
    """
    chosen = np.random.default_rng(0).permutation(division.validation)[:FACES]
    pixels = np.ascontiguousarray(faces.records["pixels"][chosen])
    labels = faces.labels[chosen].astype(np.int64)
    run = runner(foreign.content, foreign.name, foreign.input, output)
    tried = list(_tried(run, adoption, pixels, labels, foreign.batch))
    now, best = tried[0], max(tried, key=lambda one: one.accuracy)
    if best.accuracy < now.accuracy + LEAST_GAIN:
        return ""
    return (
        f"on {len(chosen)} of these faces {best.options} reaches {percent(best.accuracy, 1)}, what is declared "
        f"{percent(now.accuracy, 1)}"
    )


def _tried(
    run: Callable[[Floats], Floats], adoption: Adoption, pixels: Pixels, labels: NDArray[np.int64], batch: int | None
) -> Iterator[_Tried]:
    """Yield what is declared, then its answers with other labels, then other ways to feed it."""
    places = [adoption.names.index(label) for label in LABELS]
    raw = answered(run, pixels, adoption.preprocessing, batch)
    yield _Tried("", _accuracy(raw, places, labels))
    matched = _matched(raw, labels)
    names = [LABELS[matched.index(column)] if column in matched else "other" for column in range(raw.shape[1])]
    yield _Tried(f"--labels {','.join(names)}", _accuracy(raw, matched, labels))
    for options, other in _others(adoption.preprocessing):
        yield _Tried(options, _accuracy(answered(run, pixels, other, batch), places, labels))


def _accuracy(raw: Floats, places: list[int], labels: NDArray[np.int64]) -> float:
    return float((raw[:, places].argmax(axis=1) == labels).mean())


def _matched(raw: Floats, labels: NDArray[np.int64]) -> list[int]:
    """Return for each label the column that would answer it best, if each could be given to one label alone."""
    from scipy.optimize import linear_sum_assignment

    counts = np.zeros((len(LABELS), raw.shape[1]))
    np.add.at(counts, (labels, raw.argmax(axis=1)), 1)
    matched: list[int] = linear_sum_assignment(counts, maximize=True)[1].tolist()
    return matched


def _others(declared: Preprocessing) -> Iterator[tuple[str, Preprocessing]]:
    for divide_by, mean, deviation in RANGES:
        other = replace(
            declared, divide_by=divide_by, mean=mean[: declared.channels], deviation=deviation[: declared.channels]
        )
        # ImageNet's values are of three channels.
        if other != declared and len(mean) in (1, declared.channels):
            values = (",".join(f"{value:g}" for value in part) for part in (mean, deviation))
            yield "--divide-by {:g} --mean {} --std {}".format(divide_by, *values), other
    if declared.channels > 1 and len(declared.mean) > 1:
        order: Order = "rgb" if declared.order == "bgr" else "bgr"
        yield f"--order {order}", replace(declared, order=order)
