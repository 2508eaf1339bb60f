"""What people declare of a model, completed by a preset and by what the file says of itself, and checked against it."""

import re
from dataclasses import dataclass, replace
from typing import Any, get_args

from data.classes import SYNONYMS
from data.errors import InputError, printable
from data.faceset import LABELS
from export.adopt.foreign import Foreign
from export.adopt.presets import PRESETS, Preset
from inference.adoption import (
    LARGEST_SIDE,
    SMALLEST_SIDE,
    Answers,
    Layout,
    Order,
    Others,
    Preprocessing,
    Resizing,
    check_names,
)

LONGEST_STATEMENT = 300
# What models of emotions answer besides, and what softmax says nothing about.
NO_CLASSES = {"valence", "arousal"}


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What people have said of a model; None, or nothing, is what they have left to a preset or to the file."""

    preset: str | None = None
    size: int | None = None
    resize: Resizing | None = None
    channels: int | None = None
    order: Order | None = None
    layout: Layout | None = None
    divide_by: float | None = None
    mean: tuple[float, ...] | None = None
    deviation: tuple[float, ...] | None = None
    names: str = ""
    others: Others = "dropped"
    answers: Answers | None = None
    output: str | None = None
    trained_on: str | None = None


@dataclass(frozen=True, kw_only=True)
class Declaration:
    """All that is declared of a model; `answers` is None where its own answers are to tell."""

    preset: str | None
    preprocessing: Preprocessing
    names: tuple[str, ...]
    others: Others
    answers: Answers | None
    output: str
    trained_on: str | None


def declared(wish: Wish, foreign: Foreign) -> Declaration:
    """Complete a wish.

    Raises:
        InputError: something is missing that neither a preset nor the file says, or is said otherwise by the file.
    """
    preset = _preset(wish.preset)
    names = parse_names(wish.names) if wish.names else preset.names if preset else ()
    if not names:
        raise InputError(
            "--labels is missing: expected what each of the model's answers means, in their order, such as "
            f"--labels angry,disgust,fear,happy,sad,surprise,neutral, or a --preset ({', '.join(PRESETS)})"
        )
    if wish.others == "kept-out" and (no_classes := sorted(NO_CLASSES.intersection(names))):
        raise InputError(
            f"--others is kept-out, and {', '.join(no_classes)} is no label with a share of its own; leave it out"
        )
    statement = wish.trained_on or (preset.trained_on if preset else None)
    if statement is not None and len(statement) > LONGEST_STATEMENT:
        raise InputError(f"--trained-on has {len(statement)} characters, expected up to {LONGEST_STATEMENT}; cut it")
    return Declaration(
        preset=wish.preset,
        preprocessing=_preprocessing(wish, preset, foreign),
        names=names,
        # Without others there is nothing to keep out.
        others=wish.others if len(names) > len(LABELS) else "dropped",
        answers=wish.answers or (preset.answers if preset else None),
        output=_output(wish.output, foreign),
        trained_on=statement,
    )


def parse_names(text: str) -> tuple[str, ...]:
    """Read `--labels`: names divided by commas, in the order of the answers; sure synonyms of the seven are read."""
    given = tuple(name.strip().lower() for name in text.split(","))
    names = tuple(SYNONYMS.get(name, name) for name in given)
    if any(not re.fullmatch(r"[\w -]{1,40}", name) for name in names):
        raise InputError(f"--labels is {printable(text)[:100]!r}, expected names divided by commas; write them so")
    try:
        check_names(names)
    except InputError as error:
        raise InputError(f"--labels: {error}") from None
    return names


def _preset(name: str | None) -> Preset | None:
    if name is None:
        return None
    if name not in PRESETS:
        raise InputError(f"--preset is {printable(name)!r}, expected one of {', '.join(PRESETS)}")
    return PRESETS[name]


def _output(name: str | None, foreign: Foreign) -> str:
    known = printable(", ".join(foreign.outputs))[:200]
    if name is None and len(foreign.outputs) == 1:
        return next(iter(foreign.outputs))
    if name is None:
        raise InputError(f"{foreign.name} has several outputs ({known}); say which has the emotions: --output NAME")
    if name not in foreign.outputs:
        raise InputError(f"--output is {printable(name)[:60]!r}, expected one of {known}")
    return name


def _preprocessing(wish: Wish, preset: Preset | None, foreign: Foreign) -> Preprocessing:
    said: dict[str, Any] = {
        name: value
        for name in ("size", "resize", "channels", "order", "layout", "divide_by", "mean", "deviation")
        if (value := getattr(wish, name)) is not None
    }
    if preset is None and "divide_by" not in said:
        raise InputError(
            "--divide-by is missing: expected what grey values from 0 to 255 are divided by before they go in, 255 for "
            "values from 0 to 1, 1 for values as they are; its makers' own program says which"
        )
    if wish.size is not None and not SMALLEST_SIDE <= wish.size <= LARGEST_SIDE:
        raise InputError(f"--size is {wish.size}, expected {SMALLEST_SIDE} to {LARGEST_SIDE} pixels")
    base = preset.preprocessing if preset else None
    if base is None:
        said = _by_shape(foreign, wish) | said
        complete = Preprocessing(**said)
    else:
        complete = replace(base, **said)
    _check_shape(complete, foreign)
    return complete


def _by_shape(foreign: Foreign, wish: Wish) -> dict[str, Any]:
    """Return layout, channels and size as far as the input's shape tells them."""
    sides = foreign.shape[1:]
    layout = wish.layout or _layout(sides)
    if layout is None:
        raise InputError(
            f"{foreign.name} takes {_shown(foreign.shape)}, which tells no layout; say it: --layout "
            f"{'|'.join(get_args(Layout))}, --channels and --size"
        )
    found: dict[str, Any] = {"layout": layout}
    place, row = {"nchw": (0, 1), "nhwc": (2, 0), "nhw": (None, 0)}[layout]
    if place is not None and len(sides) > place and sides[place] in (1, 3):
        found["channels"] = sides[place]
    size = sides[row] if len(sides) > row else None
    if size is None and wish.size is None:
        raise InputError(f"{foreign.name} takes pictures of any size; say which it was trained with: --size N")
    return found | ({} if size is None else {"size": size})


def _layout(sides: tuple[int | None, ...]) -> Layout | None:
    if len(sides) == 2:
        return "nhw"
    first, last = sides[0] in (1, 3), sides[-1] in (1, 3)
    return None if first == last else "nchw" if first else "nhwc"


def _check_shape(preprocessing: Preprocessing, foreign: Foreign) -> None:
    stated, declared_sides = foreign.shape[1:], preprocessing.shape
    fits = len(stated) == len(declared_sides) and all(
        axis in (None, side) for axis, side in zip(stated, declared_sides, strict=False)
    )
    if not fits:
        raise InputError(
            f"{foreign.name} takes {_shown(foreign.shape)}, and {_shown((None, *declared_sides))} is declared "
            f"({preprocessing.layout.upper()}); change --size, --channels or --layout, or the --preset"
        )


def _shown(shape: tuple[int | None, ...]) -> str:
    return f"[{', '.join('N' if axis is None else str(axis) for axis in shape)}]"
