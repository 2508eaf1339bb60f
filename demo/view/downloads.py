"""What the models said, as files that the browser saves without asking the server again."""

import base64
import csv
import io
import json
from collections.abc import Sequence

from markupsafe import Markup

from data.faceset import LABELS
from demo.view.html import part
from demo.view.words import Language, say
from inference.photos.reading import PicturePrediction, as_record

# A model's name, by its file's stem, and what it saw in a picture.
Predictions = Sequence[tuple[str, PicturePrediction]]


def json_link(predictions: Predictions, lang: Language) -> Markup:
    """Return a link that saves `faces.json`: a record a model, as `predict --json` has it, with the model's name."""
    records = [{"model": name} | as_record(prediction).to_dict() for name, prediction in predictions]
    return link(say(lang, "download_json"), "faces.json", "application/json", json.dumps(records, indent=2).encode())


def csv_link(predictions: Predictions, lang: Language) -> Markup:
    """Return a link that saves `as_csv` as `faces.csv`."""
    # Without the mark that begins it, Excel takes UTF-8 for the system's own encoding.
    content = as_csv(predictions).encode("utf-8-sig")
    return link(say(lang, "download_csv"), "faces.csv", "text/csv", content)


def link(text: str, name: str, kind: str, content: bytes) -> Markup:
    """Return a link that saves `content` as the file `name`."""
    return part("download", text=text, name=name, kind=kind, content=base64.b64encode(content).decode())


def as_csv(predictions: Predictions) -> str:
    """Return one line a face and model, as CSV, with the file, the box, the label and the seven probabilities.

    There is no label where the model is unsure, see `inference.confidence`.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["file", "model", "face", "x", "y", "width", "height", "label", *LABELS, "error"])
    for name, prediction in predictions:
        for number, face in enumerate(prediction.faces, 1):
            box = [face.box.x, face.box.y, face.box.width, face.box.height]
            # Nine significant digits bring every float32 back as it was.
            shares = [f"{share:.9g}" for share in face.probabilities]
            table.writerow([safe_cell(prediction.name), name, number, *box, face.label or "", *shares, ""])
        if not prediction.faces:
            blank = [""] * (6 + len(LABELS))
            table.writerow([safe_cell(prediction.name), name, *blank, safe_cell(prediction.error or "")])
    return text.getvalue()


def safe_cell(text: str) -> str:
    """Return a file's name, or a sentence that begins with one, so that no spreadsheet takes it for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
