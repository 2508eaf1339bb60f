"""The OpenAPI document of the operations, and a page that shows it without a network."""

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from ferox.serving.operations import Operation
from ferox.serving.refusals import ErrorDocument
from inference.html import fill

TEMPLATES = Path(__file__).parent / "templates"
REFERENCE = "#/components/schemas/{model}"
REFUSALS = {
    400: "the request is wrong",
    401: "the token is missing or wrong",
    403: "the request is for another host, or comes from another page",
    404: "there is no such model or version",
    413: "the request, the picture or its number of faces is too large",
    415: "the Content-Encoding is not known",
    422: "the picture cannot be read",
    429: "this client has too many requests in progress",
    500: "the model does not answer these faces",
    503: "the server is busy or stops",
    504: "the answer took too long",
}


class OpenApi:
    """Describes operations, its own included."""

    def __init__(self, described: Sequence[Operation], *, token: bool) -> None:
        self._described = [*described, *self.operations()]
        self._document = _document(self._described, token=token)

    def operations(self) -> list[Operation]:
        """Return what may be asked about the operations."""
        return [
            Operation("OpenApi", "GET", "/openapi.json", "This document", self.document, "application/json"),
            Operation("Page", "GET", "/", "This document as a page", self.page, "text/html"),
        ]

    async def document(self, request: Request) -> Response:
        """Answer with the document."""
        return JSONResponse(self._document)

    async def page(self, request: Request) -> Response:
        """Answer with a page."""
        return HTMLResponse(fill([TEMPLATES], "api.html", api=self._document, operations=self._described))


def _document(operations: Sequence[Operation], *, token: bool) -> dict[str, Any]:
    kinds = {kind for each in operations for kind in (each.gives, *each.takes) if not isinstance(kind, str)}
    adapters: list[Any] = [
        (kind, "serialization", TypeAdapter(kind)) for kind in sorted({*kinds, ErrorDocument}, key=str)
    ]
    _, schemas = TypeAdapter.json_schemas(adapters, ref_template=REFERENCE)
    paths: dict[str, dict[str, Any]] = {}
    for each in operations:
        paths.setdefault(each.path, {})[each.method.lower()] = _described(each, token=token)
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": "ferox", "version": version("ferox")},
        "paths": paths,
        "components": {"schemas": schemas["$defs"]},
    }
    if token:
        document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{"token": []}]
    return document


def _described(operation: Operation, *, token: bool) -> dict[str, Any]:
    statuses = sorted({*operation.refusals, 403, *([401] if token else [])})
    answers = {"200": {"description": "the answer", "content": _content((operation.gives,))}}
    for status in statuses:
        answers[str(status)] = {"description": REFUSALS[status], "content": _content((ErrorDocument,))}
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "parameters": [*_in_path(operation.path), *_in_query(operation.query)],
        "responses": answers,
    }
    if operation.takes:
        described["requestBody"] = {"required": True, "content": _content(operation.takes)}
    return described


def _content(kinds: Sequence[type[Any] | str]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for kind in kinds:
        if isinstance(kind, str):
            content[kind] = {}
        else:
            content["application/json"] = {"schema": {"$ref": REFERENCE.format(model=kind.__name__)}}
    return content


def _in_path(path: str) -> list[dict[str, Any]]:
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    return [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]


def _in_query(query: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    return [{"name": name, "in": "query", "description": what, "schema": {"type": "string"}} for name, what in query]
