"""One foreign file to one artifact: declared, proven (`export.adopt.proving`), published."""

import re
from pathlib import Path

from data.errors import InputError, printable
from data.faceset import USAGES
from data.files import write_bytes
from data.load import load
from data.scratch import scratch_folder
from data.splits import SplitPlan, split
from export.adopt.card import adopted_card
from export.adopt.declaration import Wish, declared
from export.adopt.foreign import read_foreign
from export.adopt.proving import Case, Target, proven
from export.conversion import ExportError
from export.finishing import parity_record
from export.job import check_batch, refuse_taken
from export.publication import CARD, FAILURE, MODEL, PARITY, exclusive, put
from inference.manifest import Parity

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,59}")


def adopt(path: Path, wish: Wish, data: Path | None, target: Target) -> Path:
    """Put the contract around a foreign model, prove it, and publish it with its parity record and card.

    Args:
        path: the foreign `.onnx`.
        wish: what is declared of it.
        data: faces with the official parts: the test part's pixels prove it, the validation part's tell whether it is
            fed rightly and give the temperature. None proves it on drawn faces, and leaves the temperature at 1.
        target: where it goes.

    Returns:
        The published `.onnx`.

    Raises:
        InputError: the file, the declaration or the data cannot be used, or the name is taken.
        ExportError: a gate refused it; `<stem>.failed.parity.json` names it, and nothing is published.
    """
    check_batch(target.batch)
    foreign = read_foreign(path)
    declaration = declared(wish, foreign)
    name = _name(target.name, wish.preset or path.stem)
    faces = load(data)
    if not faces.has_usage:
        raise InputError(
            f"{faces.source} does not say which faces belong to {', '.join(USAGES)}, which adopting needs; leave out "
            "--data to prove it on drawn faces, and measure it on all of these with ferox evaluate --part all"
        )
    division = split(faces, SplitPlan())
    with scratch_folder("ferox-adopt-") as work:
        case = Case(foreign, declaration, faces, division, data is None, target, name, work)
        _check_place(case, path)
        try:
            engine, adoption = proven(case)
        except ExportError as error:
            refusal = error.verdict or Parity(passed=False, reason=error.reason)
            with exclusive(target.out):
                write_bytes(target.out / f"{case.stem}{FAILURE}", parity_record(error.stage, refusal))
            raise
        contents = {
            PARITY: parity_record("passed", engine.manifest.parity),
            CARD: adopted_card(engine.manifest, adoption).encode(),
            MODEL: engine.path.read_bytes(),
        }
        with exclusive(target.out):
            # Another may have taken the name while this one was at work.
            _check_place(case, path)
            return put(target.out, case.stem, contents)


def _name(asked: str | None, default: str) -> str:
    # A file is called what its makers like.
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", default).strip("_-")[:60] if asked is None else asked
    if not NAME.fullmatch(name):
        raise InputError(
            f"the name is {printable(name)[:80]!r}, expected up to 60 letters, digits, - and _; say it: --name NAME"
        )
    return name


def _check_place(case: Case, path: Path) -> None:
    if not case.target.replace:
        place = case.target.out / f"{case.stem}{MODEL}"
        refuse_taken(place, case.foreign.sha256, path, "tell them apart with --name NAME")
