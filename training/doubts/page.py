"""The doubtful faces as one page that stands alone: no network, no script, pictures inline, all text escaped."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data.faceset import LABELS
from inference.html import fill
from inference.report.page import TEMPLATES as REPORT_TEMPLATES
from training.doubts.issues import Doubt
from training.recipe import Settings

TEMPLATES = Path(__file__).with_name("templates")


@dataclass(frozen=True)
class Method:
    """How doubts were found: in which faces, and by which models.

    `agreement` is the share of the faces whose label is the models' answer, 0 to 1.
    """

    source: str
    protocol: str
    faces: int
    fingerprint: str
    settings: Settings
    folds: int
    agreement: float


def render_page(method: Method, doubts: Sequence[Doubt], shown: Sequence[tuple[NDArray[np.uint8], Doubt]]) -> str:
    """Fill the page with all doubts counted and some shown, each with its face uint8[48, 48]."""
    pairs = Counter((doubt.given, doubt.likely) for doubt in doubts)
    return fill(
        [TEMPLATES, REPORT_TEMPLATES],
        "doubts.html",
        method=method,
        count=sum(doubt.copies for doubt in doubts),
        shown=shown,
        labels=LABELS,
        rows=[[pairs[given, likely] for likely in LABELS] for given in LABELS],
    )
