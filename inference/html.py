"""Pages from templates (Jinja2): all that is filled in is escaped, but for what is markup already."""

import base64
import io
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image

from data.errors import as_text
from inference.text import or_dash, percent, threads


@cache
def environment(*folders: Path) -> Environment:
    """Return the templates of some folders, with the filters that figures are written by; the first folder's win."""
    made = Environment(
        loader=FileSystemLoader(folders),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"percent": percent, "or_dash": or_dash, "threads": threads, "form": format}
    made.globals |= {"png": png_address, "zip": _strict_zip}
    return made


def fill(folders: Sequence[Path], template: str, **values: Any) -> Markup:
    """Return a template of the folders with the values filled in."""
    # Names of files may hold what no page can: bytes that are no UTF-8.
    return Markup(as_text(environment(*folders).get_template(template).render(values)))


def png_address(picture: bytes | NDArray[np.uint8]) -> str:
    """A PNG, or grey pixels uint8[H, W] or colours uint8[H, W, 3], as an address that a page can hold."""
    if isinstance(picture, bytes):
        content = picture
    else:
        png = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(picture)).save(png, "PNG", optimize=True)
        content = png.getvalue()
    return "data:image/png;base64," + base64.b64encode(content).decode()


def _strict_zip(*values: Sequence[Any]) -> Any:
    return zip(*values, strict=True)
