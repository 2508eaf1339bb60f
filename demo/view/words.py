"""The page's own sentences, in English and in Simplified Chinese; reasons of errors and figures stay English.

What stands still is translated in the browser (`gr.I18n` over `translations`); what is made for one answer is
translated here, by the language that the browser asks for.
"""

from typing import Literal

from data.errors import as_text
from data.faceset import LABELS
from demo.view.sentences import SENTENCES

Language = Literal["en", "zh"]

EMOTIONS_ZH = dict(zip(LABELS, ("生气", "厌恶", "恐惧", "高兴", "悲伤", "惊讶", "中性"), strict=True))


def language(accepted: str | None) -> Language:
    """Return the language for an Accept-Language header: the first named of the two, English without any."""
    for part in (accepted or "").lower().split(","):
        tag = part.split(";")[0].strip().split("-")[0]
        if tag == "zh":
            return "zh"
        if tag == "en":
            return "en"
    return "en"


def say(lang: Language, key: str, **values: object) -> str:
    """Return the sentence `key` with its values filled in."""
    return as_text(SENTENCES[key][lang == "zh"].format(**values))


def emotion(lang: Language, label: str) -> str:
    """Return a label in the reader's language."""
    return EMOTIONS_ZH[label] if lang == "zh" else label


def translations(lang: Language) -> dict[str, str]:
    """Return all sentences of one language, for `gr.I18n`."""
    return {key: both[lang == "zh"] for key, both in SENTENCES.items()}
