"""When a model is unsure: one rule, and what each way of asking makes of it."""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

import ferox
from data.errors import InputError
from data.faceset import LABELS, FaceSet
from data.leftout import Tally
from demo.state.camera import CameraMemory, remember
from demo.view.cards import Reading, cards
from demo.view.downloads import as_csv
from demo.view.html import part
from inference.batch.job import BatchOptions, listed_files, run_job
from inference.batch.worker import WorkerSettings
from inference.confidence import ALWAYS, check_min_confidence, is_sure
from inference.measure.abstention import STEPS, abstention
from inference.measure.curves import coverage
from inference.photos.faces import FaceBox
from inference.photos.reading import FacePrediction, PicturePrediction, as_record

SHARES = st.floats(0, 1, width=32)
BOX = FaceBox(0, 0, 48, 48)


def face(shares: Sequence[float], least: float = ALWAYS) -> FacePrediction:
    return FacePrediction(BOX, np.array(shares, np.float32), np.zeros((48, 48), np.uint8), least)


UNSURE = face([0.1, 0.05, 0.05, 0.4, 0.3, 0.05, 0.05], 0.6)
SURE = face([0.02, 0.02, 0.02, 0.88, 0.02, 0.02, 0.02], 0.6)


@given(SHARES, st.floats(0, 1))
def test_a_face_is_answered_from_the_least_confidence_up(confidence: float, least: float) -> None:
    assert is_sure(confidence, least) == (confidence >= least)
    assert is_sure(float(np.float32(confidence)), least) == is_sure(confidence, least)
    assert is_sure(confidence, ALWAYS)


@given(hnp.arrays(np.float32, st.integers(1, 50), elements=SHARES), st.floats(0, 1), st.floats(0, 1))
def test_an_array_is_its_faces_and_asking_for_more_answers_no_more(
    confidences: Any, first: float, second: float
) -> None:
    assert is_sure(confidences, first).tolist() == [is_sure(float(each), first) for each in confidences]
    low, high = sorted((first, second))
    assert not (is_sure(confidences, high) & ~is_sure(confidences, low)).any()


def test_a_float32_is_compared_as_what_it_is() -> None:
    # NumPy would round 0.9 to float32 before it compared an array with it, and a program would not.
    nearly = np.float32(0.9)
    assert float(nearly) < 0.9
    assert not is_sure(float(nearly), 0.9)
    assert not is_sure(np.array([nearly]), 0.9).any()
    (step,) = coverage(np.array([nearly]), np.array([True]), [0.9])
    assert step.coverage == 0
    shares = np.zeros((1, 7), np.float32)
    shares[0, 3], shares[0, 0] = nearly, 1 - nearly
    (least,) = abstention(np.array([3]), shares, [0.9]).steps
    assert least.answered == 0
    assert face(shares[0].tolist(), 0.9).label is None


@given(st.one_of(st.floats(max_value=-1e-9), st.floats(min_value=1.0000001), st.just(float("nan"))))
def test_what_is_no_probability_is_refused(least: float) -> None:
    with pytest.raises(InputError, match=r"--min-confidence is .*, expected 0 \(always answer\) to 1"):
        check_min_confidence(least)


@given(hnp.arrays(np.float32, (40, 7), elements=st.floats(2**-7, 1, width=32)), st.integers(0, 10**6))
def test_abstaining_counts_what_is_answered(weights: Any, seed: int) -> None:
    shares = weights / weights.sum(axis=1, keepdims=True)
    labels = np.random.default_rng(seed).integers(0, 7, 40)
    found = abstention(labels, shares)
    assert [step.min_confidence for step in found.steps] == list(STEPS)
    assert found.steps[0].coverage == 1
    answered = [step.answered for step in found.steps]
    assert answered == sorted(answered, reverse=True)
    for step in found.steps:
        told = [face(row.tolist(), step.min_confidence).label for row in shares]
        assert sum(label is not None for label in told) == step.answered
        right = sum(label == LABELS[truth] for label, truth in zip(told, labels, strict=True))
        assert (step.accuracy is None) == (step.answered == 0)
        if step.accuracy is not None and step.interval is not None:
            assert step.accuracy == right / step.answered
            assert step.interval[0] <= step.accuracy <= step.interval[1]


def test_programs_get_null_and_all_probabilities() -> None:
    record = as_record(PicturePrediction("a.png", (), (SURE, UNSURE))).to_dict()
    assert [each["label"] for each in record["faces"]] == ["happy", None]
    assert record["faces"][1]["probabilities"]["happy"] == pytest.approx(0.4)
    assert json.loads(json.dumps(record))["faces"][1]["label"] is None
    assert UNSURE.guess == "happy"
    assert UNSURE.confidence == pytest.approx(0.4)


