"""Reports: whole folders, strict JSON, figures that can be recomputed, and pages that stand alone."""

import csv
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from data.errors import InputError
from data.faceset import LABELS, USAGES, FaceSet, face_set
from data.splits import SplitPlan, split
from inference.comparison.summary import summary_table
from inference.engine import Engine
from inference.manifest import CONTRACT, Fidelity, Manifest, Parity, Selection, data_record
from inference.measure.evaluation import Assignment, Evaluation, Speed
from inference.measure.exposure import exposure, refuse_seen
from inference.measure.metrics import summarise
from inference.report.page import parity_verdict
from inference.report.plots import draw_confusion, draw_curves, draw_reliability, draw_roc
from inference.report.writer import report_of, worst_of, write_report
from inference.text import percent
from training.history import EpochRecord

OFFICIAL, RANDOM = SplitPlan(), SplitPlan("random")


def noise(count: int = 300, *, seed: int = 0, usages: bool = True, copies: int = 0) -> FaceSet:
    """Faces of noise, a third of them in each official part; the last `copies` repeat the first ones."""
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 256, (count, 48, 48), dtype=np.uint8)
    labels = (np.arange(count) % 7).astype(np.uint8)
    if copies:
        pixels[-copies:], labels[-copies:] = pixels[:copies], labels[:copies]
    official = np.sort(np.arange(count) % 3).astype(np.uint8)
    return face_set(pixels, labels, official if usages else None, source="noise.csv")


def manifest_for(faces: FaceSet, plan: SplitPlan = OFFICIAL, **changes: Any) -> Manifest:
    division = split(faces, plan)
    manifest = Manifest(
        contract=CONTRACT,
        digest="0" * 64,
        model="cnn_1",
        parameters=1234,
        precision="fp32",
        framework="torch",
        versions={"torch": "2.15.0"},
        labels=LABELS,
        recipe={"recipe": "published", "epochs": 25, "threads": None},
        data=data_record(faces.source, faces.fingerprint, division),
        selection=Selection(plan.selects_on, 7, 0.5, 1.25),
        checkpoint_sha256="1" * 64,
        parity=Parity(passed=True),
        created="2026-01-02T03:04:05+00:00",
    )
    return replace(manifest, **changes)


def evaluation(
    tmp_path: Path,
    faces: FaceSet | None = None,
    plan: SplitPlan = OFFICIAL,
    part: str = "test",
    manifest: Manifest | None = None,
    name: str = "cnn_1.torch.published-official",
) -> Evaluation:
    faces = faces or noise()
    manifest = manifest or manifest_for(faces)
    division = split(faces, plan)
    indices = division.part(part)
    random = np.random.default_rng(5)
    weights = np.exp(random.normal(size=(len(indices), 7)) + 2 * np.eye(7)[faces.labels[indices]])
    probabilities = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    file = tmp_path / f"{name}.onnx"
    file.write_bytes(b"x" * 1000)
    engine = Engine(file, manifest, session=None, threads=2)
    return Evaluation(
        Assignment(engine, faces, division, part, exposure(manifest, faces, indices)),
        probabilities,
        summarise(faces.labels[indices], probabilities),
        Speed("1.32.0", ("CPUExecutionProvider",), 2, 0.5, len(indices) / 0.5),
        engine_seconds=0.5,
    )


class Page(HTMLParser):
    """What a browser would fetch from a page, and whether its elements are closed in order."""

    VOID = ("meta", "img", "br", "link")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str | None] = []
        self.tags: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href", "srcset")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_folder_holds_the_whole_report(tmp_path: Path) -> None:
    folder = write_report(evaluation(tmp_path), tmp_path / "out")
    assert folder == tmp_path / "out" / "cnn_1.torch.published-official"
    names = {"report.json", "predictions.csv", "report.html", "confusion.png", "roc.png", "reliability.png"}
    assert {path.name for path in folder.iterdir()} == names
    for path in folder.glob("*.png"):
        with Image.open(path) as picture:
            picture.load()
            assert min(picture.size) > 600


