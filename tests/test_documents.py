"""Documents on disk: what is right reads as it was written, and whatever is wrong with it is one sentence."""

import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data.documents import parse_document, read_document
from data.errors import InputError
from inference.comparison.document import Comparison
from inference.manifest import Manifest, Parity, parse_manifest
from inference.measure.metrics import class_figures
from inference.report.document import read_report
from inference.report.training_result import Checkpoint, FinalFigures, Machine, Move
from inference.results import comparison_tables, read, result_tables
from training.history import METRICS_FILE, EpochRecord, read_history, write_history
from training.loop import start_record
from training.recipe import recipe
from training.run import Progress, RunRecord, plain, read_record, write_record

NAMES = ("run.json", "metrics.jsonl", "manifest", "report.json", "result.json", "comparison.json")
WRONG = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=True, allow_infinity=True),
    st.text(max_size=20),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=3),
)
DEEP = "[" * 100_000 + "]" * 100_000


@dataclass(frozen=True)
class Kind:
    """A kind of document: a right one as JSON-able values, and what reads its text."""

    right: Any
    read: Callable[[str], object]


@pytest.fixture(scope="module")
def record(tiny_manifest: Manifest) -> RunRecord:
    classes = class_figures([[1] * 7] * 7)
    machine = Machine("a processor", 2)
    begun = start_record(
        recipe("best", "torch", "vgg_32"),
        parameters=1,
        versions={"torch": "2.15.0"},
        data=tiny_manifest.data,
        data_path="fer2013.csv",
        skip_bad_rows=False,
        machine=machine,
        commit=None,
        inherited=(tiny_manifest.data,),
        moves=(Move(epoch=2, commit="abc", versions={"torch": "2"}, machine=machine),),
        left_out={"hidden": 3},
    )
    test = FinalFigures(epoch=1, faces=49, loss=1.9, accuracy=1 / 7, correct=7, classes=classes)
    progress = Progress(2, 0, 0.0, 0, 0, 0.0, "state-0002.pt", "0" * 64)
    best = Checkpoint(1, "weights-0001.npz", "1" * 64, 0.5, 1.5)
    return replace(begun, test=test, progress=progress, checkpoints=(best,))


def report() -> dict[str, Any]:
    """The golden report, with what differs between machines filled in."""
    content: dict[str, Any] = json.loads((Path(__file__).parent / "golden" / "report.json").read_text())
    engine = {"onnxruntime": "1.32.0", "providers": ["CPUExecutionProvider"], "threads": 1, "seconds": 0.5}
    return content | {"created": "2026-01-01T00:00:00+00:00", "engine": engine | {"images_per_second": 140.0}}


def committed(name: str) -> dict[str, Any]:
    """A file of docs/results."""
    content: dict[str, Any] = json.loads((Path(__file__).parents[1] / "docs" / "results" / f"{name}.json").read_text())
    return content


def result_text(folder: Path) -> str:
    """The tables that are made from the result or comparison in a folder."""
    (file,) = [file for file in (folder / "result.json", folder / "comparison.json") if file.exists()]
    try:
        found = read(file)
    finally:
        file.unlink()
    return comparison_tables(found) if isinstance(found, Comparison) else "".join(result_tables([(file, found)]))


@pytest.fixture(scope="module")
def kinds(
    record: RunRecord, epoch: EpochRecord, tiny_manifest: Manifest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Kind]:
    """Every kind of document that is read back, each by what its users call."""
    folder = tmp_path_factory.mktemp("documents")

    def through(name: str, read: Callable[[Path], object]) -> Callable[[str], object]:
        def reader(text: str) -> object:
            (folder / name).write_text(text, errors="surrogatepass")
            return read(folder)

        return reader

    return {
        "run.json": Kind(plain(record), through("run.json", read_record)),
        "metrics.jsonl": Kind(asdict(epoch), through(METRICS_FILE, read_history)),
        "report.json": Kind(report(), through("report.json", read_report)),
        "result.json": Kind(committed("cnn_1.torch.published-official"), through("result.json", result_text)),
        "comparison.json": Kind(committed("shipped"), through("comparison.json", result_text)),
        "manifest": Kind(json.loads(tiny_manifest.to_json()), lambda text: parse_manifest(text, "model.onnx")),
    }


