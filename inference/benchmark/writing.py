"""Records into a document: what stands between its markers is made from them, with a picture for each contest."""

import re
from collections.abc import Sequence
from pathlib import Path

from data.errors import InputError
from data.files import write_text
from inference.benchmark.document import BenchmarkRecord, Contest, read_record
from inference.benchmark.tables import TITLES, section
from inference.markers import put_between

NAME = "benchmarks"


def write_document(document: Path, records: Sequence[Path]) -> None:
    """Put the tables of records between the benchmark markers of a Markdown file, and draw their pictures beside it.

    Raises:
        InputError: a record cannot be read, two of them would have one picture, or the file has no markers.
    """
    from inference.benchmark.plots import draw_contest

    order = list(TITLES)
    read = sorted((read_record(path) for path in records), key=lambda record: order.index(record.kind))
    pictures = [[_picture(record, contest) for contest in record.contests] for record in read]
    every = [picture for names in pictures for picture in names]
    if twice := [name for name in every if every.count(name) > 1]:
        raise InputError(f"two of the records have a contest that would be drawn as {twice[0]}; name one of them")
    folder = document.with_suffix("")
    sections = [
        section(record, [f"{folder.name}/{name}" for name in names])
        for record, names in zip(read, pictures, strict=True)
    ]
    try:
        before = document.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{document} cannot be read ({error}); expected a Markdown file with markers") from error
    after = put_between(before, "\n\n".join(sections), NAME, document.name)
    for record, names in zip(read, pictures, strict=True):
        for contest, name in zip(record.contests, names, strict=True):
            draw_contest(contest, folder / name)
    write_text(document, after)


def _picture(record: BenchmarkRecord, contest: Contest) -> str:
    return f"{record.kind}-{re.sub(r'[^a-z0-9]+', '-', contest.heading.lower()).strip('-')}.png"
