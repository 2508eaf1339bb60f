"""Lists the models there are, those that come with ferox and one's own, or writes one for the Hub: `ferox models`.

With `--json`, stdout is one strict JSON list with an object a model, see `Listed`.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data.commands import BAD_INPUT
from data.documents import top_level
from data.errors import InputError, printable
from data.faceset import SIDE
from data.places import reports_folder
from data.terminal import hand_over, say
from inference.catalogue import DEFAULT, KnownModel, find_model, known_models, model_folders
from inference.engine import Engine
from inference.hub import hub_folder
from inference.manifest import Manifest
from inference.measure.latency import Timing, TimingPlan, interleaved
from inference.report.document import REPORT_FILE, Report, read_report
from inference.text import PLAIN_DASH, or_dash, percent

# One face at a time, long enough that the median holds still.
TIMED = TimingPlan(batch=1, warm_up=5, runs=50, seconds=0.2)
COLUMNS = ("name", "model", "framework", "protocol", "accuracy", "on", "MB", "ms a face", "from")
FIRST_NUMBER = COLUMNS.index("MB")


@dataclass(frozen=True)
class Listed:
    """A model as programs are told of it.

    Attributes:
        name: the shortest name that it goes by.
        stem: the file's name without its ending.
        file: its path.
        shipped: whether it came with ferox.
        is_default: whether it is used where no model is named.
        model: the architecture.
        framework: what it was trained in.
        precision: fp32, fp16 or int8.
        protocol: how its faces were divided.
        accuracy: a share from 0 to 1, of `faces` faces of the `part` of its protocol; of the test part where an
            evaluation lies at hand, else of the part on which its epoch was picked. Of an adopted model, else of the
            validation part that it was adopted with; all three are None where there was none.
        trained_on: what an adopted model was trained on, in words; None of one that was trained here.
        bytes: the file's size.
        milliseconds: the median time of one face on this machine; None where it was not measured.
    """

    name: str
    stem: str
    file: str
    shipped: bool
    is_default: bool
    model: str
    framework: str
    precision: str
    protocol: str
    part: str | None
    accuracy: float | None
    faces: int | None
    bytes: int
    milliseconds: float | None
    trained_on: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The entry as plain values that strict JSON can hold."""
        return asdict(self)


def main(args: argparse.Namespace) -> int:
    """Print the models, or write one in the Hub's form; return 2 if any of several cannot be used, else 0.

    Args:
        args: json (bool), no_speed (bool), hub_folder (Path or None), model (str or None: the default).

    Raises:
        InputError: the one model that is asked for cannot be used, or is asked for without `hub_folder`.
    """
    if args.hub_folder is not None:
        if args.json or args.no_speed:
            raise InputError("--json and --no-speed are for the list, which --hub-folder does not print; leave out")
        hand_over(hub_folder(find_model(args.model or DEFAULT), args.hub_folder))
        return 0
    if args.model is not None:
        raise InputError(f"{args.model} is named, but models are listed all; leave it out, or add --hub-folder DIR")
    listed, refused = list_models(known_models(), is_timed=not args.no_speed)
    for reason in refused:
        say(f"error: {reason}")
    if args.json:
        print(json.dumps([entry.to_dict() for entry in listed], indent=2, allow_nan=False))
        return BAD_INPUT if refused else 0
    print(table(listed))
    folders = ", ".join(str(folder) for folder in model_folders())
    say(f"looked for in {folders}; the first is used where no model is named")
    return BAD_INPUT if refused else 0


def list_models(models: Sequence[KnownModel], *, is_timed: bool) -> tuple[list[Listed], list[InputError]]:
    """Return what is known of each model, and why others cannot be used; timed, they take turns of a tenth of a second.

    Args:
        models: those to describe.
        is_timed: whether to measure how long one face takes.
    """
    engines: dict[KnownModel, Engine] = {}
    refused: list[InputError] = []
    for model in models:
        try:
            engines[model] = Engine.load(model.path)
        except InputError as error:
            refused.append(error)
    timings: Sequence[Timing | None] = [None] * len(engines)
    if is_timed and engines:
        faces = np.full((1, SIDE, SIDE), 127, np.uint8)
        timings = interleaved(list(engines.values()), faces, TIMED)
    reports = test_reports([*(folder / "reports" for folder in model_folders()), reports_folder()])
    entries = zip(engines.items(), timings, strict=True)
    return [_listed(model, engine, timing, reports) for (model, engine), timing in entries], refused


