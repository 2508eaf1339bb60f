"""Measures, compares and uses exported models: `ferox evaluate`, `ferox predict`, and so on."""

import argparse
import importlib
from functools import partial
from pathlib import Path

from data.addresses import CLUSTER_HELP
from data.classes import CLASSES_HELP
from data.commands import Commands, run_command
from data.places import explanations_folder, reports_folder
from inference.batch import FORMATS, PICTURES_A_SHARD
from inference.photos.fetch import ADDRESS, YUNET_HELP
from inference.video import EVERY

MODEL_HELP = "an exported .onnx, or a name that ferox models prints"
THREADS_HELP = (
    "processor threads (default: all that this process may use; of watch and each process of predict --out, 1)"
)
TTA = ("none", "flip", "ten-crop")
METHODS = ("occlusion", "cam")


def main() -> int:
    """Parse the command line and run what it asks for."""
    parser = argparse.ArgumentParser(prog="python -m inference", description=__doc__, allow_abbrev=False)
    add_commands(parser.add_subparsers(dest="command", required=True))
    args = parser.parse_args()
    status: int = args.main(args)
    return status


def add_commands(commands: Commands) -> None:
    """Add each command, with the function `main` that does it and returns the exit status."""
    for name, add, help_text in (
        ("predict", _add_predict, "the emotions of the faces in pictures"),
        ("explain", _add_explain, "what a model looked at in the faces of pictures: heat over each, for two answers"),
        ("watch", _add_watch, "the emotions of the faces in a film, a stream or before a camera, over time"),
        ("models", _add_models, "the models there are, what to call them, how good, large and fast they are"),
        ("evaluate", _add_evaluate, "accuracy, confusion, ROC and a report page for each model"),
        ("compare", _add_compare, "one page that settles which of the models to ship"),
        ("results", _add_results, "results and comparisons as Markdown tables, printed or put into a file"),
        ("faces", _add_faces_command, "which face finder is used; --fetch gets a better one"),
    ):
        command = commands.add_parser(name, help=help_text, description=help_text, allow_abbrev=False)
        add(command)
        command.set_defaults(main=partial(_run, name))


def _run(name: str, args: argparse.Namespace) -> int:
    # Imported late: onnxruntime, OpenCV and scikit-learn take seconds, --help should not.
    status: int = importlib.import_module(f"inference.{name}").main(args)
    return status


