"""Benchmarks: real runtimes in turns, what becomes of those that crash or answer otherwise, and the records' tables."""

import importlib.util
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.table_reading import READERS
from data.conversation import ConversationError
from data.documents import parse_document
from data.draw import draw, write_csv
from data.errors import InputError
from data.faceset import FaceSet
from data.files import sha256
from export.contract import seal, wrap
from ferox.command import command_parser
from inference.benchmark import artifacts, lineup, peaks, web
from inference.benchmark.contender import in_pieces
from inference.benchmark.document import BenchmarkRecord, Contender, Contest, Series, Task, read_record
from inference.benchmark.figures import ratio, spread, timed
from inference.benchmark.lineup import TURNS, Entry
from inference.benchmark.messages import Answer, Ready, Request, Turn
from inference.benchmark.profile import profiled
from inference.benchmark.quiet import processors_busy
from inference.benchmark.runner import Runner, recorded_reason
from inference.benchmark.tables import section, table
from inference.benchmark.turns import Plan, measure
from inference.engine import Engine
from inference.markers import markers
from inference.report.training_result import Checkpoint
from training.forward import WAYS, contenders, run_of
from training.run import read_record as read_run
from training.run import write_record
from training.specs import model_spec
from training.speed import multiply_adds
from training.weights import initial_weights, save_weights

ROOT = Path(__file__).parents[1]
SHIPPED = sorted((ROOT / "artifacts" / "models").glob("*.onnx"))
RECORDS = sorted((ROOT / "docs" / "results" / "benchmarks").glob("*.json"))
FACES = 21
QUICK = Plan(rounds=2, seconds=0.01, starts=2)
# A contender whose logits are the artifact's, but for one.
TAMPERING = """
import subprocess
import sys
import time
from pathlib import Path
from inference.benchmark.contender import Opened, serve_model
from inference.engine import Engine
def opened():
    engine = Engine.load(Path(sys.argv[1]), provider="cpu", threads=1)
    def answer(pixels):
        logits = engine.run(pixels)[0]
        logits[0, 3] += 50
        return logits
    return Opened("1", 1, answer)
serve_model(opened, Path(sys.argv[2]))
"""
TRIED = (("torch", "eager"), ("torch", "bf16"), ("tensorflow", "predict"), ("paddle", "onednn"))
CRASHING = "import os, sys; print('it breaks', file=sys.stderr); os.abort()"


def python(name: str, code: str, *words: object, turns: tuple[Request, ...] = TURNS) -> Runner:
    return Runner(name, (sys.executable, "-c", code, *map(str, words)), turns)


@pytest.fixture(scope="module", autouse=True)
def _small_matrices() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(peaks, "SIDE", 64)
        yield


@pytest.fixture
def without_web(monkeypatch: pytest.MonkeyPatch) -> None:
    """WebAssembly takes seconds to start, and has a test of its own."""
    monkeypatch.setattr(web, "package_folder", lambda: None)


@pytest.fixture(scope="module")
def pixels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pixels") / "pixels"
    np.ascontiguousarray(draw(FACES, seed=1).pixels).tofile(path)
    return path


def faces(pixels: Path) -> np.ndarray:
    return np.fromfile(pixels, np.uint8).reshape(-1, 48, 48)


def measured(model: Path, pixels: Path, others: Sequence[Runner] = (), plan: Plan = QUICK) -> Contest:
    field = artifacts.Field(faces(pixels), pixels, 1, lambda engine, entry: (list(others), []), [], [])
    return artifacts.contest(model, field, plan, lambda words: None)


def by_name(contest: Contest) -> dict[str, Contender]:
    return {contender.name: contender for contender in contest.contenders}


