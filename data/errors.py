"""The one exception that people cause and people mend."""


class InputError(Exception):
    """Something given to us cannot be used.

    The message is one sentence: what was found and where, what was expected, what to do. Commands
    print it without a traceback and exit with status 2.
    """


def printable(text: str) -> str:
    """Return `text` with a question mark for what would break a line, steer a terminal or not encode."""
    return "".join(c if c.isprintable() else "?" for c in text)
