"""What every command has in common: how it ends, and what it says of what is missing."""

import sys
from collections.abc import Callable
from io import TextIOWrapper

from data.errors import InputError


def said_in(log: str) -> str:
    """Return why a command failed, by what it has printed: its last error, or a traceback's end; empty without one."""
    lines = [line for line in log.splitlines() if line.strip()]
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    if not errors and any(line.startswith("Traceback ") for line in lines):
        return lines[-1]
    return errors[-1] if errors else ""


def how_to_install(*extras: str) -> str:
    """Return what to do to have extras of pyproject.toml: pip alone cannot resolve `export` (see tool.uv there)."""
    return f"run make install, or uv pip install -e '.[{','.join(extras)}]', in ferox's folder"


def run_command(main: Callable[[], int | None]) -> None:
    """Run a command's `main` and leave the process with its exit status; 2 for an `InputError` or `OSError`."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # Names of files hold what is no text, and terminals lack letters; neither stops a command.
            stream.reconfigure(errors="replace")
    try:
        status = main() or 0
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        status = 2
    except BrokenPipeError:
        # The reader of our output went away (`... | head`): nothing is left to say, and to nobody.
        sys.stderr.close()
        status = 1
    except OSError as error:
        # Paths come from the command line, and the disk behind them can be full, read-only or gone.
        # A move has two; the second is the one that was asked for.
        file = error.filename2 or error.filename
        place = f"{file}: " if file else ""
        print(f"error: {place}{error.strerror or error}; check the path and the disk", file=sys.stderr)
        status = 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        status = 130
    sys.exit(status)