@pytest.fixture(scope="module")
def contest(tiny_model: Path, pixels: Path) -> Contest:
    others = [python("tampering", TAMPERING, tiny_model, pixels), python("crashing", CRASHING)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(web, "package_folder", lambda: None)
        return measured(tiny_model, pixels, others)


def test_runtimes_answer_alike_and_each_has_figures_of_its_own(contest: Contest) -> None:
    found = by_name(contest)
    expected = [
        "onnxruntime",
        "OpenCV dnn",
        *(["OpenVINO", "OpenVINO bf16"] if lineup._lacking("OpenVINO") == "" else []),
    ]
    assert set(expected) <= set(found)
    for name in expected:
        contender = found[name]
        assert [len(series.rounds) for series in contender.series] == [2, 2]
        assert contender.threads == 1
        assert contender.memory is not None
        assert contender.memory > 10_000_000
        assert len(contender.starts) in (1, 2)
        if name != "onnxruntime":
            assert contender.agreement is not None
            assert contender.agreement.faces == FACES
            assert contender.agreement.largest_difference < (0.5 if "bf16" in name else 1e-4)
    assert found["onnxruntime"].agreement is None
    assert "one face at a time" in found["OpenCV dnn"].remark
    assert {peak.precision for peak in contest.peaks} == {"fp32", "int8"}


def test_an_answer_that_was_tampered_with_stands_beside_the_speed(contest: Contest) -> None:
    seen = by_name(contest)["tampering"].agreement
    assert seen is not None
    assert seen.largest_difference == pytest.approx(50, abs=1e-3)
    assert seen.other_labels == 1
    assert "| tampering |" in table(contest)
    assert "5.0e+01 | 1 of 21" in table(contest)


def test_a_runtime_that_crashes_is_one_row_that_says_so(contest: Contest) -> None:
    failed = [absent for absent in contest.absent if absent.state == "failed"]
    assert [(absent.name, absent.reason) for absent in failed] == [("crashing", "its process was ended by SIGABRT")]
    assert "crashing" not in by_name(contest)


def test_what_is_not_installed_is_said_and_has_no_figure(
    tiny_model: Path, pixels: Path, without_web: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in ("openvino", "cv2") else found(name))
    runners, absent = lineup.at_hand(Entry(tiny_model, "fp32", None, pixels, 1))
    assert [runner.name for runner in runners] == ["onnxruntime"]
    assert {"OpenVINO", "OpenCV dnn", web.NODE, web.CHROMIUM} <= {lost.name for lost in absent}
    assert all(lost.state == "not installed" for lost in absent)
    assert "make web" in next(lost.reason for lost in absent if lost.name == web.NODE)


def test_a_fixed_batch_is_filled_up(
    tiny_model: Path, linear_network: Any, tiny_manifest: Any, pixels: Path, without_web: None
) -> None:
    model = tiny_model.with_name("fixed.onnx")
    model.write_bytes(seal(wrap(linear_network), replace(tiny_manifest, batch=3)))
    found = by_name(measured(model, pixels, plan=replace(QUICK, rounds=1, starts=1)))
    agreement = found["OpenCV dnn"].agreement
    assert agreement is not None
    assert agreement.largest_difference < 1e-4


@pytest.mark.parametrize("in_browser", [False, True], ids=["node", "chromium"])
def test_onnxruntime_web_takes_part(in_browser: bool, tiny_model: Path, pixels: Path) -> None:
    if lacking := web.missing(in_browser=in_browser):
        pytest.skip(f"onnxruntime-web cannot run: {lacking} is missing")
    entry, name = Entry(tiny_model, "fp32", None, pixels, 2), web.CHROMIUM if in_browser else web.NODE
    runners = [runner for runner in lineup.at_hand(entry)[0] if runner.name == name]
    (found,), failed = measure(runners, replace(QUICK, rounds=1, starts=1))
    assert failed == []
    assert found.ready.threads == 2
    assert found.memory is not None
    expected = Engine.load(tiny_model, provider="cpu", threads=1).run(faces(pixels))[0]
    assert found.answers == pytest.approx(expected, abs=1e-4)
    assert all(turns[0].milliseconds for turns in found.turns)


@pytest.fixture
def trained(begun_run: Path, checkpoint: Callable[[Path, int], str]) -> Path:
    """A run of mlp_1 with an epoch's weights, which no framework has made."""
    file = begun_run / "weights-0001.npz"
    save_weights(initial_weights(model_spec("mlp_1"), seed=4), model_spec("mlp_1"), file)
    best = Checkpoint(1, file.name, sha256(file), 0.5, 1.5)
    write_record(begun_run, replace(read_run(begun_run), checkpoints=(best,)))
    return begun_run


def test_frameworks_take_part_with_the_run_s_checkpoint(trained: Path, tiny_manifest: Any, pixels: Path) -> None:
    entry = Entry(Path("model.onnx"), "fp32", None, pixels, 1)
    runners, absent = contenders(trained, tiny_manifest, tuple(WAYS), entry)
    assert len(runners) + len(absent) == sum(map(len, WAYS.values()))
    # A compiler takes a minute, and of others the way with most steps stands for all.
    taken = [WAYS[framework][way] for framework, way in TRIED]
    runners = [runner for runner in runners if runner.name in taken]
    found, failed = measure(runners, Plan(rounds=1, seconds=0.01, starts=1))
    assert failed == []
    if not found:
        pytest.skip("no framework is installed (ferox[all])")
    first = found[0].answers
    assert first is not None
    for entrant in found:
        # bfloat16 has 8 bits.
        assert entrant.answers == pytest.approx(first, abs=0.1 if "bf16" in entrant.runner.name else 1e-4)


def test_without_a_run_the_frameworks_are_left_out_and_a_run_is_known_by_its_checkpoint(
    trained: Path, tiny_manifest: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = Entry(Path("model.onnx"), "fp32", None, tmp_path, 1)
    runners, absent = contenders(None, tiny_manifest, ("torch",), entry)
    assert runners == []
    assert all(lost.state in ("left out", "not installed") for lost in absent)
    best = read_run(trained).best
    assert best is not None
    own = replace(tiny_manifest, checkpoint_sha256=best.sha256)
    assert (run_of(own, [trained]), run_of(tiny_manifest, [trained])) == (trained, None)
    place = tmp_path / "home" / "runs" / "torch" / "mlp_1"
    place.mkdir(parents=True)
    trained.rename(place / "one")
    monkeypatch.setenv("FEROX_HOME", str(tmp_path / "home"))
    assert run_of(own, []) == place / "one"


# --- a conversation that goes wrong


def talk(code: str, patience: float = 20) -> str:
    conversation = python("one", code).started(patience)
    try:
        conversation.listen(Ready)
        conversation.ask(Request(do="answer"), Answer)
    except ConversationError as error:
        return recorded_reason(str(error))
    finally:
        conversation.end()
    return "nothing"


READY = """print('{"version": "1", "threads": 1, "remark": ""}', flush=True); """


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import sys; print('error: it has no licence', file=sys.stderr); sys.exit(2)", "it has no licence"),
        ("raise ValueError('a wrong\\x1b[2Jvalue')", "ValueError: a wrong?[2Jvalue"),
        ("import time; time.sleep(60)", "it gave no answer within 0.5 s"),
        ("print('hello', flush=True); input()", "it answers with what cannot be used"),
        (READY + 'input(); print(\'{"logits": [["a"]]}\', flush=True); input()', "it answers with what cannot be used"),
        (READY + "import os; os.kill(os.getpid(), 11)", "its process was ended by SIGSEGV"),
        ("raise SystemExit(3)", "its process ended with status 3"),
    ],
)
def test_a_contender_that_fails_says_why(code: str, said: str) -> None:
    assert said in talk(code, 0.5 if "sleep" in code else 20)


