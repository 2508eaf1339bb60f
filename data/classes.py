"""Which emotion the name of a folder means."""

from collections import Counter
from dataclasses import dataclass

from data.errors import InputError, printable
from data.faceset import LABELS

# Names that mean one of the seven for sure, in public sets such as CK+ and FERC. Numbers are not: RAF-DB counts them in
# another order than FER2013.
SYNONYMS = {
    **{label: label for label in LABELS},
    **{"anger": "angry", "disgusted": "disgust", "fearful": "fear", "happiness": "happy", "joy": "happy"},
    **{"sadness": "sad", "surprised": "surprise"},
}
SKIP = "skip"
CLASSES_HELP = "what folders mean whose names are none of the seven, such as contempt=skip,1=surprise"


@dataclass(frozen=True)
class ClassNames:
    """What folders are called: `given` says it of names beyond the sure ones, `skip` of one that is to be left out."""

    given: tuple[tuple[str, str], ...] = ()

    def label(self, name: str) -> str | None:
        """Return the label, or `skip`, that a folder's name means; None where nobody says."""
        return dict(self.given).get(name.lower()) or SYNONYMS.get(name.lower())


SURE = ClassNames()


def parse_classes(text: str) -> ClassNames:
    """Read `--classes`, such as `contempt=skip,1=surprise`; an `InputError` where it is not of that form."""
    given: dict[str, str] = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        name, _, meaning = (part.strip().lower() for part in item.partition("="))
        label = SKIP if meaning == SKIP else SYNONYMS.get(meaning)
        if not name or label is None or name in given:
            raise InputError(
                f"--classes has {printable(item)!r}; expected NAME=LABEL once for each name, a label being one of "
                f"{', '.join(LABELS)} or {SKIP}; write it like contempt=skip,1=surprise"
            )
        given[name] = label
    return ClassNames(tuple(given.items()))


def unknown_classes(source: str, unknown: Counter[str]) -> InputError:
    """Return the refusal of a set with folders of pictures that mean nothing sure."""
    names = ", ".join(f"{printable(name)} ({count:,})" for name, count in sorted(unknown.items()))
    example = ",".join(f"{printable(name)}={SKIP}" for name in sorted(unknown))
    return InputError(
        f"{source} holds pictures in folders named {names}; expected {', '.join(LABELS)} or sure synonyms of them; say "
        f'what each means, or that it is to be left out: --classes "{example}"'
    )
