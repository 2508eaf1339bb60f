"""What the models said, as HTML: a card a face, with its crop and its probabilities as bars."""

import base64
import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from data.faceset import LABELS
from demo.view.words import Language, emotion, say
from inference.html import png_address
from inference.photos.reading import FacePrediction, PicturePrediction, as_record
from inference.report.plots import PALETTE
from inference.text import percent

COLOURS = dict(zip(LABELS, PALETTE, strict=True))


@dataclass(frozen=True)
class Reading:
    """What one model, by its file's stem and its title, saw in a picture."""

    name: str
    title: str
    prediction: PicturePrediction


def cards(readings: Sequence[Reading], lang: Language, milliseconds: float) -> str:
    """Return the cards of a picture's faces; all readings are of the same faces, and there is at least one."""
    prediction = readings[0].prediction
    notes = "".join(notice(say(lang, "note", note=note)) for note in prediction.notes)
    count = len(prediction.faces)
    if not count:
        return notes + notice(say(lang, "no_face"), "empty")
    head = say(lang, "faces_one" if count == 1 else "faces_many", count=count, milliseconds=f"{milliseconds:.0f}")
    bodies = "".join(_card(number, readings, lang) for number in range(count))
    bar = f"<div class='fx-head'><span>{head}</span>{_downloads(readings, lang)}</div>"
    return f"{notes}{bar}<div class='fx-cards'>{bodies}</div>"


def notice(sentence: str, kind: str = "note") -> str:
    """Return one sentence as a box; `kind` is note, empty or error."""
    role = "alert" if kind == "error" else "status"
    return f"<div class='fx-notice fx-{kind}' role='{role}'>{escape(sentence)}</div>"


def bars(probabilities: NDArray[np.float32], lang: Language) -> str:
    """Return float32[7] as seven bars, the most probable first."""
    rows = []
    for place in np.argsort(-probabilities, kind="stable"):
        share, label = float(probabilities[place]), LABELS[place]
        rows.append(
            f"<li><span class='fx-name'>{emotion(lang, label)}</span>"
            f"<span class='fx-track'><i style='width:{100 * share:.1f}%;background:{COLOURS[label]}'></i></span>"
            f"<span class='fx-share'>{percent(share, 1)}</span></li>"
        )
    return f"<ol class='fx-bars'>{''.join(rows)}</ol>"


def face_image(pixels: NDArray[np.uint8]) -> str:
    """Return uint8[48, 48] as a PNG's `data:` address."""
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    return png_address(content.getvalue())


def link(text: str, name: str, kind: str, content: bytes) -> str:
    """Return a link that saves `content` as the file `name`, without asking the server again."""
    data = base64.b64encode(content).decode()
    return f"<a class='fx-button' download='{escape(name, quote=True)}' href='data:{kind};base64,{data}'>{text}</a>"


def csv_link(readings: Sequence[Reading], lang: Language) -> str:
    """Return a link that saves `as_csv` as `faces.csv`."""
    # Without the mark that begins it, Excel takes UTF-8 for the system's own encoding.
    content = as_csv(readings).encode("utf-8-sig")
    return link(say(lang, "download_csv"), "faces.csv", "text/csv", content)


def as_csv(readings: Sequence[Reading]) -> str:
    """Return one line a face and model, as CSV, with the file, the box, the label and the seven probabilities."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["file", "model", "face", "x", "y", "width", "height", "label", *LABELS, "error"])
    for reading in readings:
        prediction = reading.prediction
        for number, face in enumerate(prediction.faces, 1):
            box = [face.box.x, face.box.y, face.box.width, face.box.height]
            # Nine significant digits bring every float32 back as it was.
            shares = [f"{share:.9g}" for share in face.probabilities]
            table.writerow([safe_cell(prediction.name), reading.name, number, *box, face.label, *shares, ""])
        if not prediction.faces:
            blank = [""] * (6 + len(LABELS))
            table.writerow([safe_cell(prediction.name), reading.name, *blank, safe_cell(prediction.error or "")])
    return text.getvalue()


def safe_cell(text: str) -> str:
    """Return a file's name, or a sentence that begins with one, so that no spreadsheet takes it for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _downloads(readings: Sequence[Reading], lang: Language) -> str:
    records = [{"model": reading.name} | as_record(reading.prediction).to_dict() for reading in readings]
    content = json.dumps(records, indent=2).encode()
    both = link(say(lang, "download_json"), "faces.json", "application/json", content), csv_link(readings, lang)
    return f"<span class='fx-links'>{say(lang, 'download')} {' '.join(both)}</span>"


def _card(place: int, readings: Sequence[Reading], lang: Language) -> str:
    face = readings[0].prediction.faces[place]
    several = len(readings) > 1
    answers = "".join(_answer(reading, reading.prediction.faces[place], several, lang) for reading in readings)
    title = say(lang, "face", number=place + 1)
    return (
        f"<article class='fx-card' data-label='{face.label}'><div class='fx-crop'>"
        f"<img src='{face_image(face.crop)}' width='96' height='96' alt='{title}'>"
        f"<b>{place + 1}</b><small>{say(lang, 'crop')}</small></div><div class='fx-answers'>{answers}</div></article>"
    )


def _answer(reading: Reading, face: FacePrediction, several: bool, lang: Language) -> str:
    name = f"<h4>{escape(reading.title)}</h4>" if several else ""
    return (
        f"<section data-model='{escape(reading.name, quote=True)}'>{name}<p class='fx-label' "
        f"style='--tone:{COLOURS[face.label]}'>{emotion(lang, face.label)} <span>{percent(face.confidence)}</span></p>"
        f"{bars(face.probabilities, lang)}</section>"
    )
