"""Opens the page: `python -m demo`, then http://127.0.0.1:7860 in a browser.

It needs the models that `ferox export` publishes, and a training framework for the Train tab alone.
"""

import argparse
import importlib.util
import os
from pathlib import Path
from urllib.parse import urlsplit

from data.addresses import is_loopback
from data.commands import how_to_install, run_command
from data.errors import InputError
from data.places import reports_folder, runs_folder
from data.terminal import warn
from inference.catalogue import model_folders

AUTH_VARIABLE = "FEROX_AUTH"
ROOT_VARIABLE = "GRADIO_ROOT_PATH"
LAST_PORT = 65_535


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, check it, and serve until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__, allow_abbrev=False)
    add_arguments(parser)
    return run(parser.parse_args(arguments))


def run(args: argparse.Namespace) -> int:
    """Check the options and serve until interrupted; return the exit status."""
    if args.port is not None and not 1 <= args.port <= LAST_PORT:
        raise InputError(f"--port is {args.port}, expected 1 to {LAST_PORT}; leave it out for a free one")
    if importlib.util.find_spec("gradio") is None:
        raise InputError(f"gradio is not installed; expected it for the page; {how_to_install('demo')}")
    # Taken away, so that no training or export that is started here has it.
    variable = os.environ.pop(AUTH_VARIABLE, None)
    account = account_from(variable if args.auth is None else args.auth)
    root = root_from(os.environ.get(ROOT_VARIABLE, "") if args.root_path is None else args.root_path)
    if account is None and (args.share or not is_loopback(args.host)):
        warn(
            f"{'a public link' if args.share else args.host} lets everybody who reaches it use this page, "
            f"training included; ask for a password with --auth USER:PASSWORD"
        )
    # Imported late: Gradio takes seconds, --help should not.
    from demo.app import Places, Serving, serve
    from demo.intake.quota import Quota

    models, *shipped = [args.models] if args.models else model_folders()
    places = Places(models, args.reports, args.runs, args.data, tuple(shipped))
    serving = Serving(
        host=args.host,
        port=args.port,
        share=args.share,
        account=account,
        names=tuple(args.allow_host),
        framing=args.allow_framing,
        root=root,
        film_bytes=megabytes("--film-size", args.film_size),
        quota=Quota(megabytes("--upload-space", args.upload_space), megabytes("--upload-share", args.upload_share)),
    )
    serve(places, serving)
    return 0


def account_from(text: str | None) -> tuple[str, str] | None:
    """Return user and password of `USER:PASSWORD`; an `InputError` where one of them is missing."""
    if text is None:
        return None
    user, _, password = text.partition(":")
    if not user or not password:
        raise InputError(
            f"--auth or {AUTH_VARIABLE} lacks a user or a password: expected USER:PASSWORD; give both, or leave it out"
        )
    return user, password


def root_from(text: str) -> str:
    """Return the path or address that the page has behind a proxy, without a slash at its end; an `InputError` where it
    is neither."""
    parts = urlsplit(text)
    if text and not text.startswith("/") and not (parts.scheme in ("http", "https") and parts.netloc):
        raise InputError(
            f"--root-path or {ROOT_VARIABLE} is {text!r:.100}, expected a path that begins with / or an address that "
            "begins with http:// or https://; correct it"
        )
    return text.rstrip("/")


def megabytes(option: str, count: int) -> int:
    """Return bytes; an `InputError` where an option asks for no megabytes."""
    if count < 1:
        raise InputError(f"{option} is {count}, expected 1 or more MB; give more")
    return count * 1_000_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add where the page finds what it shows, and how it is served."""
    add = parser.add_argument
    add("--models", type=Path, help="a folder to use alone (default: one's own models and those that ferox brings)")
    add("--reports", type=Path, default=reports_folder(), help="default: %(default)s")
    add("--runs", type=Path, default=runs_folder(), help="default: %(default)s")
    add("--data", type=Path, help="fer2013.csv, image folder or zip to offer for training (default: drawn faces alone)")
    add("--host", default="127.0.0.1", help="address to listen on (default: this machine alone)")
    add("--port", type=int, help="default: the first free one from 7860")
    add("--share", action="store_true", help="make a public link through Gradio's tunnel")
    add("--auth", metavar="USER:PASSWORD", help=f"ask for these (default: the variable {AUTH_VARIABLE}, else nothing)")
    add(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a name, besides addresses and localhost, that "
        "the page may be asked for by, such as a proxy's; may be repeated",
    )
    add("--allow-framing", action="store_true", help="let other pages show this one in a frame")
    add("--root-path", metavar="PATH", help=f"path or address behind a proxy (default: the variable {ROOT_VARIABLE})")
    add("--film-size", type=int, default=500, metavar="MB", help="how large a film may be (default: 500)")
    add("--upload-space", type=int, default=4000, metavar="MB", help="room for everybody's uploads (default: 4000)")
    add("--upload-share", type=int, default=2000, metavar="MB", help="of which one address may take (default: 2000)")


if __name__ == "__main__":
    run_command(main)