def test_a_program_that_is_not_there_fails() -> None:
    with pytest.raises(ConversationError, match="cannot be started"):
        Runner("one", ("/nowhere/program",), TURNS).started()


# --- figures


def made(name: str, *rounds: tuple[float, ...]) -> Contender:
    return Contender(
        name=name, version="1", threads=1, series=tuple(Series(rounds=figures, calls=9) for figures in rounds)
    )


def contest_of(
    *made_ones: Contender, tasks: tuple[Task, ...] = (Task("one", "ms"), Task("many", "faces/s"))
) -> Contest:
    return Contest(heading="a contest", tasks=tasks, reference=made_ones[0].name, contenders=made_ones)


POSITIVE = st.floats(1e-3, 1e6)


@given(st.lists(st.tuples(POSITIVE, POSITIVE), min_size=1, max_size=9))
def test_a_ratio_is_above_one_where_a_contender_is_faster_whatever_the_unit(pairs: list[tuple[float, float]]) -> None:
    own, other = (tuple(values) for values in zip(*pairs, strict=True))
    both = contest_of(made("reference", other, other), made("own", own, own))
    slower, faster = (ratio(both, both.contenders[1], task) for task in (0, 1))
    assert slower.low <= slower.median <= slower.high
    assert slower.high == pytest.approx(1 / faster.low)
    # By rounds, each with its own partner.
    assert faster.median == pytest.approx(median(one / two for one, two in pairs))
    assert ratio(both, both.contenders[0], 0) == spread((1.0,))


