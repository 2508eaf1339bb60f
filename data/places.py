"""Where things lie: what is produced, and what comes with ferox."""

import os
from pathlib import Path

HOME_VARIABLE = "FEROX_HOME"
_HERE = Path(__file__).resolve().parents[1]


def artifacts() -> Path:
    """Return the folder for what is produced: the variable FEROX_HOME, else `artifacts` in the working folder."""
    return Path(os.environ.get(HOME_VARIABLE) or "artifacts")


def runs_folder() -> Path:
    """Return where trainings go unless they are told otherwise."""
    return artifacts() / "runs"


def models_folder() -> Path:
    """Return where exported models go unless they are told otherwise."""
    return artifacts() / "models"


def reports_folder() -> Path:
    """Return where evaluations go unless they are told otherwise."""
    return artifacts() / "reports"


def explanations_folder() -> Path:
    """Return where maps of what models looked at go unless they are told otherwise."""
    return artifacts() / "explanations"


def shipped_models() -> Path:
    """Return the folder of the models that come with ferox, and of their reports.

    In a wheel it lies in the package `inference`, in a checkout where git has it.
    """
    packaged = _HERE / "inference" / "shipped"
    return packaged if packaged.is_dir() else _HERE / "artifacts" / "models"


def is_checkout() -> bool:
    """Whether ferox runs from a checkout, not from an installed wheel."""
    return (_HERE / "pyproject.toml").is_file()
