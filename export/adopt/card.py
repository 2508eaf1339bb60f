"""The card of an adopted model: what its adopter declares, what was measured, and what nobody here can know."""

from export.card import USE, head, proof_words, temperature_words
from inference.adoption import Adoption
from inference.licence import terms
from inference.manifest import Manifest
from inference.text import percent


def adopted_card(manifest: Manifest, adoption: Adoption) -> str:
    """Return a model card in Markdown."""
    rows = {
        "parameters": f"{manifest.parameters:,} ({manifest.precision})",
        "adopted from": f"{adoption.file}, opset {adoption.opset}{_producer(adoption)}",
        "its sha256": f"`{manifest.checkpoint_sha256}`",
        "trained on": adoption.training_data,
        "declared by": f"the preset {adoption.preset}" if adoption.preset else "its adopter",
        "fed with": adoption.preprocessing.words,
        "its answers": f"{adoption.answers} of {', '.join(adoption.names)}",
        **({"other labels": adoption.others_words} if adoption.others_words else {}),
        "on validation faces": validation_words(adoption),
        "parity": f"{proof_words(manifest)}, compared with the adopted file itself, fed by NumPy and OpenCV",
        **({} if manifest.batch is None else {"batch": f"fixed at {manifest.batch}"}),
        "temperature": temperature_words(manifest),
        "adopted": manifest.created,
    }
    table = ["| | |", "|---|---|", *(f"| {name} | {text.replace('|', '/')} |" for name, text in rows.items())]
    return "\n".join([head(manifest), *table, "", NOTE, USE, "## Licence\n", terms(manifest), ""])


NOTE = """What is declared was not checked, but for what the figures show. Nobody here knows which faces this model has
learned from: every figure of it may be one of faces that it remembers.
"""


def validation_words(adoption: Adoption) -> str:
    """How it does on the validation part, in words."""
    if (figures := adoption.validation) is None:
        return "not tried: it was adopted without data"
    low, high = (percent(share, 2) for share in figures.interval)
    chance = "" if figures.is_above_chance else ": probably fed wrongly"
    return (
        f"accuracy {percent(figures.accuracy, 2)} (95 % interval {low} to {high}) on {figures.faces:,} faces of "
        f"{figures.source}; always giving the most frequent label reaches {percent(figures.constant, 2)}{chance}"
    )


def _producer(adoption: Adoption) -> str:
    return f", written by {adoption.producer}" if adoption.producer else ""
