"""Says which face finder is used, and gets a better one: `ferox faces [--fetch]`."""

import argparse

from data.terminal import hand_over, say
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
        say(f"fetching {args.address}")
        path = fetch(args.address)
        YuNetFinder(path)
        hand_over(path)
    say(finder_words(finder(args.yunet)))
    return 0
