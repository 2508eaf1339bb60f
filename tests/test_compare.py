"""A whole comparison of real artifacts: every figure is recomputed from what each model said to each face."""

import csv
import json
import time
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binomtest
from sklearn.metrics import accuracy_score, cohen_kappa_score, confusion_matrix, f1_score, log_loss, roc_auc_score

from data.documents import read_document
from data.draw import write_csv
from data.errors import InputError
from data.faceset import LABELS, FaceSet, face_set
from data.splits import SplitPlan, split
from ferox.command import main
from inference.compare import Options, compare, write_finished
from inference.comparison.contenders import contender, contender_groups, decisive_settings, twins
from inference.comparison.document import Comparison
from inference.comparison.ensembles import with_ensembles
from inference.comparison.progress import Meter
from inference.comparison.ranking import ranking
from inference.comparison.summary import summary_table
from inference.engine import Engine
from inference.manifest import Fidelity, Parity
from inference.measure.evaluation import assign
from inference.measure.metrics import Mean
from inference.measure.robustness import CONDITIONS
from inference.report.document import read_report
from inference.testtime import Augmented

Content = dict[str, Any]
HAND = ("cnn_1.torch.published-official", "mlp_1.torch.published-official")


@pytest.fixture(scope="session")
def content(compared: Path) -> Content:
    """The comparison's report.json."""
    found: Content = json.loads((compared / "report.json").read_text())
    return found


def said(compared: Path, row: Content) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Truth int[N] and probabilities float32[N, 7] of a row's predictions.csv."""
    with (compared / row["predictions"]).open(newline="") as file:
        lines = list(csv.DictReader(file))
    labels = np.array([LABELS.index(line["label"]) for line in lines])
    return labels, np.array([[line[label] for label in LABELS] for line in lines], np.float32)


def rows(content: Content) -> list[Content]:
    return [row for table in content["tables"] for row in table["rows"]]


def calibration_error(labels: NDArray[np.int64], probabilities: NDArray[np.float32]) -> float:
    confidence, right = probabilities.max(axis=1).astype(float), probabilities.argmax(axis=1) == labels
    bins = np.ceil(confidence * 15).clip(1, 15)
    gaps = [abs((confidence - right)[bins == number].sum()) for number in range(1, 16)]
    return float(sum(gaps) / len(labels))


def test_every_figure_of_the_table_can_be_recomputed_from_the_predictions(compared: Path, content: Content) -> None:
    assert len(rows(content)) == 9
    for row in rows(content):
        labels, probabilities = said(compared, row)
        shares = probabilities.astype(float) / probabilities.astype(float).sum(axis=1, keepdims=True)
        guesses, figures = probabilities.argmax(axis=1), row["figures"]
        right = int((guesses == labels).sum())
        interval = binomtest(right, len(labels)).proportion_ci(0.95, method="wilson")
        defined = [label for label in range(7) if (guesses == label).any() and (labels == label).any()]
        assert figures["accuracy"] == pytest.approx(accuracy_score(labels, guesses))
        assert figures["interval"] == pytest.approx([interval.low, interval.high])
        assert figures["macro"]["f1"]["classes"] == len(defined)
        assert figures["macro"]["f1"]["value"] == pytest.approx(
            f1_score(labels, guesses, labels=defined, average="macro")
        )
        assert figures["macro_roc"]["auc"] == pytest.approx(roc_auc_score(labels, shares, multi_class="ovr"))
        assert figures["log_loss"] == pytest.approx(log_loss(labels, shares))
        assert figures["calibration_error"] == pytest.approx(calibration_error(labels, probabilities))
        assert figures["confusion"] == confusion_matrix(labels, guesses, labels=range(7)).tolist()
        for step in row["coverage"]:
            answered = probabilities.max(axis=1) >= step["threshold"]
            assert step["coverage"] == pytest.approx(answered.mean())
            assert step["accuracy"] == (pytest.approx((guesses == labels)[answered].mean()) if answered.any() else None)


