"""Measures and uses exported models: `python -m inference evaluate|predict`."""

import argparse
from pathlib import Path

from data.errors import run_command


def main() -> int:
    """Parse the command line and run what it asks for."""
    parser = argparse.ArgumentParser(prog="python -m inference", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    _add_evaluate(commands.add_parser("evaluate", help="accuracy, confusion, ROC and a report page for each model"))
    _add_predict(commands.add_parser("predict", help="the emotions of the faces in pictures"))
    args = parser.parse_args()
    # Imported late: onnxruntime, OpenCV and scikit-learn take seconds, --help should not.
    if args.command == "evaluate":
        from inference import evaluate

        return evaluate.main(args)
    from inference import predict

    return predict.main(args)


def _add_engine(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--provider", default="auto", help="auto, cpu, cuda or openvino (default: auto)")
    parser.add_argument("--threads", type=int, help="processor threads (default: all that this process may use)")


def _add_evaluate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("models", nargs="+", type=Path, metavar="MODEL", help="exported .onnx files")
    parser.add_argument("--data", type=Path, help="fer2013.csv, image folder or zip (default: drawn faces)")
    parser.add_argument("--part", choices=("train", "validation", "test"), help="default: test")
    parser.add_argument("--protocol", choices=("official", "random"), help="default: the model's own")
    parser.add_argument("--allow-seen", action="store_true", help="measure even on faces the model was trained on")
    parser.add_argument("--skip-bad-rows", action="store_true", help="leave out and count rows that cannot be used")
    parser.add_argument("--out", type=Path, default=Path("artifacts/reports"), help="default: artifacts/reports")
    _add_engine(parser)


def _add_predict(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, metavar="MODEL", help="an exported .onnx file")
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE", help="pictures, or folders of them")
    parser.add_argument(
        "--faces",
        choices=("auto", "whole"),
        default="auto",
        help="find faces, or take the whole picture as one",
    )
    parser.add_argument("--yunet", type=Path, help="a YuNet .onnx to find faces with (default: FEROX_YUNET, else Haar)")
    parser.add_argument("--json", action="store_true", help="print one JSON list instead of a table")
    _add_engine(parser)


if __name__ == "__main__":
    run_command(main)