def test_the_pages_csv_has_no_label_where_the_model_is_unsure() -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv([("m", PicturePrediction("a.png", (), (SURE, UNSURE)))]))))
    assert [row["label"] for row in rows] == ["happy", ""]
    assert float(rows[1]["sad"]) == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("lang", "sentence", "short"),
    [("en", "Unsure: perhaps happy, perhaps sad", "unsure"), ("zh", "不确定：可能是高兴，也可能是悲伤", "不确定")],
)
def test_the_page_is_unsure_as_a_person_is(lang: Any, sentence: str, short: str) -> None:
    prediction = PicturePrediction("a.png", (), (UNSURE,))
    shown = cards([Reading("m", "m", prediction)], lang, 5)
    assert sentence in shown
    assert 'data-label="unsure"' in shown
    assert "40.0 %" in shown
    assert short in part("tile", lang=lang, prediction=prediction, thumbnail="")
    sure = cards([Reading("m", "m", PicturePrediction("a.png", (), (SURE,)))], lang, 5)
    assert sentence[:4] not in sure
    # What is far behind the favourite is not named.
    favourite = face(SURE.probabilities.tolist(), 0.95)
    shown = cards([Reading("m", "m", PicturePrediction("a.png", (), (favourite,)))], lang, 5)
    assert {"en": "Unsure: perhaps happy</p>", "zh": "不确定：可能是高兴</p>"}[lang] in shown


def test_a_followed_face_is_unsure_while_its_smoothed_answer_is() -> None:
    pixels = np.zeros((48, 48, 3), np.uint8)
    memory = remember(CameraMemory(), [UNSURE], pixels, 0.0)
    assert memory.scene.tracks[0].label is None
    assert memory.strip[-1].label == "happy"  # The strip shows how sure it was, and of what.
    later = remember(memory, [SURE], pixels, 5.0)
    assert later.scene.tracks[-1].label == "happy"


@pytest.fixture(scope="module")
def photo(portraits: FaceSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photos") / "face.png"
    Image.fromarray(portraits.pixels[0]).save(path)
    return path


@pytest.mark.parametrize("least", [0.0, 0.5, 1.0])
def test_commands_tables_and_python_say_the_same(
    tiny_model: Path, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], least: float
) -> None:
    from inference.predict import main

    reader = ferox.load(tiny_model, provider="cpu", threads=1, min_confidence=least)
    (read,) = reader.read(photo)
    assert (read.label is None) == (read.confidence < least)
    assert [each.faces[0].label for each in reader.read_many([photo])] == [read.label]
    args: Any = SimpleNamespace(
        **{"model": tiny_model, "images": [photo], "faces": "auto", "yunet": None, "json": True, "out": None},
        **{
            "provider": "cpu",
            "threads": 1,
            "format": None,
            "shard": None,
            "jobs": None,
            "ray": None,
            "min_confidence": least,
            "decode_side": None,
        },
    )
    assert main(args) == 0
    (record,) = json.loads(capsys.readouterr().out)
    assert record["faces"][0]["label"] == read.label
    args.json = False
    assert main(args) == 0
    (_, line) = capsys.readouterr().out.splitlines()
    assert (read.label or "unsure") in line
    # What it might be stands beside "unsure", the second guess beside an answer.
    (first, _), (second, _) = read.ranking[:2]
    assert line.rstrip(" %0123456789.").endswith(second if read.label else first)
    settings = WorkerSettings(tiny_model, "cpu", 1, None, "auto", least)
    run_job(listed_files([photo], Tally()), BatchOptions(tmp_path / "out", "jsonl", 10, 1, settings))
    (row,) = [json.loads(text) for text in (tmp_path / "out" / "part-00000.jsonl").read_text().splitlines()]
    assert (row["label"], row["face"]) == (read.label, 0)
    assert row["confidence"] == pytest.approx(read.confidence)


def test_another_least_confidence_is_another_job(tiny_model: Path, photo: Path, tmp_path: Path) -> None:
    files = listed_files([photo], Tally())
    settings = WorkerSettings(tiny_model, "cpu", 1, None, "auto", 0.5)
    run_job(files, BatchOptions(tmp_path, "jsonl", 10, 1, settings))
    other = WorkerSettings(tiny_model, "cpu", 1, None, "auto", 0.6)
    with pytest.raises(InputError, match="a job with other min_confidence"):
        run_job(files, BatchOptions(tmp_path, "jsonl", 10, 1, other))


def test_python_refuses_what_is_no_probability(tiny_model: Path) -> None:
    with pytest.raises(InputError, match="min_confidence is 60, expected 0"):
        ferox.load(tiny_model, provider="cpu", min_confidence=60)
