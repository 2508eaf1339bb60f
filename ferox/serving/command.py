"""Serves models to programs: `ferox serve MODEL...`, or `python -m ferox.serving MODEL...`.

Prints the address to stdout when it is ready, and what happens to stderr, one JSON object a line. It stops at SIGTERM
or Ctrl-C, when the requests that were taken are answered.
"""

import argparse
import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path

from data.addresses import is_loopback
from data.commands import how_to_install
from data.errors import InputError
from data.terminal import warn
from inference.catalogue import SUFFIX, find_model
from inference.photos.fetch import YUNET_HELP

TOKEN_VARIABLE = "FEROX_TOKEN"
NEEDED = ("starlette", "uvicorn", "python_multipart", "prometheus_client")
SHORT_TOKEN = 16
STORAGE = "pvc://models/ferox"
LAST_PORT = 65_535
MEGABYTE = 1_000_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    add = parser.add_argument
    add("models", nargs="+", type=Path, metavar="MODEL", help="files, names that ferox models prints, or folders")
    add("--host", default="127.0.0.1", help="address to listen on (default: this machine alone)")
    add("--port", type=int, default=8000, help="default: 8000; 0 takes any free one")
    add("--token", help=f"what requests must bring as Authorization: Bearer (default: the variable {TOKEN_VARIABLE})")
    add("--tls-cert", type=Path, metavar="PEM", help="a certificate with its chain, to speak https")
    add("--tls-key", type=Path, metavar="PEM", help="the certificate's key")
    add(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a name, besides addresses and localhost, that the server may be asked for by; may be repeated",
    )
    add("--wait", type=float, default=2.0, metavar="MS", help="how long faces wait for others (default: 2; 0: not)")
    add("--deadline", type=float, default=30.0, metavar="SECONDS", help="for a request's answer (default: 30)")
    add("--queue", type=int, default=256, metavar="N", help="requests of all that are taken at once (default: 256)")
    add("--share", type=int, default=64, metavar="N", help="of which one address may have so many (default: 64)")
    add("--yunet", type=Path, help=YUNET_HELP)
    add("--provider", default="auto", help="auto, cpu, cuda or openvino (default: auto)")
    add("--threads", type=int, help="processor threads of a model (default: all that this process may use)")


def main(args: argparse.Namespace) -> int:
    """Serve until a signal; return the exit status.

    Raises:
        InputError: an argument, a model or a file cannot be used, or the address cannot be listened on.
    """
    if missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        raise InputError(
            f"{', '.join(missing)} is not installed; expected it for the server; {how_to_install('serve')}"
        )
    # Taken away, so that nothing that is started here has it.
    variable = os.environ.pop(TOKEN_VARIABLE, None)
    token = checked_token(variable if args.token is None else args.token)
    if token is None and not is_loopback(args.host):
        warn(f"{args.host} lets everybody who reaches it use this server; ask for a token with {TOKEN_VARIABLE}")
    _check_numbers(args)
    # Imported late: onnxruntime takes a second, --help should not.
    from ferox.serving.server import serve
    from ferox.serving.settings import Limits, Settings, Tls

    if (args.tls_cert is None) != (args.tls_key is None):
        raise InputError("one of --tls-cert and --tls-key is given, expected both or none; give the other, too")
    settings = Settings(
        models=named_models(args.models),
        host=args.host,
        port=args.port,
        token=token,
        tls=Tls(args.tls_cert, args.tls_key) if args.tls_cert else None,
        names=tuple(args.allow_host),
        limits=Limits(args.wait / 1000, args.deadline, args.queue, args.share),
        yunet=args.yunet,
        provider=args.provider,
        threads=args.threads,
    )
    return serve(settings)


def add_repository_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `ferox.serving.repository` writes, and where."""
    add = parser.add_argument
    add("folder", type=Path, metavar="DIR", help="the repository; models that it has are not replaced")
    add("models", nargs="+", type=Path, metavar="MODEL", help="files, names that ferox models prints, or folders")
    add("--storage-uri", default=STORAGE, metavar="URI", help=f"where KServe finds a copy of DIR (default: {STORAGE})")
    add("--name", default="ferox", help="the InferenceService's name (default: ferox)")


def checked_token(token: str | None) -> str | None:
    """Return a token; an `InputError` where it is empty or could not be sent, a warning where it can be guessed."""
    if token is None:
        return None
    if not token or not token.isascii() or not token.isprintable() or token != token.strip():
        raise InputError(
            f"--token or {TOKEN_VARIABLE} is empty or has more than printable ASCII, expected a secret; make one: "
            "python -c 'import secrets; print(secrets.token_urlsafe())'"
        )
    if len(token) < SHORT_TOKEN:
        warn(f"the token has {len(token)} characters and can be guessed; give {SHORT_TOKEN} or more")
    return token


def named_models(paths: Sequence[Path]) -> dict[str, Path]:
    """Return artifacts by the names that they are served by: files and those of folders by their names without suffix,
    others as they are called in `paths`.

    Raises:
        InputError: there is no such model, a folder has none, or two have the same name.
    """
    named: dict[str, Path] = {}
    for name, file in (pair for path in paths for pair in _files(path)):
        if (other := named.setdefault(name, file)) != file:
            raise InputError(f"{other} and {file} have one name, expected a name for each model; rename one")
    return named


def _files(path: Path) -> list[tuple[str, Path]]:
    if not path.is_dir():
        return [(path.name.removesuffix(SUFFIX), find_model(path))]
    if files := sorted(file for file in path.glob(f"*{SUFFIX}") if not file.name.startswith(".")):
        return [(file.stem, file) for file in files]
    raise InputError(f"{path} has no .onnx file, expected exported models; give another folder")


def _check_numbers(args: argparse.Namespace) -> None:
    for option, value, least, most in (
        ("--port", args.port, 0, LAST_PORT),
        ("--wait", args.wait, 0, 1000),
        ("--deadline", args.deadline, 0.1, 3600),
        ("--queue", args.queue, 1, 100_000),
        ("--share", args.share, 1, 100_000),
    ):
        # Written so that NaN, which compares as False, is refused.
        if not least <= value <= most:
            raise InputError(f"{option} is {value}, expected {least} to {most}; correct it")
