"""Labels that are probably wrong: folds, what is found, and trainings on what a person has decided about it."""

import csv
import re
import signal
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.corrections import Corrections, LabelledPicture, corrected, read_corrections
from data.draw import draw, write_csv
from data.drawing.expressions import sample_expression
from data.drawing.portrait import draw_portrait
from data.errors import InputError
from data.faceset import LABELS, FaceSet, face_set
from data.folds import training_folds
from data.splits import TRAINING_FOLDS, Split, SplitPlan, split
from inference.engine import Engine
from inference.manifest import CorrectionsRecord, Manifest, data_record, parse_manifest
from inference.measure.evaluation import assign
from inference.report.writer import report_of
from training.doubts.issues import Doubt, doubts_table, find_doubts
from training.doubts.page import Method, render_page
from training.recipe import recipe
from training.run import read_record

pytest.importorskip("cleanlab", reason="doubts need ferox[doubts]")

ROOT = Path(__file__).parents[1]
A_CLASS, SWAPPED = 40, 0.1
OFFICIAL = SplitPlan()


@dataclass(frozen=True)
class Mislabelled:
    """Faces of which some training labels were swapped on purpose; `swapped` has the sha256 of these."""

    faces: FaceSet
    swapped: frozenset[str]


def digests(faces: FaceSet) -> list[str]:
    return [digest.tobytes().hex() for digest in faces.records["digest"]]


@pytest.fixture(scope="module")
def mislabelled() -> Mislabelled:
    """Noisy pictures of seven drawn faces, so that a small model can tell them apart, with three exact copies."""
    rng = np.random.default_rng(4)
    pixels, labels, usages = [], [], []
    for label in range(len(LABELS)):
        face = draw_portrait(sample_expression(label, rng), rng).astype(float)
        for usage, count in enumerate((A_CLASS, 8, 8)):
            noisy = face + rng.normal(0, 25, (count, 48, 48))
            pixels.append(np.rint(noisy).clip(0, 255).astype(np.uint8))
            labels += [label] * count
            usages += [usage] * count
    shown, named = np.concatenate(pixels), np.array(labels, np.uint8)
    places = rng.permutation(np.flatnonzero(np.array(usages) == 0))
    swapped, copied = places[: round(SWAPPED * len(places))], places[-3:]
    named[swapped] = (named[swapped] + rng.integers(1, len(LABELS), len(swapped))) % len(LABELS)
    all_pixels, all_labels = np.concatenate([shown, shown[copied]]), np.concatenate([named, named[copied]])
    faces = face_set(all_pixels, all_labels, np.array([*usages, 0, 0, 0], np.uint8), source="swapped.csv")
    marks = face_set(shown[swapped], named[swapped], source="swapped.csv")
    return Mislabelled(faces, frozenset(digests(marks)))


