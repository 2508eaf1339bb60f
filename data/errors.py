"""The one exception that people cause and people mend."""

import unicodedata


class InputError(Exception):
    """Something given to us cannot be used.

    The message is one sentence: what was found and where, what was expected, what to do. Commands
    print it without a traceback and exit with status 2. Names in it come from files and clients: it is made printable.
    """

    def __init__(self, sentence: str) -> None:
        super().__init__(printable(sentence))


def is_text(name: str) -> bool:
    """Whether a name from a disk can be written as UTF-8; bytes that are none stand in it as lone surrogates."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def as_text(name: str) -> str:
    """Return a name from a disk with a question mark for each byte that is no UTF-8."""
    return name.encode(errors="replace").decode()


def printable(text: str) -> str:
    """Return `text` with a question mark for what would break a line, steer a terminal or not encode."""
    if text.isprintable():
        return text
    # Spaces of other widths stand in people's paths, and do nothing to a terminal.
    return "".join(c if c.isprintable() or unicodedata.category(c) == "Zs" else "?" for c in text)