def _add_engine(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--provider", default="auto", help="auto, cpu, cuda or openvino (default: auto)")
    parser.add_argument("--threads", type=int, help=THREADS_HELP)


def _add_finding(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--faces",
        choices=("auto", "whole"),
        default="auto",
        help="find faces, or take the whole picture as one",
    )
    parser.add_argument("--yunet", type=Path, help=YUNET_HELP)


def _add_evaluate(parser: argparse.ArgumentParser) -> None:
    _add_faces(parser)
    parser.add_argument("--tta", choices=TTA, default="none", help="test-time augmentation (default: none)")
    parser.add_argument("--explain", action="store_true", help="show what the model looks at in each class, too")
    _add_engine(parser)


def _add_faces(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("models", nargs="+", type=Path, metavar="MODEL", help=MODEL_HELP)
    parser.add_argument("--data", type=Path, help="fer2013.csv, image folder or zip (default: drawn faces)")
    parts = ("train", "validation", "test", "all")
    parser.add_argument("--part", choices=parts, help="default: test; all: every face of a set it was not trained on")
    parser.add_argument("--protocol", choices=("official", "random"), help="default: the model's own")
    parser.add_argument("--allow-seen", action="store_true", help="measure even on faces the model was trained on")
    parser.add_argument("--skip-bad-rows", action="store_true", help="leave out and count rows that cannot be used")
    parser.add_argument("--classes", default="", help=CLASSES_HELP)
    parser.add_argument("--out", type=Path, default=reports_folder(), help="default: %(default)s")


def _add_compare(parser: argparse.ArgumentParser) -> None:
    _add_faces(parser)
    parser.add_argument(
        "--tta", nargs="+", choices=TTA, default=["none"], help="test-time augmentations, a row for each"
    )
    parser.add_argument(
        "--ensemble",
        nargs="*",
        action="append",
        default=[],
        metavar="MODEL",
        help="add the mean of these models; without names, of the best set, picked on the validation part; repeatable",
    )
    parser.add_argument("--no-robustness", action="store_true", help="leave out the accuracy on spoiled faces")
    parser.add_argument("--no-latency", action="store_true", help="leave out the timing")
    parser.add_argument("--latency-seconds", type=float, default=2.0, help="least time to time each model (default: 2)")
    _add_engine(parser)


def _add_results(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files", nargs="+", type=Path, metavar="FILE", help="results, and comparisons' report.json or their folders"
    )
    parser.add_argument("--into", type=Path, metavar="FILE", help="replace what stands between its results markers")


def _add_min_confidence(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--min-confidence",
        type=float,
        default=0.0,
        metavar="P",
        help="say unsure where the most probable label has less than this probability (default: 0, always answer)",
    )


def _add_predict(parser: argparse.ArgumentParser) -> None:
    pictures = "pictures, folders of them, or with --out lists of them (.txt); MODEL.onnx may stand before them"
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE", help=pictures)
    parser.add_argument("--model", type=Path, metavar="MODEL", help=f"{MODEL_HELP} (default: VGG-32)")
    _add_finding(parser)
    _add_min_confidence(parser)
    parser.add_argument(
        "--decode-side",
        type=int,
        metavar="N",
        help="decode JPEGs 2, 4 or 8 times smaller, as long as the longer side keeps N pixels: faster, other answers",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON list instead of a table")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="write shards of a table there instead; goes on if stopped"
    )
    parser.add_argument("--format", choices=FORMATS, help=f"of the shards (default: {FORMATS[0]})")
    parser.add_argument("--shard", type=int, metavar="N", help=f"pictures in a shard (default: {PICTURES_A_SHARD})")
    parser.add_argument("--jobs", type=int, metavar="N", help="processes, with --out (default: one a processor)")
    parser.add_argument("--ray", metavar="ADDRESS", help=f"with --out: share the work out, {CLUSTER_HELP}")
    _add_engine(parser)


def _add_watch(parser: argparse.ArgumentParser) -> None:
    what = "a film, a camera's number (0), or a stream's address (rtsp://, http:// ...)"
    parser.add_argument("source", metavar="FILE|CAMERA|STREAM", help=what)
    parser.add_argument("--out", type=Path, metavar="DIR", required=True, help="for the answers; goes on if stopped")
    often = "how often to look (default: %(default)s)"
    parser.add_argument("--every", default=str(EVERY), metavar="SECONDS|frame", help=often)
    parser.add_argument("--limit", type=float, metavar="SECONDS", help="stop after so much of it")
    parser.add_argument("--annotate", action="store_true", help="write a copy of the film with the faces marked, too")
    parser.add_argument("--parquet", action="store_true", help="write the timeline as Parquet, too")
    parser.add_argument("--model", type=Path, metavar="MODEL", help=f"{MODEL_HELP} (default: VGG-32)")
    _add_min_confidence(parser)
    _add_finding(parser)
    _add_engine(parser)


def _add_explain(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE", help="pictures, or folders of them")
    parser.add_argument("--model", type=Path, metavar="MODEL", help=f"{MODEL_HELP} (default: VGG-32)")
    parser.add_argument(
        "--method",
        choices=METHODS,
        help="occlusion asks any model about covered faces (default); cam needs one that ends in an average pool",
    )
    _add_finding(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON list instead of writing files")
    parser.add_argument("--out", type=Path, metavar="DIR", help=f"write files there (default: {explanations_folder()})")
    _add_engine(parser)


def _add_models(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON list instead of a table")
    parser.add_argument("--no-speed", action="store_true", help="leave out the timing")
    parser.add_argument("--hub-folder", type=Path, metavar="DIR", help="write one in the Hub's form instead")
    parser.add_argument("model", nargs="?", metavar="MODEL", help=f"with --hub-folder: {MODEL_HELP}")


def _add_faces_command(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--fetch", action="store_true", help="get YuNet, 0.2 MB, from OpenCV's model zoo and keep it")
    parser.add_argument("--from", dest="address", default=ADDRESS, metavar="URL", help="fetch it from a mirror")
    parser.add_argument("--yunet", type=Path, help="a YuNet .onnx to use instead (default: FEROX_YUNET)")


if __name__ == "__main__":
    run_command(main)