@pytest.fixture(scope="module")
def found(mislabelled: Mislabelled, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of what `ferox doubts` finds in them."""
    folder = tmp_path_factory.mktemp("doubts")
    write_csv(mislabelled.faces, folder / "swapped.csv")
    done = ferox(
        *("doubts", "--data", folder / "swapped.csv", "--model", "mlp_4", "--epochs", 8, "--folds", 3),
        *("--threads", 1, "--shown", 12, "--out", folder / "out"),
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [str(folder / "out" / name) for name in ("doubts.csv", "doubts.html")]
    return folder


def ferox(*words: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "ferox", *map(str, words)], cwd=ROOT, capture_output=True, text=True, check=False
    )


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def write_table(path: Path, rows: list[dict[str, str]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.mark.parametrize("plan", [OFFICIAL, SplitPlan("random"), SplitPlan(drop_duplicates=True)])
def test_folds_divide_the_training_part_and_nothing_else(mislabelled: Mislabelled, plan: SplitPlan) -> None:
    faces = mislabelled.faces
    division = split(faces, plan)
    folds = training_folds(faces, division, 4)
    np.testing.assert_array_equal(np.sort(np.concatenate([fold.test for fold in folds])), division.train)
    for fold in folds:
        parts = (fold.train, fold.validation, fold.test)
        np.testing.assert_array_equal(np.sort(np.concatenate(parts)), division.train)
        pictures = [set(faces.pictures[part].tolist()) for part in parts]
        assert not pictures[0] & pictures[1]
        assert not pictures[0] & pictures[2]
        assert not pictures[1] & pictures[2]
        assert set(faces.labels[fold.test]) == set(range(len(LABELS)))
    assert len({fold.fingerprint for fold in folds} | {division.fingerprint}) == 5
    again = training_folds(faces, division, 4)
    assert [fold.fingerprint for fold in again] == [fold.fingerprint for fold in folds]


def test_folds_of_too_few_faces_are_refused() -> None:
    faces = draw(210, seed=1)
    with pytest.raises(InputError, match=r"has 1 different disgust faces to train on, expected at least 10"):
        training_folds(faces, split(faces, OFFICIAL), 5)
    for folds in (-1, 0, 1, 101):
        with pytest.raises(InputError, match=f"--folds is {folds}, expected 2 to 100"):
            training_folds(faces, split(faces, OFFICIAL), folds)


def test_faces_that_are_too_few_without_one_fold_say_so() -> None:
    labels = np.repeat(np.arange(7, dtype=np.uint8), 15)
    pixels = np.random.default_rng(0).integers(0, 256, (len(labels), 48, 48), dtype=np.uint8)
    usages = np.zeros(len(labels), np.uint8)
    others = face_set(pixels, labels, usages, source="few.csv")
    division = Split(OFFICIAL, np.arange(len(others)), np.arange(1), np.arange(1), "0" * 64)
    with pytest.raises(
        InputError, match=r"has 7 different \w+ faces to train on, left without one fold, .* more --folds"
    ):
        training_folds(others, division, 2)
    assert len(training_folds(others, division, 3)) == 3


def test_a_fold_is_no_training_that_can_be_gone_on_with(mislabelled: Mislabelled) -> None:
    with pytest.raises(InputError, match="a fold of ferox doubts"):
        split(mislabelled.faces, SplitPlan(TRAINING_FOLDS, fold=1))


def test_doubts_are_ranked_by_what_models_give_to_the_label(mislabelled: Mislabelled) -> None:
    faces = mislabelled.faces
    train = split(faces, OFFICIAL).train
    truth = faces.labels[train].astype(int)
    shares = np.full((len(train), len(LABELS)), 0.02)
    shares[np.arange(len(train)), truth] = 0.88
    wrong = np.flatnonzero([digest in mislabelled.swapped for digest in np.array(digests(faces))[train]])
    for place, sure in zip(wrong.tolist(), np.linspace(0.9, 0.95, len(wrong)).tolist(), strict=True):
        shares[place] = (1 - sure) / 6
        shares[place, (truth[place] + 1) % 7] = sure
    doubts = find_doubts(faces, train, shares)
    assert {doubt.sha256 for _, doubt in doubts} == mislabelled.swapped
    assert [doubt.score for _, doubt in doubts] == sorted(doubt.score for _, doubt in doubts)
    for face, doubt in doubts:
        assert doubt.given == LABELS[faces.labels[face]]
        assert doubt.likely == LABELS[(faces.labels[face] + 1) % 7]


def test_copies_with_one_label_are_one_doubt() -> None:
    pixels = np.zeros((60, 48, 48), np.uint8)
    pixels[:, 0, 0] = np.minimum(np.arange(60), 57)  # The last three are the same.
    faces = face_set(pixels, (np.arange(60) % 2).astype(np.uint8) * 3, np.zeros(60, np.uint8), source="copies.csv")
    shares = np.full((60, 7), 0.01)
    shares[np.arange(60), faces.labels] = 0.94
    copies = np.flatnonzero(faces.pixels[:, 0, 0] == 57)
    shares[copies] = 0.01
    shares[copies, 4] = 0.94
    shares[:, 4] += 1e-6  # Somebody has to be held for class 4 with some confidence.
    answers = shares / shares.sum(axis=1, keepdims=True)
    found = [doubt for _, doubt in find_doubts(faces, np.arange(60), answers)]
    assert all(doubt.likely == "sad" for doubt in found)
    assert len({(doubt.sha256, doubt.given) for doubt in found}) == len(found)


def test_the_page_escapes_and_shows(mislabelled: Mislabelled) -> None:
    doubt = Doubt("0" * 64, "happy", "sad", 0.01, 0.9, 2, 7)
    settings = recipe("published", "torch", "cnn_1")
    method = Method("<b>&.csv", "official", 100, "f" * 64, settings, 5, 0.6)
    page = render_page(method, [doubt], [(mislabelled.faces.pixels[0], doubt)])
    assert "<b>&.csv" not in page
    assert "&lt;b&gt;&amp;.csv" in page
    assert "<s>happy</s><b>sad</b><i>1.0 % · 90.0 %</i><i>2 copies</i>" in page
    assert page.count("data:image/png;base64,") == 1
    assert not re.search(r"https?://|<script", page)
    assert "No label is doubtful to these models." in render_page(method, [], [])


@pytest.mark.slow
def test_swapped_labels_rank_on_top(mislabelled: Mislabelled, found: Path) -> None:
    rows = table(found / "out" / "doubts.csv")
    top = rows[: len(mislabelled.swapped)]
    right = sum(row["sha256"] in mislabelled.swapped for row in top)
    # Seven faces under noise: nearly all of as many as were swapped are those that were.
    assert right / len(top) >= 0.9, f"precision {right / len(top):.2f} of the first {len(top)}"
    # And more than half of them are found: confident learning doubts as many as it estimates to be wrong.
    assert right > len(mislabelled.swapped) / 2
    page = (found / "out" / "doubts.html").read_text()
    assert page.count("<figure>") == min(12, len(rows))


@pytest.mark.slow
def test_no_face_of_a_test_part_is_asked_about(mislabelled: Mislabelled, found: Path) -> None:
    training = set(np.array(digests(mislabelled.faces))[split(mislabelled.faces, OFFICIAL).train])
    assert {row["sha256"] for row in table(found / "out" / "doubts.csv")} <= training
    for number in (1, 2, 3):
        record = read_record(found / "out" / f"fold-{number}")
        assert sum(record.data.counts.values()) == 7 * A_CLASS + 3


@pytest.mark.slow
def test_the_same_command_trains_nothing_again_and_another_one_is_refused(found: Path) -> None:
    common = ("doubts", "--data", found / "swapped.csv", "--model", "mlp_4", "--folds", 3, "--threads", 1)
    before = (found / "out" / "doubts.csv").read_bytes()
    again = ferox(*common, "--epochs", 8, "--out", found / "out")
    assert again.returncode == 0
    assert "epoch 1" not in again.stderr
    assert (found / "out" / "doubts.csv").read_bytes() == before
    other = ferox(*common, "--epochs", 9, "--out", found / "out")
    assert other.returncode == 2
    assert "holds a training with other settings or of other faces" in other.stderr


@pytest.mark.slow
def test_a_model_of_a_corrected_part_says_so_and_is_tested_as_any_other(
    mislabelled: Mislabelled, found: Path, tmp_path: Path
) -> None:
    rows = table(found / "out" / "doubts.csv")
    drop = write_table(tmp_path / "drop.csv", rows[:4])
    relabel = write_table(tmp_path / "relabel.csv", rows[4:10])
    words = ("train", "--model", "mlp_4", "--epochs", 2, "--threads", 1, "--data", found / "swapped.csv")
    options = ("--out", tmp_path, "--drop", drop, "--relabel", relabel)
    stopped = ferox(*words, *options, "--time-limit", 0.001)
    assert stopped.returncode == 128 + signal.SIGALRM, stopped.stderr
    run = Path(stopped.stdout.strip())
    # Its tables lie in its folder: it goes on where others have gone, and not with other corrections.
    drop.unlink()
    whole = (run / "dropped.csv").read_text()
    (run / "dropped.csv").write_text("\n".join(whole.splitlines()[:-1]))
    refused = ferox("train", "--resume", run)
    assert refused.returncode == 2
    assert "are not what the run was begun with" in refused.stderr
    (run / "dropped.csv").write_text(whole)
    done = ferox("train", "--resume", run)
    assert done.returncode == 0, done.stderr
    record, faces = read_record(run), mislabelled.faces
    said = CorrectionsRecord(
        dropped=sum(int(row["copies"]) for row in rows[:4]),
        relabelled=sum(int(row["copies"]) for row in rows[4:10]),
        fingerprint=record.data.corrections.fingerprint if record.data.corrections else "",
    )
    plain = data_record("swapped.csv", faces.fingerprint, split(faces, OFFICIAL))
    assert record.data == replace(plain, corrections=said)
    assert record.test is not None
    assert record.test.faces == plain.counts["test"]


def key(faces: FaceSet, place: int) -> LabelledPicture:
    return LabelledPicture(digests(faces)[place], LABELS[faces.labels[place]])


@given(st.data())
def test_corrections_change_the_training_part_alone(mislabelled: Mislabelled, data: st.DataObject) -> None:
    faces, division = mislabelled.faces, split(mislabelled.faces, OFFICIAL)
    chosen = data.draw(st.lists(st.integers(0, len(division.train) - 1), max_size=20, unique=True))
    keys = list(dict.fromkeys(key(faces, int(division.train[place])) for place in chosen))
    cut = data.draw(st.integers(0, len(keys)))
    new = {face: LABELS[(LABELS.index(face.given) + 1) % 7] for face in keys[cut:]}
    part = corrected(faces, division, Corrections(frozenset(keys[:cut]), new))
    np.testing.assert_array_equal(part.division.test, division.test)
    np.testing.assert_array_equal(part.division.validation, division.validation)
    assert part.division.fingerprint == division.fingerprint
    assert len(part.labels) == len(part.division.train) == len(division.train) - part.dropped
    assert (part.labels != faces.labels[part.division.train]).sum() == part.relabelled
    nothing = corrected(faces, division, Corrections())
    assert (part.fingerprint == nothing.fingerprint) == (not keys)


def test_tables_survive_being_written_and_read(mislabelled: Mislabelled, tmp_path: Path) -> None:
    faces = mislabelled.faces
    train = split(faces, OFFICIAL).train.tolist()
    first, second = key(faces, train[0]), key(faces, train[1])
    likely = next(label for label in LABELS if label != second.given)
    corrections = Corrections(frozenset({first}), {second: likely})
    corrections.write(tmp_path)
    assert read_corrections(tmp_path / "dropped.csv", tmp_path / "relabelled.csv") == corrections
    doubts = [Doubt(first.sha256, first.given, likely, 0.1, 0.8, 1, 3)]
    (tmp_path / "doubts.csv").write_text(doubts_table(doubts))
    assert read_corrections(tmp_path / "doubts.csv", None).dropped == {first}


D = "0" * 64


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "the column 'sha256' stands there 0 times"),
        ("sha256,given\n", r"the column 'likely' stands there 0 times"),
        ("sha256,given,likely\n", "names no face"),
        ("sha256,given,likely,likely\n", "the column 'likely' stands there 2 times"),
        (f"sha256,given,likely\n{D[:-1]},happy,sad\n", "line 2: the sha256 is '0+', expected 64 hex digits"),
        (f"sha256,given,likely\n{D},happy,glad\n", "line 2: likely is 'glad', expected one of angry"),
        (f"sha256,given,likely\n{D},Happy,sad\n", "line 2: given is 'Happy'"),
        (f"sha256,given,likely\n{D},sad,sad\n", "the face is sad already"),
        (f"sha256,given,likely\n{D},sad\n", "more or fewer fields"),
        (f"sha256,given,likely\n{D},sad,fear,1\n", "more or fewer fields"),
        (f"sha256,given,likely\n{D},sad,fear\n{D},sad,happy\n", "line 3: the sad face 0+ is to be happy, and fear"),
        (f'sha256,given,likely\n"{D},sad,fear\n', "no line of a CSV table"),
        ("sha256,given,likely\n\x1b[2J,sad,fear\n", r"the sha256 is '\?\[2J'"),
    ],
)
def test_a_wrong_table_is_refused_with_its_line(tmp_path: Path, content: str, sentence: str) -> None:
    (tmp_path / "table.csv").write_text(content)
    with pytest.raises(InputError, match=sentence):
        read_corrections(None, tmp_path / "table.csv")


@given(st.binary(max_size=300))
def test_no_bytes_end_in_anything_but_a_sentence(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(content)
    with pytest.raises(InputError):
        read_corrections(path, None)


def test_only_training_faces_are_corrected(mislabelled: Mislabelled) -> None:
    faces, division = mislabelled.faces, split(mislabelled.faces, OFFICIAL)
    for part in (division.test, division.validation):
        face = key(faces, int(part[0]))
        with pytest.raises(InputError, match=f"not in the official training part .*{face.sha256[:12]}; only"):
            corrected(faces, division, Corrections(frozenset({face})))
    every = frozenset(key(faces, int(place)) for place in division.train if faces.labels[place] == 3)
    with pytest.raises(InputError, match="leave no happy face to train on"):
        corrected(faces, division, Corrections(every))


def test_a_face_is_dropped_or_relabelled(tmp_path: Path) -> None:
    path = tmp_path / "both.csv"
    path.write_text(f"sha256,given,likely\n{D},sad,fear\n")
    with pytest.raises(InputError, match=r"both have the sad face 000000000000, 1 in all"):
        read_corrections(path, path)


def test_corrections_stand_in_manifest_and_report_and_do_not_part_tables(
    tiny_model: Path, tiny_manifest: Manifest, drawn: FaceSet
) -> None:
    said = CorrectionsRecord(dropped=3, relabelled=1200, fingerprint="c" * 64)
    plain = data_record(drawn.source, drawn.fingerprint, split(drawn, OFFICIAL))
    manifest = replace(tiny_manifest, data=replace(plain, corrections=said))
    assert parse_manifest(manifest.to_json(), "a.onnx") == manifest
    # Engines that know nothing of corrections read a file that has none.
    assert "corrections" not in tiny_manifest.to_json()
    engine = Engine.load(tiny_model, provider="cpu", threads=1)
    other: Any = Engine.load(tiny_model, provider="cpu", threads=1)
    object.__setattr__(other, "manifest", replace(engine.manifest, data=manifest.data))
    reports = [report_of(assign(each, drawn).evaluate(lambda count: None)) for each in (engine, other)]
    assert reports[0].table_key == reports[1].table_key
    assert [report.label for report in reports] == ["mlp_1", "mlp_1 corrected"]
    note = "Of its training faces some were corrected first (3 dropped and 1,200 relabelled, corrected"
    assert any(sentence.startswith(note) for sentence in reports[1].notes)
    assert not any("corrected" in sentence for sentence in reports[0].notes)
    known = report_of(assign(other, drawn, "train").evaluate(lambda count: None))
    dropped = "Faces that were dropped count here as faces that it was trained on."
    assert (dropped in known.notes, dropped in reports[1].notes) == (True, bool(reports[1].evaluated_on.copies))
