"""What is declared of a model that others have trained: how it wants its faces, and what its answers mean.

Such a model is adopted: `ferox adopt` puts the contract around it, and all that is declared is made part of the graph.
The declaration itself is kept in the manifest, for people: no engine reads it.
"""

import math
from collections import Counter
from dataclasses import dataclass
from typing import Annotated, Literal, TypeVar

from annotated_types import Ge, Gt, Le

from data.documents import Number, Share
from data.errors import InputError, printable
from data.faceset import LABELS, SIDE

Layout = Literal["nchw", "nhwc", "nhw"]
Order = Literal["rgb", "bgr"]
Resizing = Literal["opencv-linear", "linear", "cubic"]
Answers = Literal["logits", "probabilities"]
Others = Literal["dropped", "kept-out"]
SMALLEST_SIDE, LARGEST_SIDE = 8, 512
# More labels than any model of emotions has.
MOST_LABELS = 64
LONGEST_CLAIM = 40
Positive = Annotated[float, Gt(0)]
Value = TypeVar("Value")


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """How a grey face, uint8[48, 48], becomes a model's input: these steps, in this order.

    Attributes:
        size: the side in pixels that the face is resized to, unless it has that already.
        resize: by which rule. `opencv-linear` is what `cv2.resize` makes of a uint8 picture: whole grey values, by
            fixed-point arithmetic, to the last bit. `linear` and `cubic` are what it makes of a float32 picture with
            INTER_LINEAR and INTER_CUBIC: centres of pixels are aligned, edges repeated, nothing is rounded or smoothed.
        channels: over how many the grey value is repeated.
        order: in which order the model takes its channels, where there are three.
        divide_by: (grey value / `divide_by` - `mean`) / `deviation` goes in.
        mean: one for all channels, or one each for red, green and blue, whatever the order is.
        deviation: as `mean`.
        layout: the order of the input's axes: batch, channels, rows, columns; `nhw` has no axis of channels.
    """

    size: Annotated[int, Ge(SMALLEST_SIDE), Le(LARGEST_SIDE)]
    resize: Resizing = "opencv-linear"
    channels: Literal[1, 3] = 1
    order: Order = "rgb"
    divide_by: Positive = 1.0
    mean: tuple[float, ...] = (0.0,)
    deviation: tuple[Positive, ...] = (1.0,)
    layout: Layout = "nchw"

    def __post_init__(self) -> None:
        for name, values in (("mean", self.mean), ("deviation", self.deviation)):
            if len(values) not in (1, self.channels):
                raise InputError(
                    f"{name} has {len(values)} values, expected 1, or one for each of {self.channels} channels"
                )
        if not all(map(math.isfinite, (self.divide_by, *self.mean, *self.deviation))):
            raise InputError("what is divided by, mean or deviation is no finite number, expected numbers")
        if self.divide_by <= 0 or min(self.deviation) <= 0:
            raise InputError(
                f"values are divided by {self.divide_by:g} and {min(self.deviation):g}, expected more than 0"
            )
        if self.layout == "nhw" and self.channels > 1:
            raise InputError(f"the layout nhw has no place for {self.channels} channels, expected nchw or nhwc")

    @property
    def shape(self) -> tuple[int, ...]:
        """The model's input without its batch."""
        shapes = {
            "nchw": (self.channels, self.size, self.size),
            "nhwc": (self.size, self.size, self.channels),
            "nhw": (self.size, self.size),
        }
        return shapes[self.layout]

    def in_order(self, values: tuple[Value, ...]) -> tuple[Value, ...]:
        """Return values for red, green and blue in the order of the model's channels; one for all stays one."""
        return values[::-1] if self.order == "bgr" else values

    @property
    def words(self) -> str:
        """All of it in words."""
        colours = f"{self.channels} channels ({self.order.upper()})" if self.channels > 1 else "1 channel"
        resized = "" if self.size == SIDE else f" ({self.resize})"
        return f"{self.size}x{self.size} pixels{resized}, {colours}, {self._values}, {self.layout.upper()}"

    @property
    def _values(self) -> str:
        """What becomes of a grey value, in words, without what changes nothing."""
        mean, deviation = map(_numbers, (self.mean, self.deviation))
        divided = "grey value" if self.divide_by == 1 else f"grey value / {self.divide_by:g}"
        shifted = divided if mean == "0" else f"{divided} - {mean}"
        return shifted if deviation == "1" else f"({shifted}) / {deviation}"


