"""What the models said, as HTML: a card a face, with its crop and its probabilities as bars."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from markupsafe import Markup

from demo.view.downloads import csv_link, json_link
from demo.view.html import part
from demo.view.words import Language, say
from inference.photos.reading import PicturePrediction
from inference.saliency.explaining import FaceExplanation
from inference.saliency.heat import overlay, peak

MOST_EXPLAINED = 8  # Faces of a picture with heat: CNN_4 takes a tenth of a second for each.
HEAT_SIDE = 112  # Pixels.


@dataclass(frozen=True)
class Reading:
    """What one model, by its file's stem and its title, saw in a picture, and what it looked at in the first faces."""

    name: str
    title: str
    prediction: PicturePrediction
    explanations: tuple[FaceExplanation, ...] = ()


def cards(readings: Sequence[Reading], lang: Language, milliseconds: float) -> Markup:
    """Return the cards of a picture's faces; all readings are of the same faces, and there is at least one."""
    prediction = readings[0].prediction
    count = len(prediction.faces)
    key = "faces_one" if count == 1 else "faces_many"
    predictions = [(reading.name, reading.prediction) for reading in readings]
    return part(
        "cards",
        lang=lang,
        notes=prediction.notes,
        faces=prediction.faces,
        readings=readings,
        head=say(lang, key, count=count, milliseconds=f"{milliseconds:.0f}"),
        overlay=partial(overlay, side=HEAT_SIDE),
        peak=peak,
        most=MOST_EXPLAINED,
        downloads=[json_link(predictions, lang), csv_link(predictions, lang)] if count else [],
    )
