"""Writes the page that needs no server: `ferox web DIR [MODEL...]`."""

import argparse
from pathlib import Path

from data.commands import run_command
from data.terminal import hand_over, say
from inference.catalogue import DEFAULT, find_model

TAGS = '<script src="https://HOST/PATH/embed.js"></script> <ferox-faces></ferox-faces>'


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and write the site."""
    parser = argparse.ArgumentParser(prog="python -m demo.web", description=__doc__, allow_abbrev=False)
    add_arguments(parser)
    return run(parser.parse_args(arguments))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the site."""
    parser.add_argument("folder", type=Path, metavar="DIR", help="new, empty, or a site that is to be replaced")
    parser.add_argument(
        "models",
        nargs="*",
        type=Path,
        metavar="MODEL",
        help=f"files, or names that ferox models prints; the page begins with the first (default: {DEFAULT})",
    )
    parser.add_argument("--embed", action="store_true", help="also write embed.js, which shows it within other pages")


def run(args: argparse.Namespace) -> int:
    """Write the site, print its folder, and return the exit status.

    Raises:
        InputError: the page's scripts are not built, a model cannot be used, or the folder holds something else.
    """
    # Imported late: onnxruntime and OpenCV take seconds, --help should not.
    from demo.web.site import write_site

    site = write_site(args.folder, [find_model(model) for model in args.models or (DEFAULT,)], embed=args.embed)
    total = sum(path.stat().st_size for path in args.folder.rglob("*") if path.suffix not in (".gz", ".br"))
    count = len(site.models)
    named = "1 model" if count == 1 else f"{count} models"
    say(f"{named}, {total / 1e6:.1f} MB; any web server can serve the folder")
    if args.embed:
        say(f"in another page: {TAGS}")
    hand_over(args.folder)
    return 0


if __name__ == "__main__":
    run_command(main)
