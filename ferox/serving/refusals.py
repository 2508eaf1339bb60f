"""Why a request is not answered: a status of HTTP and one sentence."""

import math
from dataclasses import asdict, dataclass

from starlette.responses import JSONResponse

from data.errors import printable


class Refused(Exception):
    """A request is not answered as asked.

    The message is one sentence: what was found, what was expected, what to do. `retry` is the number of seconds after
    which the same request may be answered; None where it never will be.
    """

    def __init__(self, status: int, sentence: str, retry: float | None = None) -> None:
        super().__init__(printable(sentence))
        self.status = status
        self.retry = retry

    def response(self) -> JSONResponse:
        """Return the answer in the protocol's form."""
        headers = {} if self.retry is None else {"retry-after": str(math.ceil(self.retry))}
        if self.status == 401:
            headers["www-authenticate"] = "Bearer"
        return JSONResponse(asdict(ErrorDocument(str(self))), self.status, headers)


@dataclass(frozen=True)
class ErrorDocument:
    """What every refusal says, as the protocol has it: one sentence."""

    error: str
