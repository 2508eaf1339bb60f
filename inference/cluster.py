"""Ray, which shares work out to machines: how a command joins a cluster, or starts one on its own machine, and leaves.

The only place that starts or joins one. Ray's port runs whatever code it is sent: what is started here listens on the
loopback alone and asks for a token that nobody else has.
"""

import importlib.util
import logging
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from data.addresses import LOCAL, is_loopback
from data.commands import how_to_install, said_in
from data.errors import InputError
from data.scratch import scratch_folder
from data.terminal import warn
from inference.machine import available_cpus

REMEDY = "give the address that `ray start --head` has printed, or `--ray local`"
TOKEN_REMEDY = "where it asks for a token, set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN"
LONGEST_REASON = 300
SCRATCH_PREFIX = "ferox-ray-"
CONNECT_SECONDS, JOIN_SECONDS = 5.0, 30.0
# A socket's path has at most 107 bytes, and Ray appends about 85 to its folder.
LONGEST_ROOT = 20
# Rows of answers and results of trainings are small; Ray would take a third of the memory. It refuses less than 75 MiB.
OBJECT_STORE_BYTES = 100 * 2**20
# By Ray's own name (ray 2.60, ray/_private/ray_constants.py): it makes 127.0.0.1 the address of the machine, which no
# argument of `ray.init` does. With any other, Ray's servers listen on all of the machine's addresses.
LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
# Ray itself tries a wrong address for two minutes and more, deaf to signals.
_PROBE = """
import sys, ray
try:
    ray.init(address=sys.argv[1], log_to_driver=False, logging_level="error")
except Exception as error:
    sys.exit(f"error: {error}")
"""


@contextmanager
def joined(address: str) -> Iterator[Any]:
    """Join the Ray cluster at `address` for a block, or start one for `local`; yield the module `ray`.

    SIGTERM ends the block as Ctrl-C does, with the signal's own exit status. What was started here is gone afterwards.

    Raises:
        InputError: Ray is not installed, or there is no cluster that can be joined at the address.
    """
    if importlib.util.find_spec("ray") is None:
        raise InputError(f"--ray is {address}, but Ray is not installed; {how_to_install('ray')}")
    end = _End()
    try:
        with _started() if address == LOCAL else _reached(address) as options:
            yield from _inside(options, end)
    except SystemExit:
        # Ray puts 1 in the place of the status, where the signal came while it was waited for.
        if end.number:
            sys.exit(128 + end.number)
        raise
    finally:
        signal.signal(signal.SIGTERM, end.before)


class _End:
    """Ends the process at SIGTERM, by an exception, and remembers that."""

    def __init__(self) -> None:
        self.number = 0
        self.before = signal.getsignal(signal.SIGTERM)
        self.take()

    def take(self) -> None:
        """Be the signal's handler."""
        signal.signal(signal.SIGTERM, self._end)

    def _end(self, number: int, _: FrameType | None) -> None:
        self.number = number
        sys.exit(128 + number)


def _inside(options: dict[str, Any], end: _End) -> Iterator[Any]:
    import ray

    try:
        keep_quiet()
        ray.init(log_to_driver=False, logging_level=logging.ERROR, **options)
        # Ray has put its own in this place.
        end.take()
        yield ray
    finally:
        ray.shutdown()


def check_room(ray: Any, address: str, cpus: int, gpus: float, options: str) -> None:
    """Look for a machine that has room for a task with so many processors and GPUs.

    Where none has, another one may still join a cluster, which a warning says, but none joins this machine.

    Args:
        ray: the module; a cluster has been joined.
        address: the cluster's, or `local`.
        cpus: of one task.
        gpus: of one task.
        options: what the amounts were given by.

    Raises:
        InputError: this machine is all there is, and too small.
    """
    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if any(machine.get("CPU", 0) >= cpus and machine.get("GPU", 0) >= gpus for machine in machines):
        return
    processors, devices = (max((machine.get(name, 0) for machine in machines), default=0) for name in ("CPU", "GPU"))
    sentence = (
        f"each asks for {cpus} processors and {gpus:g} GPUs, and no machine of Ray's has both: the largest have "
        f"{processors:g} and {devices:g}; lower {options}"
    )
    if address == LOCAL:
        raise InputError(sentence)
    warn(f"{sentence}, or add a machine: it is waited for")


def refusal(error: Any) -> InputError:
    """Return what a Ray task's failure (`RayTaskError`) comes to: what it said itself, or what it ended with."""
    if isinstance(error.cause, InputError):
        return error.cause
    return InputError(
        f"a machine of Ray's could not do its part ({error.cause!r:.{LONGEST_REASON}}), expected ferox to work there; "
        "install the same versions with the same extras on all"
    )


def keep_quiet() -> None:
    """Have Ray's nodes that this process starts report to nobody, and Ray say nothing on stdout, before it is started.

    Without its dashboard, Ray 2.60 starts the dashboard's process all the same, for nothing but its usage reports.
    Where these are switched off, it still asks the addresses at which clouds tell a machine what it is.
    """
    import ray
    from ray._private import services, worker

    if not callable(getattr(services, "start_api_server", None)):
        raise InputError(f"Ray {ray.__version__} starts its nodes in another way than 2.60, expected that; install it")
    services.start_api_server = lambda *_, **__: (None, None)
    # What it says of lost processes: stdout is for programs. Ray's own debugger switches it off so.
    worker._worker_logs_enabled = False


@contextmanager
def _started() -> Iterator[dict[str, Any]]:
    """Yield what `ray.init` is told to start one here; the processes leave their folder when they are shut down."""
    # Without a token, Ray makes one and keeps it below the home folder.
    os.environ.update({**LOOPBACK, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)})
    root = Path(tempfile.gettempdir())
    with scratch_folder(SCRATCH_PREFIX, root if len(os.fsencode(root)) <= LONGEST_ROOT else Path("/tmp")) as folder:
        yield {
            "address": LOCAL,
            "include_dashboard": False,
            "num_cpus": available_cpus(),
            "object_store_memory": OBJECT_STORE_BYTES,
            "_temp_dir": str(folder),
        }


@contextmanager
def _reached(address: str) -> Iterator[dict[str, Any]]:
    """Yield what `ray.init` is told to join the cluster at `address`, after that has been tried in another process."""
    host, port = _split(address)
    try:
        socket.create_connection((host, port), CONNECT_SECONDS).close()
    except OSError as error:
        reason = error.strerror or str(error) or "no answer"
        raise InputError(f"--ray is {address}, where nothing answers ({reason}); {REMEDY}") from error
    if is_loopback(host):
        os.environ.update(LOOPBACK)
    try:
        done = subprocess.run(
            [sys.executable, "-c", _PROBE, address],
            capture_output=True,
            text=True,
            check=False,
            timeout=JOIN_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        sentence = f"--ray is {address}, where something answers, but no Ray within {JOIN_SECONDS:g} s; {REMEDY}"
        raise InputError(sentence) from error
    if done.returncode:
        reason = said_in(done.stderr)[:LONGEST_REASON] or f"exit status {done.returncode}"
        raise InputError(f"--ray is {address}, which cannot be joined ({reason}); {REMEDY}; {TOKEN_REMEDY}")
    yield {"address": address}


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise InputError(f"--ray is {address!r:.80}, expected {LOCAL} or HOST:PORT; {REMEDY}")
    return host.strip("[]"), int(port)
