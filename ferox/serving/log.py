"""What the server says of itself: one JSON object a line on stderr, without anything that a picture holds."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

LOGGER = logging.getLogger("ferox.serving")
# Of libraries whose records say what this server says itself.
QUIET = ("uvicorn.access", "uvicorn.error", "asyncio")


class JsonLines(logging.Formatter):
    """Writes a record as one line of JSON, in ASCII, so that nothing in it steers a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Return time (UTC), level, event and what belongs to it."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


def start_logging() -> None:
    """Have everything that is logged in this process written as JSON lines to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)
    logging.captureWarnings(True)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def log(event: str, level: str = "info", *, failure: BaseException | None = None, **fields: str | int | float) -> None:
    """Write a line; fields that are empty strings are left out, and `failure` is written with its traceback."""
    kept = {name: value for name, value in fields.items() if value != ""}
    LOGGER.log(logging.getLevelNamesMapping()[level.upper()], event, exc_info=failure, extra={"fields": kept})
