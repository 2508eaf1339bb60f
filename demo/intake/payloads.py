"""Requests that hold what no event of the page takes: refused before they wait in line, with a sentence.

Gradio answers them with 200 and an error without a word, or with 500, and prints a traceback of its own code.
"""

import sys
from contextvars import ContextVar
from typing import Any

import gradio as gr
from gradio.context import LocalContext
from gradio.exceptions import InvalidPathError
from gradio.route_utils import FnIndexInferError, get_fn
from pydantic import ValidationError
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from data.errors import printable
from demo.intake.hosts import route_path

API_PATH = "/gradio_api/"
AT_ONCE = ("/gradio_api/run/", "/gradio_api/api/")  # What does not wait in line.
MOST_LONG = 4  # Of long work, so many wait; the rest of the line is for others.
FULL = "the line for this work is full: expected at most {most} before yours; try again in a while"
UNKNOWN = "there is no such function here: expected one that /gradio_api/info names; correct its name"
# What Gradio's routes raise over what a request holds, with their own reason left in the log.
MALFORMED = (FnIndexInferError, LookupError, ValueError, TypeError, AttributeError, AssertionError)
SERVER_ERROR = 500

_refused: ContextVar[list[str] | None] = ContextVar("refused", default=None)


def check_early(blocks: Any, long_queues: frozenset[str]) -> None:
    """Make a page refuse what its components do not take, with 400 where a request asks to wait in line.

    `long_queues` are the lines of which a few requests at most may wait, so that they never fill the whole line.
    """
    preprocess, push = blocks.preprocess_data, blocks._queue.push

    async def preprocess_data(block_fn: Any, inputs: list[Any], *others: Any, **options: Any) -> Any:
        try:
            return await preprocess(block_fn, inputs, *others, **options)
        except Exception as error:
            sentence = _sentence(error, block_fn, inputs)
            refused = _refused.get()
            if refused is not None:
                refused.append(sentence)
            raise gr.Error(sentence, print_exception=False) from error

    def is_full(queue: str) -> bool:
        return queue in long_queues and _waiting(blocks, queue) >= MOST_LONG

    async def checked_push(body: Any, request: Any, username: str | None) -> Any:
        try:
            fn = get_fn(blocks, None, body)
        except (KeyError, FnIndexInferError):
            return False, UNKNOWN, "error"
        full = False, FULL.format(most=MOST_LONG), "queue_full"
        if is_full(fn.concurrency_id):
            return full
        state = blocks.state_holder[body.session_hash] if body.session_hash else None
        # Gradio takes files from anywhere on this machine where it does not know for which page it asks.
        token = LocalContext.blocks.set(blocks)
        try:
            await preprocess_data(fn, body.data, state)
        except gr.Error as error:
            return False, error.message, "error"
        finally:
            LocalContext.blocks.reset(token)
        # Others may have come while the files were looked at.
        if is_full(fn.concurrency_id):
            return full
        return await push(body, request, username)

    blocks.preprocess_data = preprocess_data
    blocks._queue.push = checked_push


class PayloadCheck:
    """ASGI middleware that answers 400 and a sentence where Gradio would say 500 of what a request holds."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http" or not route_path(scope).startswith(API_PATH):
            await self.app(scope, receive, send)
            return
        refused: list[str] = []
        started = False

        async def seen(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                if refused and message["status"] == SERVER_ERROR:
                    message = {**message, "status": 400}
            await send(message)

        token = _refused.set(refused) if route_path(scope).startswith(AT_ONCE) else None
        try:
            await self.app(scope, receive, seen)
        except MALFORMED as error:
            if started:
                raise
            place = printable(f"{scope['method']} {route_path(scope)}")[:100]
            print(f"refused: {place}: {type(error).__name__}", file=sys.stderr)
            await _answer(
                UNKNOWN if isinstance(error, FnIndexInferError | KeyError) else _MALFORMED, scope, receive, send
            )
        finally:
            if token is not None:
                _refused.reset(token)


_MALFORMED = "the request holds what is not taken here: expected what /gradio_api/info describes; correct it"


def _sentence(error: Exception, block_fn: Any, inputs: list[Any]) -> str:
    """Return why inputs are not taken; Gradio's own reasons may hold paths of this machine and lists of all choices."""
    wanted = len(block_fn.inputs)
    if isinstance(error, gr.Error):
        return printable(str(error.message))[:300]
    if isinstance(error, InvalidPathError):
        reason = "names a file that was not uploaded here"
    elif len(inputs) < wanted:
        reason = f"has {len(inputs)} values"
    elif isinstance(error, ValidationError):
        reason = "has a value of another kind"
    else:
        reason = f"has a value that cannot be read ({type(error).__name__})"
    return f"the request {reason}: expected {wanted} as /gradio_api/info describes them; correct it"


def _waiting(blocks: Any, queue: str) -> int:
    known = blocks._queue.event_queue_per_concurrency_id.get(queue)
    return len(known.queue) if known else 0


async def _answer(sentence: str, scope: Scope, receive: Receive, send: Send) -> None:
    await JSONResponse({"error": sentence, "detail": sentence}, 400)(scope, receive, send)
