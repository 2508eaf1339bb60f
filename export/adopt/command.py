"""Puts the contract around a model that others have trained: `ferox adopt MODEL.onnx`.

The `.onnx` published is a line of stdout. Exit status 1: a gate refused it; 2: the file, its declaration or the data
cannot be used.
"""

import argparse
from pathlib import Path
from typing import get_args

from data.commands import GATE_REFUSED, how_to_install
from data.errors import InputError, printable
from data.places import models_folder
from data.terminal import hand_over, say, warn
from export.adopt.presets import PRESETS
from inference.adoption import Answers, Layout, Order, Others, Resizing


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what is adopted, what is declared of it, and where it goes."""
    parser.add_argument("file", type=Path, metavar="FILE.onnx", help="a model of emotions that others have trained")
    known = f"a known model, {', '.join(PRESETS)}: see docs/adopt.md; what is said besides wins"
    parser.add_argument("--preset", choices=PRESETS, metavar="NAME", help=known)
    _add_preprocessing(parser)
    _add_answers(parser)
    parser.add_argument(
        "--data",
        type=Path,
        help="faces with the official parts, to see whether it is fed rightly (default: drawn ones)",
    )
    parser.add_argument(
        "--trained-on", metavar="TEXT", help="what it was trained on, as you say; nobody checks it (default: unknown)"
    )
    parser.add_argument("--name", help="what it is to be called (default: the preset's or the file's name)")
    parser.add_argument(
        "--fixed-batch", type=int, metavar="N", help="every run takes N faces, of a file whose batch cannot be freed"
    )
    parser.add_argument("--out", type=Path, default=models_folder(), help="default: %(default)s")
    parser.add_argument("--replace", action="store_true", help="replace an artifact of the same name of another file")
    parser.add_argument(
        "--allow-chance", action="store_true", help="publish it even where it answers at chance on validation faces"
    )


def _add_preprocessing(parser: argparse.ArgumentParser) -> None:
    values = "as (grey value / D - mean) / std; one for all channels, or R,G,B"
    parser.add_argument("--size", type=int, metavar="N", help="it takes N x N pixels (default: as the file says)")
    parser.add_argument(
        "--resize",
        choices=get_args(Resizing),
        help="how 48 pixels become N: cv2.resize of whole grey values, or of floats (default: opencv-linear)",
    )
    parser.add_argument("--channels", type=int, choices=(1, 3), help="default: as the file says")
    parser.add_argument("--order", choices=get_args(Order), help="of three channels (default: rgb)")
    parser.add_argument("--layout", choices=get_args(Layout), help="order of the axes (default: as the file says)")
    parser.add_argument("--divide-by", type=float, metavar="D", help="255 makes grey values 0 to 1, 1 leaves them")
    parser.add_argument("--mean", type=_numbers, metavar="M", help=f"{values} (default: 0)")
    parser.add_argument("--std", type=_numbers, metavar="S", help="standard deviation, as --mean (default: 1)")


def _add_answers(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--labels", default="", metavar="NAMES", help="what its answers mean, in order: angry,disgust,..."
    )
    parser.add_argument(
        "--others",
        choices=get_args(Others),
        default="dropped",
        help="labels beside the seven: dropped, or kept-out: their share is spread over the seven (default: dropped)",
    )
    parser.add_argument("--answers", choices=get_args(Answers), help="what comes out (default: as the values tell)")
    parser.add_argument("--output", metavar="NAME", help="which output, where the file has several")


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(map(float, text.split(",")))


def run(args: argparse.Namespace) -> int:
    """Adopt the file; return 0, or 1 where a gate refused it.

    Raises:
        InputError: the file, its declaration or the data cannot be used, or a package is missing.
    """
    try:
        from export.adopt.declaration import Wish
        from export.adopt.proving import Target
        from export.adopt.publish import adopt
        from export.conversion import ExportError
    except ModuleNotFoundError as missing:
        raise InputError(
            f"adopting needs {missing.name}, which is not installed; {how_to_install('export')}"
        ) from missing
    wish = Wish(
        preset=args.preset,
        size=args.size,
        resize=args.resize,
        channels=args.channels,
        order=args.order,
        layout=args.layout,
        divide_by=args.divide_by,
        mean=args.mean,
        deviation=args.std,
        names=args.labels,
        others=args.others,
        answers=args.answers,
        output=args.output,
        trained_on=args.trained_on,
    )
    target = Target(args.out, args.name, args.fixed_batch, args.replace, args.allow_chance)
    say(f"adopting {args.file}")
    try:
        hand_over(adopt(args.file, wish, args.data, target))
    except ExportError as error:
        say(f"error: {printable(str(args.file))} is not published: {error}")
        return GATE_REFUSED
    if args.data is None:
        warn("it was proven on drawn faces alone: whether it is fed rightly, a validation part tells (--data)")
    return 0