def test_report_json_follows_its_description(tmp_path: Path) -> None:
    done = evaluation(tmp_path)
    folder = write_report(done, tmp_path)

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    content = json.loads((folder / "report.json").read_text(), parse_constant=refuse)
    assert content["report"] == 1
    assert content["model"] == {"file": done.assignment.engine.path.name, "bytes": 1000}
    # An open batch and no features, which the artifact itself does not state.
    unstated = {"batch": None, "features": False}
    assert content["manifest"] == json.loads(done.assignment.engine.manifest.to_json()) | unstated
    on = content["evaluated_on"]
    assert (on["protocol"], on["part"], on["count"], on["same_faces"]) == ("official", "test", 100, True)
    assert (on["trained_on"], on["selected_on"], on["copies"]) == (0, 0, 0)
    assert on["fingerprint"] == done.assignment.split.fingerprint
    assert content["figures"]["accuracy"] == done.summary.accuracy
    assert content["engine"]["providers"] == ["CPUExecutionProvider"]
    assert content["notes"] == []


def test_figures_can_be_recomputed_from_the_predictions(tmp_path: Path) -> None:
    done = evaluation(tmp_path)
    folder = write_report(done, tmp_path)
    with (folder / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    labels = [LABELS.index(row["label"]) for row in rows]
    probabilities = np.array([[row[label] for label in LABELS] for row in rows], np.float32)
    np.testing.assert_array_equal(probabilities, done.probabilities)
    assert summarise(labels, probabilities) == done.summary
    assert [int(row["index"]) for row in rows] == done.assignment.indices.tolist()
    assert {row["usage"] for row in rows} == {USAGES[2]}
    assert all((row["label"] == row["prediction"]) == (row["correct"] == "1") for row in rows)
    assert [int(row["row"]) for row in rows] == done.assignment.faces.records["row"][done.assignment.indices].tolist()


def test_predictions_of_faces_without_usage_leave_it_empty(tmp_path: Path) -> None:
    faces = noise(usages=False)
    done = evaluation(tmp_path, faces, RANDOM, manifest=manifest_for(faces, RANDOM))
    folder = write_report(done, tmp_path)
    with (folder / "predictions.csv").open(newline="") as file:
        assert {row["usage"] for row in csv.DictReader(file)} == {""}


def test_page_is_well_formed_and_needs_nothing_else(tmp_path: Path) -> None:
    text = (write_report(evaluation(tmp_path), tmp_path) / "report.html").read_text()
    page = Page(text)
    assert page.open == []
    assert "script" not in page.tags
    assert page.addresses
    assert all((address or "").startswith("data:image/png;base64,") for address in page.addresses)
    assert not re.search(r"https?://|url\(|@import", text)
    assert "$" not in text


def test_page_escapes_what_others_wrote(tmp_path: Path) -> None:
    evil = "<script>alert('1')</script>&"
    faces = replace(noise(), source=evil)
    manifest = manifest_for(faces, model=evil, versions={evil: evil}, recipe={"recipe": evil, evil: evil})
    text = (write_report(evaluation(tmp_path, faces, manifest=manifest), tmp_path) / "report.html").read_text()
    assert "script" not in Page(text).tags
    assert "<script" not in text
    assert "&lt;script&gt;" in text


def test_older_report_is_replaced_and_remains_of_a_killed_one_go(tmp_path: Path) -> None:
    folder = write_report(evaluation(tmp_path), tmp_path)
    (folder / "report.json").write_text("old")
    (folder / ".partial-1.png").write_bytes(b"half")
    assert write_report(evaluation(tmp_path), tmp_path) == folder
    assert json.loads((folder / "report.json").read_text())["report"] == 1
    assert not list(folder.glob(".partial-*"))


def test_report_that_could_not_be_finished_has_no_report_json(tmp_path: Path) -> None:
    folder = write_report(evaluation(tmp_path), tmp_path)
    (folder / "report.html").unlink()
    (folder / "report.html").mkdir()
    with pytest.raises(OSError, match=r"report\.html"):
        write_report(evaluation(tmp_path), tmp_path)
    assert not (folder / "report.json").exists()


@pytest.mark.parametrize(
    ("plan", "part", "suffix"),
    [(OFFICIAL, "test", ""), (OFFICIAL, "validation", "-validation"), (RANDOM, "train", "-random-train")],
)
def test_folder_is_named_after_what_was_evaluated(tmp_path: Path, plan: SplitPlan, part: str, suffix: str) -> None:
    assert evaluation(tmp_path, plan=plan, part=part).assignment.name == "cnn_1.torch.published-official" + suffix


def test_undefined_figures_are_null_and_said_so(tmp_path: Path) -> None:
    done = evaluation(tmp_path)
    shares = done.probabilities.copy()
    shares[:, 1] = 0
    shares /= shares.sum(axis=1, keepdims=True)
    labels = done.assignment.faces.labels[done.assignment.indices]
    done = replace(done, probabilities=shares, summary=summarise(labels, shares))
    report = report_of(done)
    content = report.to_dict()
    assert content["figures"]["classes"][1]["precision"] is None
    assert list(content["notes"]) == ["It never answered disgust: that precision and F1 are undefined, not 0."]
    assert "undefined" in (write_report(done, tmp_path) / "report.html").read_text()
    assert "(6 of 7)" in summary_table([report])


def test_other_data_is_said_to_be_other_data(tmp_path: Path) -> None:
    content = report_of(evaluation(tmp_path, noise(seed=1), manifest=manifest_for(noise()))).to_dict()
    on = content["evaluated_on"]
    assert (on["same_faces"], on["trained_on"], on["selected_on"], on["copies"]) == (False, None, None, None)
    assert "not the data it was trained on" in content["notes"][0]


def test_part_that_the_best_epoch_was_picked_on_is_said_to_flatter(tmp_path: Path) -> None:
    faces = noise()
    content = report_of(evaluation(tmp_path, faces, RANDOM, manifest=manifest_for(faces, RANDOM))).to_dict()
    assert content["evaluated_on"]["selected_on"] == 60
    assert "picked on 60 of these faces" in content["notes"][0]


def test_copies_of_training_faces_are_counted_and_left_out_of_a_second_accuracy(tmp_path: Path) -> None:
    done = evaluation(tmp_path, noise(copies=9))
    assert done.assignment.seen.copies is not None
    assert (done.assignment.seen.trained_on, done.assignment.seen.copies.sum()) == (0, 9)
    content = report_of(done).to_dict()
    rest = done.correct[~done.assignment.seen.copies].mean()
    assert content["evaluated_on"]["accuracy_without_copies"] == rest
    assert percent(rest, 2) in content["notes"][0]


def test_the_proof_is_worded_without_what_is_empty_and_without_digits_that_say_nothing() -> None:
    parity = Parity(passed=True, faces=7178, smallest_tolerance=6.350499028564164e-07)
    assert parity_verdict(parity) == "passed, faces 7178, smallest tolerance 6.35e-07"
    assert parity_verdict(Parity(passed=False, reason="logits differ")) == "not proven, reason logits differ"


def test_report_says_what_a_lower_precision_cost(tmp_path: Path) -> None:
    faces = noise()
    cost = Fidelity(part="test", faces=100, accuracy_fp32=0.62, accuracy=0.618, agreement=0.987)
    manifest = manifest_for(faces, precision="int8", parity=Parity(passed=True, parts={"test": cost}))
    content = report_of(evaluation(tmp_path, faces, manifest=manifest)).to_dict()
    sentence = "int8 changed its answer on 1.30 % of 100 faces of the test part: accuracy 61.80 %, against 62.00 %"
    assert sentence in " ".join(content["notes"])


def test_training_faces_are_counted_and_refused() -> None:
    faces = noise()
    manifest = manifest_for(faces)
    indices = split(faces, RANDOM).test
    seen = exposure(manifest, faces, indices)
    trained = int((faces.usages[indices] == 0).sum())
    assert seen.trained_on == trained > 0
    with pytest.raises(InputError, match=rf"trained on {trained} of the 60 faces .*--allow-seen"):
        refuse_seen("cnn_1.onnx", manifest, seen, "random test part", len(indices))


def test_unseen_faces_and_other_data_are_not_refused() -> None:
    faces = noise()
    manifest = manifest_for(faces)
    for others in (faces, noise(seed=1)):
        indices = split(others, OFFICIAL).test
        refuse_seen("cnn_1.onnx", manifest, exposure(manifest, others, indices), "official test part", 100)


def test_same_faces_without_the_usage_that_divided_them_are_refused() -> None:
    manifest, bare = manifest_for(noise()), noise(usages=False)
    seen = exposure(manifest, bare, split(bare, RANDOM).test)
    assert (seen.same_faces, seen.trained_on) == (True, None)
    with pytest.raises(InputError, match=r"do not divide .* --allow-seen"):
        refuse_seen("cnn_1.onnx", manifest, seen, "random test part", 60)


def test_same_faces_with_a_usage_that_leaves_a_part_empty_are_refused_too() -> None:
    faces = noise()
    merged = face_set(faces.pixels, faces.labels, np.zeros(len(faces), np.uint8), source="merged")
    seen = exposure(manifest_for(faces), merged, np.arange(len(merged)))
    assert (seen.same_faces, seen.trained_on) == (True, None)


def test_mistakes_are_the_surest_first_with_their_faces(tmp_path: Path) -> None:
    done = evaluation(tmp_path)
    mistakes = worst_of(done.answers, 5)
    confidences = [mistake.confidence for mistake in mistakes]
    assert confidences == sorted(confidences, reverse=True)
    assert confidences[0] == done.probabilities.max(axis=1)[~done.correct].max()
    assert all(mistake.truth != mistake.answer for mistake in mistakes)
    assert all(mistake.face.shape == (48, 48) and mistake.face.dtype == np.uint8 for mistake in mistakes)


def test_report_without_a_mistake_says_so(tmp_path: Path) -> None:
    done = evaluation(tmp_path)
    labels = done.assignment.faces.labels[done.assignment.indices]
    shares = np.eye(7, dtype=np.float32)[labels]
    done = replace(done, probabilities=shares, summary=summarise(labels, shares))
    assert "every face was answered right" in (write_report(done, tmp_path) / "report.html").read_text()


def test_table_puts_the_best_first_and_keeps_protocols_apart(tmp_path: Path) -> None:
    faces = noise()
    good = report_of(evaluation(tmp_path, faces, name="good"))
    manifest = replace(good.manifest, model="mlp_1", precision="int8")
    bad = replace(good, figures=replace(good.figures, accuracy=0.1), manifest=manifest)
    other = report_of(evaluation(tmp_path, faces, RANDOM, manifest=manifest_for(faces, RANDOM)))
    tables = summary_table([bad, other, good]).split("\n\n")
    assert len(tables) == 2
    assert tables[0].startswith("official test part, 100 faces of noise.csv")
    assert tables[0].index("cnn_1") < tables[0].index("mlp_1 int8")
    assert tables[1].startswith("random test part, 60 faces of noise.csv")
    for word in ("accuracy", "95 % interval", "macro F1", "macro AUC", "log loss", "ECE", "MB", "images/s"):
        assert word in tables[0]
    assert percent(good.figures.accuracy, 2) in tables[0]


def test_table_keeps_models_of_different_training_data_apart(tmp_path: Path) -> None:
    faces = noise()
    own = report_of(evaluation(tmp_path, faces))
    foreign = report_of(evaluation(tmp_path, faces, manifest=manifest_for(noise(seed=1))))
    first, second = summary_table([own, foreign]).split("\n\n")
    assert "models of the" not in first
    assert "models of the official protocol on noise.csv" in second


def test_figures_are_drawn_even_where_everything_is_undefined(tmp_path: Path) -> None:
    summary = summarise([3], np.eye(7)[[3]])
    draw_confusion(summary.confusion, tmp_path / "a.png", "one face")
    draw_roc(summary, tmp_path / "b.png", "one face")
    draw_reliability(summary, tmp_path / "c.png", "one face")
    assert len(list(tmp_path.glob("*.png"))) == 3


@pytest.mark.parametrize("epochs", [0, 1, 5])
def test_curves_are_drawn_for_any_number_of_epochs(tmp_path: Path, epoch: EpochRecord, epochs: int) -> None:
    history = [replace(epoch, epoch=number, train_loss=1 / number) for number in range(1, epochs + 1)]
    draw_curves(history, tmp_path / "curves.png")
    with Image.open(tmp_path / "curves.png") as picture:
        assert picture.format == "PNG"
