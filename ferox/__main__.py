"""The command `ferox`, which is also `python -m ferox`."""

import sys


def main() -> None:
    """Run the command line and leave the process with its exit status."""
    try:
        from ferox.command import run_words
    except ImportError as error:
        # `ferox.ownership` says what stands in ferox's place, and what to do.
        if type(error).__name__ != "ForeignNameError":
            raise
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    run_words(sys.argv[1:])


if __name__ == "__main__":
    main()
