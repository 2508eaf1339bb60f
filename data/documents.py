"""Reads documents that lie on disk: every kind of value is checked, and whatever is wrong is one sentence.

Files are written by this system and by its older versions, cut off by full disks, edited by people and sent by
strangers. What they hold is a dataclass; pydantic checks types, ranges that the dataclass states, missing and unknown
fields, numbers that are none, and nesting so deep that Python's own reader would break off.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Annotated, Any, TypeVar

from annotated_types import Ge, Le

from data.errors import InputError, printable

Document = TypeVar("Document")
# A dataclass that is a whole document has this as `__pydantic_config__`; those inside it follow.
STRICT: Mapping[str, Any] = {"extra": "forbid", "strict": True, "allow_inf_nan": False}
SCHEMA_DIALECT = "https://json-schema.org/draft/2020-12/schema"
LONGEST_VALUE = 60
# Ranges that the reader holds documents to.
Share = Annotated[float, Ge(0), Le(1)]
Count = Annotated[int, Ge(0)]
Number = Annotated[int, Ge(1)]
Seconds = Annotated[float, Ge(0)]


def read_document(kind: type[Document], path: Path, remedy: str) -> Document:
    """Read a JSON file as `kind`, a dataclass.

    Raises:
        InputError: it cannot be read, or is not such a document; the sentence ends with the remedy.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{printable(str(path))} cannot be read ({error.strerror or error}); {remedy}") from error
    return parse_document(kind, content, printable(path.name), remedy)


def parse_document(kind: type[Document], content: str | bytes, name: str, remedy: str) -> Document:
    """Read JSON as `kind`; see `read_document`. `name` is what messages call it."""
    from pydantic import ValidationError

    try:
        document: Document = _adapter(kind).validate_json(content)  # type: ignore[arg-type]
    except ValidationError as error:
        raise InputError(f"{name}: {_said(error)}; {remedy}") from None
    except InputError as error:  # What a dataclass itself refuses.
        raise InputError(f"{name}: {error}; {remedy}") from None
    return document


def strict(**fixed: Any) -> Mapping[str, Any]:
    """Return `STRICT` for a document in which some fields have one value, or what a JSON Schema says of them."""

    def describe(schema: dict[str, Any]) -> None:
        for name, value in fixed.items():
            schema["properties"][name] |= value if isinstance(value, dict) else {"const": value}

    return {**STRICT, "json_schema_extra": describe}


def json_schema(kind: type[Any], title: str) -> dict[str, Any]:
    """Return the JSON Schema of a document; `kind` is a dataclass."""
    from pydantic.json_schema import GenerateJsonSchema

    class Bare(GenerateJsonSchema):
        """Without a title for each field, which repeats its name."""

        def field_title_should_be_set(self, schema: Any) -> bool:
            return False

    schema: dict[str, Any] = _adapter(kind).json_schema(schema_generator=Bare)  # type: ignore[arg-type]
    return {"$schema": SCHEMA_DIALECT, **schema, "title": title}


def top_level(content: str | bytes) -> dict[str, Any] | None:
    """Return a JSON object by its first level's names, None where it is none; to tell a document's version."""
    from pydantic_core import from_json

    try:
        parsed = from_json(content, allow_inf_nan=False)
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict) else None


@cache
def _adapter(kind: Any) -> Any:
    with _without_plugins():
        from pydantic import TypeAdapter

        return TypeAdapter(kind)


@contextmanager
def _without_plugins() -> Iterator[None]:
    """Keep pydantic from looking for plugins in every installed package, which costs a command 20 ms."""
    name = "PYDANTIC_DISABLE_PLUGINS"
    before = os.environ.get(name)
    os.environ[name] = "__all__"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _said(error: Any) -> str:
    """Say what is wrong first, as where, what was found, what was expected."""
    first = error.errors(include_url=False, include_context=False)[0]
    location = ".".join(map(str, first["loc"])) or "the document"
    match first["type"]:
        case "json_invalid":
            return f"it is no JSON ({first['msg'].removeprefix('Invalid JSON: ')})"
        case "missing":
            return f"{location} is missing"
        case "unexpected_keyword_argument" | "extra_forbidden":
            return f"{location} is not known to this version"
        case _:
            value = printable(repr(first["input"]))[:LONGEST_VALUE]
            return f"{location} is {value}, and {first['msg'][0].lower()}{first['msg'][1:]}"
