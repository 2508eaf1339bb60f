"""Files that people send, taken as they are: Gradio would decode them first, and at any size."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder

from data.errors import InputError
from inference.photos.pictures import Picture, file_name, read_picture

KEPT_SECONDS = 3600


@dataclass(frozen=True)
class Upload:
    """A file in the upload folder, and what its owner calls it."""

    path: Path
    name: str


def upload(payload: Any) -> Upload | None:
    """Return the file that a component's payload names; `gr.Error` where it was not uploaded."""
    path = getattr(payload, "path", None)
    if payload is None or path is None:
        return None
    # Gradio has copied it from its upload folder to its cache, both of them here; this trusts neither.
    if not Path(path).resolve().is_relative_to(Path(get_upload_folder()).resolve()):
        raise gr.Error("that file was not uploaded here: expected an uploaded file", print_exception=False)
    return Upload(Path(path), file_name(getattr(payload, "orig_name", None) or path))


def read_upload(sent: Upload) -> Picture:
    """Return an uploaded picture; an `InputError` where it cannot be read, or is not kept any more."""
    if not sent.path.exists():
        raise gone(sent.name)
    return read_picture(sent.path, sent.name)


def gone(name: str) -> InputError:
    """Return what is said of an uploaded file that was removed since."""
    return InputError(f"{name} is no longer here: uploads are kept for an hour; send it again")


def uploads(payload: Any) -> list[Upload]:
    """Return the files that a component's payload of several names."""
    files: Sequence[Any] = getattr(payload, "root", payload) or ()
    return [sent for file in files if (sent := upload(file)) is not None]
