"""Says which face finder is used, and gets a better one: `python -m inference faces [--fetch]`."""

import argparse
import sys

from inference.photos.faces import YuNetFinder, finder, finder_words
from inference.photos.fetch import fetch


def main(args: argparse.Namespace) -> int:
    """Print the finder that `predict` and the page use, after fetching YuNet where that is asked for.

    Args:
        args: fetch (bool), address (str: where to fetch from), yunet (Path or None).

    Raises:
        InputError: the model cannot be fetched, or the one that is chosen cannot be used.
    """
    if args.fetch:
        print(f"fetching {args.address}", file=sys.stderr)
        path = fetch(args.address)
        YuNetFinder(path)
        print(path)
    print(finder_words(finder(args.yunet)), file=sys.stderr)
    return 0