@given(st.lists(st.lists(POSITIVE, min_size=1, max_size=20), min_size=1, max_size=5))
def test_percentiles_are_of_all_calls_and_rounds_of_their_own(calls: list[list[float]]) -> None:
    series = timed([Turn(milliseconds=tuple(part), busy=None, memory=None) for part in calls])
    assert series.rounds == tuple(map(median, calls))
    assert series.calls == sum(map(len, calls))
    if series.p50 is not None and series.p95 is not None and series.p99 is not None:
        assert min(map(min, calls)) <= series.p50 <= series.p95 <= series.p99 <= max(map(max, calls))


@given(st.integers(1, 30), st.one_of(st.none(), st.integers(1, 12)))
def test_pieces_give_every_face_its_own_answer(count: int, piece: int | None) -> None:
    def answer(part: np.ndarray) -> np.ndarray:
        assert piece is None or len(part) == piece
        return np.repeat(part[:, :1, 0].astype(np.float32), 7, axis=1)

    own = np.arange(count, dtype=np.uint8)[:, None, None] * np.ones((1, 2, 2), np.uint8)
    assert (in_pieces(answer, piece)(own)[:, 0] == np.arange(count)).all()


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_multiply_adds_of_a_graph_are_those_of_its_description(path: Path) -> None:
    model = Engine.load(path, provider="cpu", threads=1).manifest.model
    work, profile = profiled(path.read_bytes(), np.zeros((2, 48, 48), np.uint8), 1)
    assert work == multiply_adds(model)
    assert sum(node.multiply_adds or 0 for node in profile.nodes) == work
    assert list(profile.nodes) == sorted(profile.nodes, key=lambda node: -node.share)
    assert {node.name for node in profile.nodes} >= {"conv_1", "dense_1"}


# --- records


@pytest.fixture(scope="module")
def record(contest: Contest) -> BenchmarkRecord:
    content = {"version": 1, "kind": "runtimes", "command": "ferox benchmark", "created": "2026-01-01T00:00:00+00:00"}
    machine = {"processor": "one", "processors": 2, "threads": 1, "system": "Linux", "python": "3.11"}
    machine |= {"busy_before": 0.1, "busy_after": None}
    bare = json.dumps(content | {"machine": machine, "seconds": 9.0, "turn_seconds": 0.1, "contests": []})
    return replace(parse_document(BenchmarkRecord, bare, "it", ""), contests=(contest,))


def test_a_record_is_read_as_it_was_written(record: BenchmarkRecord, tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    path.write_text(json.dumps(record.to_dict(), allow_nan=False))
    assert read_record(path) == record


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda one: one | {"version": 2}, "this ferox reads 1"),
        (lambda one: one | {"kind": "others"}, "kind is 'others'"),
        (lambda one: one | {"seconds": "long"}, "seconds is 'long'"),
        (lambda one: one | {"contests": [one["contests"][0] | {"reference": "nobody"}]}, "no contender called nobody"),
        (lambda one: one | {"contests": [one["contests"][0] | {"tasks": []}]}, "not one figure for each task"),
    ],
)
def test_a_record_of_another_kind_is_refused(
    change: Callable[[Any], Any], said: str, record: BenchmarkRecord, tmp_path: Path
) -> None:
    path = tmp_path / "record.json"
    path.write_text(json.dumps(change(json.loads(json.dumps(record.to_dict())))))
    with pytest.raises(InputError, match=said):
        read_record(path)


def ferox(*words: object) -> int:
    """The exit status of a command in this process."""
    args = command_parser().parse_args(["benchmark", *map(str, words)])
    status: int = args.main(args)
    return status