@dataclass(frozen=True, kw_only=True)
class ValidationFigures:
    """How an adopted model does on a validation part, which tells whether it is fed rightly.

    `accuracy` is a share, `interval` its 95 % interval; `constant` is what always giving the most frequent label would
    reach. Whether the model was trained on these faces is as unknown as all else that it was trained on.
    """

    source: str
    fingerprint: str
    faces: Number
    accuracy: Share
    interval: tuple[Share, Share]
    constant: Share

    @property
    def is_above_chance(self) -> bool:
        """Whether it surely (95 %) does better than always giving the most frequent label."""
        return self.interval[0] > self.constant


@dataclass(frozen=True, kw_only=True)
class Adoption:
    """What was adopted, and what its adopter declares of it.

    Attributes:
        file: the name of the foreign file, whose sha256 is the manifest's `checkpoint_sha256`.
        producer: the program that the file says it was written by; empty where it says nothing.
        opset: the version of ONNX's operators that it was written in.
        output: which of its outputs is used.
        answers: what that output is; logits of `probabilities` are their logarithms.
        preset: the preset that the declaration comes from, None for one of one's own.
        preprocessing: how it wants its faces.
        names: what each column of its output means: one of the seven labels, or something else.
        others: what becomes of columns that are none of the seven. `dropped`: the seven's probabilities are made to sum
            to 1 without them; `kept-out`: their share is spread evenly over the seven, so that a face which the model
            takes for something else gets no sure answer.
        trained_on: what its adopter says that it was trained on, which nobody has checked; None where nothing is said.
        validation: how it does on a validation part; None where none was at hand.
    """

    file: str
    producer: str
    opset: Number
    output: str
    answers: Answers
    preset: str | None
    preprocessing: Preprocessing
    names: tuple[str, ...]
    others: Others
    trained_on: str | None
    validation: ValidationFigures | None

    def __post_init__(self) -> None:
        check_names(self.names)

    @property
    def training_data(self) -> str:
        """What is known of the faces that it was trained on, in words."""
        if self.trained_on is None:
            return "unknown"
        return f"unknown; whoever adopted it says: {printable(self.trained_on)}"

    @property
    def others_words(self) -> str:
        """What becomes of labels that are none of the seven, in words; empty where there are none."""
        if len(self.names) == len(LABELS):
            return ""
        kept_out = "kept out: their share is spread evenly over the seven"
        return kept_out if self.others == "kept-out" else "dropped: the seven sum to 1 without them"

    @property
    def claim(self) -> str:
        """The same in the few words that a table has room for."""
        if self.trained_on is None:
            return "unknown"
        short = printable(self.trained_on)
        return f"{short}, unchecked" if len(short) <= LONGEST_CLAIM else "see below, unchecked"


def _numbers(values: tuple[float, ...]) -> str:
    listed = ", ".join(f"{value:g}" for value in values)
    return listed if len(values) == 1 else f"[{listed}]"


def check_names(names: tuple[str, ...]) -> None:
    """Raise an `InputError` unless each of the seven labels is among the columns' names, and once."""
    if len(names) > MOST_LABELS:
        raise InputError(f"{len(names)} labels are named, expected at most {MOST_LABELS}")
    counts = Counter(names)
    wrong = [f"{label} {counts[label]} times" for label in LABELS if counts[label] != 1]
    if wrong:
        raise InputError(
            f"the labels are {printable(', '.join(names))[:200]}, which have {', '.join(wrong)}; expected each of "
            f"{', '.join(LABELS)} once, in the order of the model's answers"
        )


def columns(names: tuple[str, ...]) -> tuple[int, ...]:
    """Return where each of the seven labels is among the columns, in the order of `LABELS`."""
    return tuple(names.index(label) for label in LABELS)