def test_every_pair_can_be_recomputed_from_the_predictions(compared: Path, content: Content) -> None:
    for table in content["tables"]:
        answers = {row["name"]: said(compared, row) for row in table["rows"]}
        count = len(table["rows"])
        assert len(table["pairs"]) == count * (count - 1) // 2
        for pair in table["pairs"]:
            (labels, first), (_, second) = answers[pair["first"]], answers[pair["second"]]
            one, other = first.argmax(axis=1), second.argmax(axis=1)
            only_one = int(((one == labels) & (other != labels)).sum())
            only_other = int(((other == labels) & (one != labels)).sum())
            assert (pair["only_first"], pair["only_second"]) == (only_one, only_other)
            p_value = binomtest(only_one, only_one + only_other).pvalue if only_one + only_other else 1
            assert pair["exact"] == pytest.approx(p_value)
            assert pair["kappa"] == pytest.approx(cohen_kappa_score(one, other))
            assert pair["agreement"] == pytest.approx((one == other).mean())
            assert pair["difference"] == pytest.approx((one == labels).mean() - (other == labels).mean())


class Table(HTMLParser):
    """The cells of the page's sortable tables: the number behind each, or its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.inside = False
        self.rows: list[list[str]] = []
        self.addresses: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "action")]
        if tag == "table":
            self.inside = "sortable" in (found.get("class") or "")
        if self.inside and tag == "tr":
            self.rows.append([])
        if self.inside and tag in ("td", "th"):
            self.rows[-1].append(found.get("data-value") or "")


def test_page_shows_the_figures_of_the_report(compared: Path, content: Content) -> None:
    page = Table((compared / "compare.html").read_text())
    shown = [row for row in page.rows if row and row[0]]
    assert len(shown) == len(rows(content))
    for cells, row in zip(shown, rows(content), strict=True):
        figures = row["figures"]
        expected = [
            100 * figures["accuracy"],
            figures["macro"]["f1"]["value"],
            figures["macro_roc"]["auc"],
            figures["log_loss"],
            figures["calibration_error"],
            row["parameters"],
            row["bytes"] / 1e6,
            row["latency"]["p50"],
            row["latency"]["p99"],
            row["throughput"]["images_per_second"],
        ]
        assert cells[0] == row["label"]
        assert [float(cell) for cell in cells[2:12]] == pytest.approx(expected)


def test_page_needs_nothing_else(compared: Path) -> None:
    text = (compared / "compare.html").read_text()
    addresses = Table(text).addresses
    assert all(address.startswith(("data:image/png;base64,", "#")) for address in addresses)
    assert "http" not in text.replace("http-equiv", "")
    assert "$" not in text


def test_protocols_have_a_table_each_the_official_one_first(content: Content) -> None:
    assert [table["protocol"] for table in content["tables"]] == ["official", "random"]
    assert {row["protocol"] for row in content["tables"][0]["rows"]} == {"official"}
    assert {row["protocol"] for row in content["tables"][1]["rows"]} == {"random"}


def schema_of(name: str) -> jsonschema.Draft202012Validator:
    folder = Path(__file__).parents[1] / "docs" / "schemas"
    return jsonschema.Draft202012Validator(json.loads((folder / f"{name}.json").read_text()))


def test_reports_follow_their_schemas(compared: Path, content: Content) -> None:
    single, whole = (schema_of(name) for name in ("report", "comparison"))
    whole.validate(content)
    reports = [path for path in compared.parent.glob("*/report.json") if path.parent != compared]
    assert len(reports) == 7
    for path in reports:
        single.validate(json.loads(path.read_text()))
    broken = json.loads(json.dumps(content))
    broken["tables"][0]["rows"][0]["figures"]["accuracy"] = 61.0
    assert not whole.is_valid(broken)


def test_ensemble_named_by_hand_is_the_mean_of_its_members(compared: Path, content: Content) -> None:
    row = next(row for row in rows(content) if row["name"] == "ensemble-1")
    assert row["members"] == list(HAND)
    labels, together = said(compared, row)
    members = [said(compared, {"predictions": f"../{name}/predictions.csv"})[1] for name in HAND]
    np.testing.assert_allclose(together, np.mean(members, axis=0), atol=1e-7)
    assert row["selection"]["how"] == "named by hand"
    assert row["figures"]["faces"] == len(labels)


def test_ensemble_is_picked_on_the_validation_part(
    portraits: FaceSet, artifacts: dict[str, Path], content: Content
) -> None:
    row = next(row for row in rows(content) if row["name"] == "ensemble-picked-1")
    validation = split(portraits, SplitPlan()).validation
    answers = []
    for member in row["members"]:
        engine = Engine.load(artifacts[member.removesuffix("+flip")], provider="cpu", threads=1)
        answers.append(Augmented(engine, "flip" if "+" in member else "none").predict(portraits.pixels[validation]))
    accuracy = (np.mean(answers, axis=0).argmax(axis=1) == portraits.labels[validation]).mean()
    assert row["selection"] == {
        "how": "picked greedily",
        "part": "validation",
        "epoch": None,
        "accuracy": pytest.approx(accuracy),
        "loss": None,
    }
    assert f"in this order: {' + '.join(row['members'])}" in content["tables"][0]["notes"][0]


def picked(faces: FaceSet, engines: list[Engine]) -> list[str]:
    tasks = [assign(engine, faces) for engine in engines]
    contenders = [contender(task.evaluate(), 0.0) for task in tasks]
    (table,) = with_ensembles(contender_groups(contenders), [()], Meter(1))
    (together,) = (one for one in table.contenders if one.is_ensemble)
    return [member.assignment.name for member in together.members]


def test_the_test_part_has_no_say_in_what_is_picked(portraits: FaceSet, artifacts: dict[str, Path]) -> None:
    official = [path for stem, path in artifacts.items() if stem.endswith("official")]
    engines = [Engine.load(path, provider="cpu", threads=1) for path in official]
    others = portraits.records.copy()
    test = split(portraits, SplitPlan()).test
    others["label"][test] = np.random.default_rng(0).permutation(others["label"][test])
    assert picked(FaceSet(others, "other.csv"), engines) == picked(portraits, engines)


def test_nothing_is_picked_where_the_protocol_has_only_its_test_part(content: Content) -> None:
    table = content["tables"][1]
    assert {row["kind"] for row in table["rows"]} == {"model"}
    assert table["pick"] is None
    assert "no validation part" in table["notes"][0]


def test_the_pick_is_the_best_on_the_validation_part(content: Content) -> None:
    table = content["tables"][0]
    plain = [row for row in table["rows"] if row["augmentation"] == "none" and row["selection"]["accuracy"] is not None]
    best = max(plain, key=lambda row: float(row["selection"]["accuracy"]))
    assert (table["pick"]["name"], table["pick"]["validation_accuracy"]) == (
        best["name"],
        best["selection"]["accuracy"],
    )
    open_pairs = [
        pair for pair in table["pairs"] if not pair["differs"] and best["name"] in (pair["first"], pair["second"])
    ]
    assert len(table["pick"]["not_told_apart"]) == len(open_pairs)


def test_a_lower_precision_is_picked_by_what_its_export_measured(
    portraits: FaceSet, artifacts: dict[str, Path], tmp_path: Path
) -> None:
    cost = Fidelity(part="validation", faces=70, accuracy_fp32=0.2, accuracy=0.999, agreement=0.9)
    first, second = (
        Engine.load(artifacts[f"{model}.torch.published-official"], provider="cpu", threads=1)
        for model in ("cnn_1", "mlp_1")
    )
    parity = Parity(passed=True, parts={"validation": cost})
    second = replace(second, manifest=replace(second.manifest, precision="int8", parity=parity))
    options = Options(robustness=False, latency=False)
    tasks = [assign(engine, portraits) for engine in (first, second)]
    folder = write_finished(compare(tasks, options, time.perf_counter(), tmp_path), tmp_path)
    (table,) = json.loads((folder / "report.json").read_text())["tables"]
    assert (table["pick"]["name"], table["pick"]["validation_accuracy"]) == (second.path.stem, 0.999)


def test_twins_are_those_of_one_model_and_their_disagreements_are_listed(compared: Path, content: Content) -> None:
    (group,) = content["tables"][0]["twins"]
    assert set(group["frameworks"]) == {"torch", "tensorflow", "paddle"}
    identical = {frozenset((pair["first"], pair["second"])): pair["identical"] for pair in group["pairs"]}
    torch, tensorflow, paddle = (f"cnn_1.{name}.published-official" for name in ("torch", "tensorflow", "paddle"))
    assert identical == {
        frozenset((torch, tensorflow)): True,
        frozenset((torch, paddle)): False,
        frozenset((tensorflow, paddle)): False,
    }
    with (compared / group["file"]).open(newline="") as file:
        listed = list(csv.DictReader(file))
    assert len(listed) == group["disagreements"] > 0
    assert all(len({line[name] for name in group["members"]}) > 1 for line in listed)
    assert content["tables"][1]["twins"] == []


SETTINGS = {
    "framework": "torch",
    "recipe": "published",
    "optimizer": "adam",
    "schedule": "constant",
    "epochs": 14,
    "seed": 0,
}


@pytest.mark.parametrize(
    "change",
    [
        {"framework": "paddle", "device": "cuda", "threads": 2, "keep": "all"},
        {"epochs": 9, "patience": 5},
        {"mixup": 0.0, "ema_decay": 0.0, "teachers": (), "weights": "none"},
    ],
)
def test_where_and_how_long_it_was_trained_does_not_make_another_training(change: Content) -> None:
    assert decisive_settings(SETTINGS | change) == decisive_settings(SETTINGS)


@pytest.mark.parametrize(
    "change",
    [
        {"recipe": "best"},
        {"optimizer": "sgd"},
        {"seed": 1},
        {"weights": "cnn_1.torch.published-official 0123456789ab"},
        {"mixup": 0.2},
        {"precision": "bf16"},
    ],
)
def test_other_settings_make_another_training(change: Content) -> None:
    assert decisive_settings(SETTINGS | change) != decisive_settings(SETTINGS)


def test_epochs_count_where_the_learning_rate_follows_from_them() -> None:
    first, second = (SETTINGS | {"schedule": "cosine", "epochs": epochs} for epochs in (100, 150))
    assert decisive_settings(first) != decisive_settings(second)
    assert decisive_settings(first | {"patience": 5}) == decisive_settings(first)


def test_the_shipped_models_of_three_frameworks_are_twins() -> None:
    models = Path(__file__).parents[1] / "artifacts" / "models"
    manifests = [Engine.load(path, provider="cpu", threads=1).manifest for path in sorted(models.glob("cnn_1.*.onnx"))]
    assert {manifest.framework for manifest in manifests} == {"torch", "tensorflow", "paddle"}
    assert len({decisive_settings(manifest.recipe) for manifest in manifests}) == 1


def test_models_of_other_seeds_are_no_twins(portraits: FaceSet, artifacts: dict[str, Path]) -> None:
    rows = []
    for framework, seed in (("torch", 1), ("tensorflow", 1), ("paddle", 2)):
        engine = Engine.load(artifacts[f"cnn_1.{framework}.published-official"], provider="cpu", threads=1)
        manifest = replace(engine.manifest, recipe=engine.manifest.recipe | {"seed": seed})
        task = assign(replace(engine, manifest=manifest), portraits)
        rows.append(contender(task.evaluate(), 0.0))
    (table,) = contender_groups(rows)
    (group,) = twins(table)
    assert {table.contenders[place].members[0].manifest.framework for place in group} == {"torch", "tensorflow"}


def test_identical_twins_are_run_on_spoiled_faces_once(content: Content) -> None:
    same = {row["name"]: row["robustness"]["same_as"] for row in rows(content)}
    first, second = (f"cnn_1.{framework}.published-official" for framework in ("torch", "tensorflow"))
    assert {name: twin for name, twin in same.items() if twin} == {second: first}
    assert all(len(row["robustness"]["accuracies"]) == len(CONDITIONS) for row in rows(content))


def test_latency_says_how_it_was_measured(content: Content) -> None:
    for row in rows(content):
        single, batch = row["latency"], row["throughput"]
        assert (single["batch"], single["warm_up"]) == (1, 10)
        assert single["runs"] >= 100
        assert single["seconds"] >= 0.05
        assert 0 < single["p50"] <= single["p95"] <= single["p99"]
        assert batch["batch"] == 64
    assert content["machine"]["threads"] == 1


def test_the_printed_speed_is_the_one_measured_in_turns(
    artifacts: dict[str, Path], portraits: FaceSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_csv(portraits, tmp_path / "fer2013.csv")
    words = ["compare", artifacts[HAND[0]], "--data", tmp_path / "fer2013.csv", "--out", tmp_path / "reports"]
    words += ["--no-robustness", "--latency-seconds", 0.05, "--threads", 1]
    assert main(list(map(str, words))) == 0
    printed = capsys.readouterr()
    (row,) = rows(json.loads((Path(printed.out.strip()) / "report.json").read_text()))
    (line,) = (line for line in printed.err.splitlines() if line.startswith("cnn_1 "))
    assert line.split()[-1] == f"{row['throughput']['images_per_second']:,.0f}"
    assert read_report(tmp_path / "reports" / HAND[0]).engine.images_per_second != pytest.approx(
        row["throughput"]["images_per_second"], rel=1e-9
    )


def test_test_time_augmentation_is_marked_everywhere(compared: Path, content: Content) -> None:
    row = next(row for row in rows(content) if row["augmentation"] == "flip")
    assert row["name"] == "mlp_1.torch.published-official+flip"
    assert row["label"] == "mlp_1 + flip"
    report = read_report(compared.parent / row["name"])
    assert report.evaluated_on.augmentation == "flip"
    assert "mlp_1 + flip" in summary_table([report])
    assert "flip test-time augmentation" in (compared.parent / row["name"] / "report.html").read_text()


def test_seconds_of_the_engines_are_part_of_those_of_the_evaluation(content: Content) -> None:
    assert 0 < content["seconds"]["engines"] < content["seconds"]["evaluation"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("cnn_1.torch.published-official", "cnn_9"), "names 'cnn_9', expected some of the models given"),
        (("cnn_1.torch.published-official",), "expected two or more models"),
        (("cnn_1.torch.published-official", "mlp_1.torch.published-random"), "mixes models of different protocols"),
    ],
)
def test_ensembles_that_cannot_be_are_refused(
    portraits: FaceSet, artifacts: dict[str, Path], tmp_path: Path, names: tuple[str, ...], message: str
) -> None:
    chosen = [artifacts[name] for name in ("cnn_1.torch.published-official", "mlp_1.torch.published-random")]
    tasks = [assign(Engine.load(path, provider="cpu", threads=1), portraits) for path in chosen]
    with pytest.raises(InputError, match=message):
        compare(tasks, Options(ensembles=(names,)), time.perf_counter())
    assert list(tmp_path.iterdir()) == []


def test_no_macro_f1_is_the_best_for_leaving_out_a_class(compared: Path) -> None:
    table = read_document(Comparison, compared / "report.json", "compare again").tables[0]
    place = [column.name for column in ranking(table).columns].index("macro F1")
    (first, *others), classes = table.rows, table.rows[0].figures.macro.f1.classes
    partial = replace(first.figures.macro, f1=Mean(1.0, classes - 1))
    rows = (replace(first, figures=replace(first.figures, macro=partial)), *others)
    cells = [row[place] for row in ranking(replace(table, rows=rows)).rows]
    assert (cells[0].value, cells[0].is_best, cells[0].below) == (1.0, False, f"of {classes - 1} classes")
    assert any(cell.is_best for cell in cells[1:])


def test_nothing_is_picked_on_faces_that_a_model_may_have_been_trained_on(
    portraits: FaceSet, artifacts: dict[str, Path]
) -> None:
    assert portraits.usages is not None
    other = face_set(portraits.pixels, portraits.labels, portraits.usages[::-1].copy(), source="other.csv")
    engines = [Engine.load(artifacts[name], provider="cpu", threads=1) for name in HAND]
    tasks = [assign(engine, other, allow_seen=True) for engine in engines]
    plain = Options(robustness=False, latency=False, ensembles=((),))
    (table,) = compare(tasks, plain, time.perf_counter()).groups
    assert not any(one.is_ensemble for one in table.contenders)
    assert "may have been trained on the validation part" in table.notes[0]


def test_an_ensemble_is_named_by_files_whose_reports_have_longer_names(
    portraits: FaceSet, artifacts: dict[str, Path], tmp_path: Path
) -> None:
    tasks = [
        assign(Engine.load(artifacts[name], provider="cpu", threads=1), portraits, "validation", allow_seen=True)
        for name in HAND
    ]
    plain = Options(robustness=False, latency=False, ensembles=(tuple(f"models/{name}.onnx" for name in HAND),))
    (table,) = compare(tasks, plain, time.perf_counter()).groups
    (found,) = (one for one in table.contenders if one.is_ensemble)
    assert sorted(one.assignment.name for one in found.members) == [f"{name}-validation" for name in sorted(HAND)]


def test_one_model_without_measurements_still_makes_a_page(
    portraits: FaceSet, artifacts: dict[str, Path], tmp_path: Path
) -> None:
    tasks = [assign(Engine.load(artifacts[HAND[0]], provider="cpu", threads=1), portraits)]
    options = Options(robustness=False, latency=False)
    folder = write_finished(compare(tasks, options, time.perf_counter(), tmp_path), tmp_path)
    (row,) = json.loads((folder / "report.json").read_text())["tables"][0]["rows"]
    assert (row["latency"], row["robustness"]) == (None, None)
    assert "There is nothing to compare it with" in (folder / "compare.html").read_text()