def places(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a document, as the keys that lead to it."""
    yield above
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from places(inner, (*above, name))
    elif isinstance(value, list | tuple):
        for number, inner in enumerate(value):
            yield from places(inner, (*above, number))


def changed(document: Any, place: tuple[Any, ...], value: Any, remove: bool) -> Any:
    """A copy of a document with another value at a place, or without it."""
    found = json.loads(json.dumps(document))
    if not place:
        return value
    inner = found
    for key in place[:-1]:
        inner = inner[key]
    if remove:
        del inner[place[-1]]
    else:
        inner[place[-1]] = value
    return found


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=400, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_document_with_anything_wrong_is_read_or_refused_in_a_sentence(
    name: str, kinds: dict[str, Kind], data: st.DataObject
) -> None:
    kind = kinds[name]
    place = data.draw(st.sampled_from(list(places(kind.right))))
    wrong = changed(kind.right, place, data.draw(WRONG), bool(place) and data.draw(st.booleans()))
    text = json.dumps(wrong)
    if data.draw(st.integers(0, 9)) == 0:
        text = text[: data.draw(st.integers(0, len(text)))]
    try:
        kind.read(text)
    except InputError as error:
        sentence = str(error)
        assert "\n" not in sentence
        assert len(sentence) < 600


@pytest.mark.parametrize("name", NAMES)
def test_a_document_nested_without_end_is_refused(name: str, kinds: dict[str, Kind]) -> None:
    for text in (DEEP, '{"schema": 1, "contract": 2, "epoch": ' + DEEP + "}"):
        with pytest.raises(InputError):
            kinds[name].read(text)


def test_run_and_epochs_come_back_as_they_were_written(record: RunRecord, epoch: EpochRecord, tmp_path: Path) -> None:
    write_record(tmp_path, record)
    assert read_record(tmp_path) == record
    write_history(tmp_path, [epoch, replace(epoch, epoch=2)])
    assert read_history(tmp_path) == [epoch, replace(epoch, epoch=2)]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"status": "asleep"}, "status is 'asleep'"),
        ({"parameters": "many"}, "parameters is 'many'"),
        ({"parameters": -1}, "parameters is -1"),
        ({"seconds": True}, "seconds is True"),
        ({"colour": 1}, "colour is not known to this version"),
        ({"schema": 2}, "its schema is 2, expected 1"),
        ({"settings": {"framework": "torch", "model": "vgg_99", "split": {}}}, "the model is 'vgg_99'"),
    ],
)
def test_what_is_wrong_is_named_with_its_place_and_value(
    change: dict[str, Any], words: str, record: RunRecord, tmp_path: Path
) -> None:
    (tmp_path / "run.json").write_text(json.dumps(copy.deepcopy(plain(record)) | change))
    with pytest.raises(InputError) as error:
        read_record(tmp_path)
    assert words in str(error.value)
    assert "run.json" in str(error.value)
    assert str(error.value).endswith("train again")


def test_a_line_of_metrics_that_is_none_is_named_by_its_number(epoch: EpochRecord, tmp_path: Path) -> None:
    write_history(tmp_path, [epoch])
    file = tmp_path / METRICS_FILE
    file.write_text(file.read_text() + '{"epoch": "two"}\n')
    with pytest.raises(InputError, match=r"metrics\.jsonl, line 2: "):
        read_history(tmp_path)


def test_a_file_that_is_not_there_and_bytes_that_are_no_text_are_sentences(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_document(Parity, tmp_path / "none.json", "export again")
    with pytest.raises(InputError, match="it is no JSON"):
        parse_document(Parity, b"\xff\xfe\x00", "bytes", "export again")


def test_no_control_character_of_a_document_reaches_a_message() -> None:
    with pytest.raises(InputError) as error:
        parse_document(Parity, json.dumps({"passed": "\x1b[2J" * 100}), "evil", "export again")
    assert "\x1b" not in str(error.value)
    assert len(str(error.value)) < 300
