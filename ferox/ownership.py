"""Refuses to run where another distribution's packages stand in the place of ferox's: their names are common words."""

import base64
import hashlib
import importlib.util
import sys
from pathlib import Path

NAMES = ("data", "training", "export", "inference", "demo")
REMEDY = "give ferox an environment of its own: uv tool install, pipx, or a fresh virtual environment"
_HERE = Path(__file__).resolve().parents[1]


class ForeignNameError(ImportError):
    """A package that ferox needs is another distribution's."""


def refuse_foreign_names() -> None:
    """Raise a `ForeignNameError` where a package of one of `NAMES` is not the one that came with this `ferox`."""
    recorded = _recorded()
    for name in NAMES:
        spec = importlib.util.find_spec(name) if name not in sys.modules else sys.modules[name].__spec__
        found = Path(spec.origin).resolve() if spec and spec.origin else None
        if found != _HERE / name / "__init__.py":
            raise ForeignNameError(
                f"the package {name!r} is that of {found or 'nobody'}, expected ferox's in {_HERE / name}; {REMEDY}"
            )
        if (digest := recorded.get(f"{name}/__init__.py")) and digest != _digest(found):
            raise ForeignNameError(
                f"the package {name!r} in {_HERE / name} was replaced{_by_whom(name)}, expected ferox's; {REMEDY}"
            )


def _recorded() -> dict[str, str]:
    """Return the digests that the installed wheel was recorded with, by file; none in a checkout."""
    if (_HERE / "pyproject.toml").is_file():
        return {}
    import importlib.metadata  # Slow.

    try:
        text = importlib.metadata.distribution("ferox").read_text("RECORD") or ""
    except importlib.metadata.PackageNotFoundError:
        return {}
    entries = (line.rsplit(",", 2) for line in text.splitlines())
    return {file: digest for file, digest, _ in entries if digest}


def _digest(file: Path) -> str:
    # As PEP 376 and wheels write it.
    encoded = base64.urlsafe_b64encode(hashlib.sha256(file.read_bytes()).digest())
    return f"sha256={encoded.decode().rstrip('=')}"


def _by_whom(name: str) -> str:
    import importlib.metadata

    others = {
        distribution.metadata["Name"]
        for distribution in importlib.metadata.distributions()
        if f"{name}/__init__.py" in {str(file) for file in distribution.files or ()}
    }
    return f" by {', '.join(sorted(others - {'ferox'}))}" if others - {"ferox"} else ""