def test_reports(folders: Sequence[Path]) -> dict[str, Report]:
    """Return the evaluations on a test part without test-time augmentation, by the artifact's digest.

    Reports that cannot be read are left out: a model is listed without them, by what its manifest says.
    """
    found: dict[str, Report] = {}
    for folder in folders:
        for file in sorted(folder.glob(f"*/{REPORT_FILE}")):
            try:
                if "comparison" in (top_level(file.read_text(encoding="utf-8")) or {}):
                    continue
                report = read_report(file.parent)
            except (InputError, OSError, UnicodeDecodeError) as error:
                say(f"note: {file.parent.name} says nothing of a model: {error}")
                continue
            on, data = report.evaluated_on, report.manifest.data
            protocol = "official" if data is None else data.protocol
            if on.part == "test" and on.augmentation == "none" and on.protocol == protocol:
                found.setdefault(report.manifest.digest, report)
    return found


def _listed(model: KnownModel, engine: Engine, timing: Timing | None, reports: dict[str, Report]) -> Listed:
    manifest, report = engine.manifest, reports.get(engine.manifest.digest)
    part, accuracy, faces = _measured(manifest)
    if report is not None:
        part, accuracy, faces = "test", report.figures.accuracy, report.evaluated_on.count
    return Listed(
        name=model.name,
        stem=model.stem,
        file=str(model.path),
        shipped=model.is_shipped,
        is_default=model.stem == DEFAULT,
        model=manifest.model,
        framework=manifest.framework,
        precision=manifest.precision,
        protocol=manifest.protocol,
        part=part,
        accuracy=accuracy,
        faces=faces,
        bytes=model.path.stat().st_size,
        milliseconds=None if timing is None else timing.p50,
        trained_on=None if manifest.adoption is None else manifest.adoption.training_data,
    )


def _measured(manifest: Manifest) -> tuple[str | None, float | None, int | None]:
    """What a manifest itself says of how good its model is: the part, accuracy and faces."""
    data, selection, adoption = manifest.data, manifest.selection, manifest.adoption
    if data is not None and selection is not None:
        return selection.part, selection.accuracy, data.counts[selection.part]
    if adoption is not None and adoption.validation is not None:
        return "validation", adoption.validation.accuracy, adoption.validation.faces
    return None, None, None


def table(listed: Sequence[Listed]) -> str:
    """Return the models as a table of plain text."""
    if not listed:
        return "there is no model yet; train and export one: ferox train, ferox export"
    rows = [COLUMNS, *(tuple(map(printable, _row(entry))) for entry in listed)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    lines = [_line(row, widths) for row in rows]
    remarks = [
        printable(f"{entry.name}: adopted; what it was trained on is {entry.trained_on}")
        for entry in listed
        if entry.trained_on is not None
    ]
    return "\n".join([*lines, *remarks])


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = enumerate(zip(row, widths, strict=True))
    numbers = range(FIRST_NUMBER, FIRST_NUMBER + 2)
    return "  ".join(cell.rjust(width) if i in numbers else cell.ljust(width) for i, (cell, width) in cells).rstrip()


def _row(entry: Listed) -> tuple[str, ...]:
    return (
        entry.name,
        entry.model if entry.precision == "fp32" else f"{entry.model} {entry.precision}",
        entry.framework,
        entry.protocol,
        percent(entry.accuracy, 2, PLAIN_DASH),
        PLAIN_DASH if entry.faces is None else f"{entry.part}, {entry.faces:,} faces",
        f"{entry.bytes / 1e6:.2f}",
        or_dash(entry.milliseconds, ".3g", PLAIN_DASH),
        "ferox" if entry.shipped else str(Path(entry.file).parent),
    )
