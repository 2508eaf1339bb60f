"""What is generated into a text file stands between two markers, which stay."""

from data.errors import InputError


def markers(name: str) -> tuple[str, str]:
    """Return the two markers of a generated part: HTML comments, which Markdown shows as nothing."""
    return f"<!-- {name}: begin -->", f"<!-- {name}: end -->"


def put_between(text: str, generated: str, name: str, file: str) -> str:
    """Replace what stands between the markers called `name` in a text; `file` is its name, for the message."""
    begin, end = markers(name)
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(end) < text.index(begin):
        raise InputError(f"{file} does not hold {begin} and then {end}, once each; write them where the table belongs")
    return f"{text[: text.index(begin)]}{begin}\n{generated}\n{text[text.index(end) :]}"
