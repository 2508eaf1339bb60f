"""The command `ferox`, which is also `python -m ferox`."""

import sys

from ferox.ownership import ForeignNameError, refuse_foreign_names


def main() -> None:
    """Run the command line and leave the process with its exit status."""
    try:
        refuse_foreign_names()
    except ForeignNameError as error:
        # Nothing of ferox's own can be trusted to be there, what prints errors included.
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    from ferox.command import run_words

    run_words(sys.argv[1:])


if __name__ == "__main__":
    main()
