"""Looks at faces and draws them: `ferox data info|draw`, or `python -m data info|draw`."""

import argparse
from pathlib import Path

from data.classes import CLASSES_HELP
from data.commands import Commands, run_command
from data.places import reports_folder
from data.terminal import hand_over, say, warn


def main() -> int:
    """Parse the command line and run what it asks for."""
    parser = argparse.ArgumentParser(prog="python -m data", description=__doc__, allow_abbrev=False)
    add_commands(parser.add_subparsers(dest="command", required=True))
    args = parser.parse_args()
    status: int = args.main(args)
    return status


def add_commands(commands: Commands) -> None:
    """Add `info` and `draw`, each with the function `main` that does it and returns the exit status."""
    info = commands.add_parser(
        "info", help="counts, duplicates, leaks and a contact sheet of a dataset", allow_abbrev=False
    )
    info.add_argument("path", nargs="?", type=Path, help="fer2013.csv, image folder or zip (default: drawn faces)")
    info.add_argument("--skip-bad-rows", action="store_true", help="leave out and count rows that cannot be used")
    info.add_argument("--classes", default="", help=CLASSES_HELP)
    info.add_argument("--out", type=Path, default=reports_folder() / "data", help="default: %(default)s")
    info.add_argument("--json", action="store_true", help="print JSON instead of a table")
    info.set_defaults(main=_info)
    draw = commands.add_parser("draw", help="draw faces into a CSV of FER2013's form", allow_abbrev=False)
    draw.add_argument("out", type=Path, metavar="OUT.csv")
    draw.add_argument("--count", type=int, default=2100, help="default: 2100")
    draw.add_argument("--seed", type=int, default=0, help="default: 0")
    draw.set_defaults(main=_draw)


def _draw(args: argparse.Namespace) -> int:
    from data.draw import draw, write_csv

    say(f"drawing {args.count} faces")
    write_csv(draw(args.count, args.seed), args.out)
    hand_over(args.out)
    return 0


def _info(args: argparse.Namespace) -> int:
    import json
    from dataclasses import asdict

    from data.audit import audit, table
    from data.load import load
    from data.sheet import contact_sheet

    faces = load(args.path, args.classes, skip_bad_rows=args.skip_bad_rows)
    audited = audit(faces)
    sheet = args.out / "contact-sheet.png"
    print(json.dumps(asdict(audited), indent=2) if args.json else table(audited), flush=True)
    try:
        contact_sheet(faces, sheet)
    except OSError as error:
        warn(f"no contact sheet is written: {sheet}: {error.strerror}; say where with --out")
        return 0
    say(f"contact sheet: {sheet}")
    return 0


if __name__ == "__main__":
    run_command(main)