def test_tables_and_pictures_are_made_of_records(record: BenchmarkRecord, tmp_path: Path) -> None:
    begin, end = markers("benchmarks")
    document, kept = tmp_path / "benchmarks.md", tmp_path / "record.json"
    document.write_text(f"# Title\n{begin}\nold\n{end}\nend\n")
    kept.write_text(json.dumps(record.to_dict()))
    assert ferox(kept, "--into", document) == 0
    text = document.read_text()
    assert text.startswith(f"# Title\n{begin}\n## One artifact in every runtime")
    assert text.endswith(f"{end}\nend\n")
    assert "| **onnxruntime** | 1 | 1 |" in text
    assert "Failed: crashing (its process was ended by SIGABRT)." in text
    assert "not to be relied on" not in text
    (picture,) = (tmp_path / "benchmarks").glob("*.png")
    assert f"benchmarks/{picture.name}" in text
    with pytest.raises(InputError, match="two of the records"):
        ferox(kept, kept, "--into", document)
    document.write_text("no markers")
    with pytest.raises(InputError, match="does not hold"):
        ferox(kept, "--into", document)
    noisy = replace(record, machine=replace(record.machine, busy_after=0.5))
    assert "not to be relied on" in section(noisy, ["one.png"])


def test_the_command_keeps_a_record(
    tiny_model: Path,
    tmp_path: Path,
    without_web: None,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ferox.benchmark.running.torch_peaks", lambda precisions, threads: ([], []))
    options = ["--rounds", 1, "--seconds", 0.01, "--faces", 10, "--threads", 1, "--out", tmp_path, "--name", "kept"]
    assert ferox(tiny_model, *options) == 0
    said = capsys.readouterr()
    assert said.out.splitlines()[-1] == str(tmp_path / "kept.json")
    assert "times as fast" in said.out
    assert "Left out: PyTorch eager, PyTorch compiled, PyTorch bf16 (its run is not at hand" in said.err
    (contest,) = read_record(tmp_path / "kept.json").contests
    assert contest.subject is not None
    assert contest.subject.multiply_adds == 2304 * 7
    assert str(tmp_path) not in (tmp_path / "kept.json").read_text()


def test_training_steps_are_measured_and_what_is_refused_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed (ferox[torch])")
    options = ["--frameworks", "torch", "paddle", "--models", "mlp_4", "--precisions", "bf16"]
    assert ferox("training", *options, "--rounds", 1, "--seconds", 0.01, "--out", tmp_path, "--name", "steps") == 0
    (contest,) = read_record(tmp_path / "steps.json").contests
    assert [contender.name for contender in contest.contenders] in (["torch bf16"], [])
    (refused,) = [absent for absent in contest.absent if absent.name == "paddle bf16"]
    assert refused.state == "not installed" or "bf16" in refused.reason
    assert "faces/s, training steps" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["training", "vgg_32"], "training stands beside models"),
        (["training", "--run", "x"], "--run and --data are for models"),
        (["vgg_32", "--models", "mlp_1"], "are for ferox benchmark training"),
        (["vgg_32", "--rounds", "0"], "--rounds is 0"),
        (["vgg_32", "--seconds", "-1"], "--seconds is -1"),
        (["vgg_32", "--threads", "0"], "--threads is 0"),
        (["vgg_32", "--faces", "0"], "--faces is 0"),
        (["vgg_32", "--name", "a/b"], "--name is 'a/b'"),
        (["missing"], "missing"),
        (["vgg_32", "vgg_32"], "is named twice"),
    ],
)
def test_what_cannot_be_asked_for_is_refused_before_anything_is_measured(words: list[str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        ferox(*words)


@pytest.mark.skipif(not RECORDS, reason="no record of a benchmark is kept in docs/results/benchmarks")
def test_the_document_s_tables_are_those_of_its_records(tmp_path: Path) -> None:
    copy = tmp_path / "benchmarks.md"
    copy.write_text((ROOT / "docs" / "benchmarks.md").read_text())
    assert ferox(*RECORDS, "--into", copy) == 0
    assert copy.read_text() == (ROOT / "docs" / "benchmarks.md").read_text()


def test_others_work_is_seen() -> None:
    quiet = processors_busy(0.2)
    if quiet is None:
        pytest.skip("nobody counts what processors do here")
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as busy:
        time.sleep(0.1)
        seen = processors_busy(0.5)
        busy.kill()
    assert seen is not None
    assert seen > 0.3


def test_all_who_read_the_table_read_the_same_faces(
    drawn: FaceSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_csv(drawn, tmp_path / "fer2013.csv")
    monkeypatch.setenv("FEROX_CACHE", str(tmp_path / "cache"))
    read = {name: reader(tmp_path / "fer2013.csv") for name, reader in READERS.items()}
    assert len({int(pixels.sum()) for pixels in read.values()}) == 1
    assert {pixels.shape for pixels in read.values()} == {(len(drawn.pixels), 48, 48)}
