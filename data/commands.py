"""What every command has in common: how it ends, and what it says of what is missing."""

import argparse
import sys
from collections.abc import Callable
from typing import TypeAlias

from data.errors import InputError
from data.memory import keep_freed_blocks
from data.places import is_checkout
from data.terminal import guard, say

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

# Held for every command; servers end with 0 after a stop that was asked for.
EXIT_STATUSES = (
    "0 done; 1 a gate refused to publish; 2 an input cannot be used, also where that is one of several; "
    "128 + N ended by signal N"
)
GATE_REFUSED, BAD_INPUT = 1, 2
BROKEN_PIPE, INTERRUPTED = 128 + 13, 128 + 2


def said_in(log: str) -> str:
    """Return why a command failed, by what it has printed: its last error, or a traceback's end; empty without one."""
    lines = [line for line in log.splitlines() if line.strip()]
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    if not errors and any(line.startswith("Traceback ") for line in lines):
        return lines[-1]
    return errors[-1] if errors else ""


def system_sentence(error: OSError) -> str:
    """Return what the system refused, and of which file: paths come from people, and disks can be full or gone."""
    # A move has two; the second is the one that was asked for.
    file = error.filename2 or error.filename
    place = f"{file}: " if file else ""
    return f"{place}{error.strerror or error}; check the path and the disk"


def how_to_install(*extras: str) -> str:
    """Return what to do to have extras of pyproject.toml."""
    return f"run make install, or {install_command(*extras)}" if is_checkout() else f"run {install_command(*extras)}"


def install_command(*extras: str) -> str:
    """Return the command that installs extras of pyproject.toml, and where it belongs."""
    wanted = ",".join(extras)
    if is_checkout():
        return f"uv pip install -e '.[{wanted}]', in ferox's folder"
    return f'uv pip install "$(ls ferox-*.whl)[{wanted}]", where ferox\'s wheel is'


def run_command(main: Callable[[], int | None]) -> None:
    """Run a command's `main` and leave the process with its exit status, see `EXIT_STATUSES`."""
    guard()
    keep_freed_blocks()
    sys.exit(_status(main))


def _status(main: Callable[[], int | None]) -> int:
    try:
        return main() or 0
    except InputError as error:
        say(f"error: {error}")
        return BAD_INPUT
    except BrokenPipeError:
        # The reader of our output went away (`... | head`): nothing is left to say, and to nobody.
        sys.stderr.close()
        return BROKEN_PIPE
    except OSError as error:
        say(f"error: {system_sentence(error)}")
        return BAD_INPUT
    except KeyboardInterrupt:
        say("interrupted")
        return INTERRUPTED
