"""Opens the page: `python -m demo`, then http://127.0.0.1:7860 in a browser.

It needs the models that `python -m export` publishes, and a training framework for the Train tab alone.
"""

import argparse
import importlib.util
import ipaddress
import os
from pathlib import Path

from data.commands import how_to_install, run_command
from data.errors import InputError
from data.terminal import warn

AUTH_VARIABLE = "FEROX_AUTH"
LAST_PORT = 65_535


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, check it, and serve until interrupted."""
    args = _parser().parse_args(arguments)
    if args.port is not None and not 1 <= args.port <= LAST_PORT:
        raise InputError(f"--port is {args.port}, expected 1 to {LAST_PORT}; leave it out for a free one")
    if importlib.util.find_spec("gradio") is None:
        raise InputError(f"gradio is not installed; expected it for the page; {how_to_install('demo')}")
    account = account_from(args.auth or os.environ.get(AUTH_VARIABLE))
    if account is None and (args.share or not is_loopback(args.host)):
        warn(
            f"{'a public link' if args.share else args.host} lets everybody who reaches it use this page, "
            f"training included; ask for a password with --auth USER:PASSWORD"
        )
    # Imported late: Gradio takes seconds, --help should not.
    from demo.app import Places, serve

    places = Places(models=args.models, reports=args.reports, runs=args.runs, data=args.data)
    serve(places, host=args.host, port=args.port, share=args.share, account=account)
    return 0


def account_from(text: str | None) -> tuple[str, str] | None:
    """Return user and password of `USER:PASSWORD`; an `InputError` where one of them is missing."""
    if text is None:
        return None
    user, _, password = text.partition(":")
    if not user or not password:
        raise InputError("--auth lacks a user or a password: expected USER:PASSWORD; give both")
    return user, password


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens on `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__, allow_abbrev=False)
    add = parser.add_argument
    add("--models", type=Path, default=Path("artifacts/models"), help="default: artifacts/models")
    add("--reports", type=Path, default=Path("artifacts/reports"), help="default: artifacts/reports")
    add("--runs", type=Path, default=Path("artifacts/runs"), help="default: artifacts/runs")
    add("--data", type=Path, help="fer2013.csv, image folder or zip to offer for training (default: drawn faces alone)")
    add("--host", default="127.0.0.1", help="address to listen on (default: this machine alone)")
    add("--port", type=int, help="default: the first free one from 7860")
    add("--share", action="store_true", help="make a public link through Gradio's tunnel")
    add("--auth", metavar="USER:PASSWORD", help=f"ask for these (default: the variable {AUTH_VARIABLE}, else nothing)")
    return parser


if __name__ == "__main__":
    run_command(main)
