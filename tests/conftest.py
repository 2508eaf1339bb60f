"""What many tests need: drawn faces, small artifacts and a comparison of them, each made once."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import onnx
import pytest
from gradio_client import Client
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from benchmarks.site_page import FLAGS
from data.draw import draw, write_csv
from data.faceset import LABELS, FaceSet
from data.files import sha256
from data.load import load
from data.splits import SplitPlan, split
from export import conversion
from export.contract import seal, wrap
from export.job import ExportJob
from export.worker import Worker
from inference.compare import Options, compare, write_finished
from inference.engine import Engine
from inference.manifest import CONTRACT, NO_DIGEST, DataRecord, Manifest, Parity, Selection, data_record
from inference.measure.evaluation import assign
from inference.measure.metrics import class_figures
from inference.report.background import report_writer
from inference.report.training_result import Checkpoint, Machine
from training.history import EpochRecord
from training.loop import start_record
from training.recipe import recipe
from training.run import read_record, write_record

# Hundreds of child processes import a framework each, which takes two to three times as long from source.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
# And share the processors: threads that spin while they wait for each other take them from those they wait for.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# A property is tested, not how long a machine takes for an example: others may use it, too.
hypothesis.settings.register_profile("untimed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("untimed")

ROOT = Path(__file__).parents[1]
ENVIRONMENTS = ROOT / ".venv"
BROWSER_FLAGS = list(FLAGS)
PATIENCE = 60_000  # Milliseconds: the machine that runs this may be busy.


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rewrite-golden", action="store_true", help="write tests/golden anew from what is found")


# What these do takes child processes that train or export, servers, or a browser.
SLOW = frozenset(
    [
        "test_batch",
        "test_benchmark",
        "test_command",
        "test_compare_browser",
        "test_conformance",
        "test_demo",
        "test_demo_browser",
        "test_demo_doors",
        "test_demo_train",
        "test_demo_video",
        "test_dockerfile",
        "test_finetune",
        "test_memory",
        "test_paddle",
        "test_portability",
        "test_publication",
        "test_reporting",
        "test_results",
        "test_rules",
        "test_server",
        "test_server_conduct",
        "test_server_docs",
        "test_sweep",
        "test_tensorflow",
        "test_training",
        "test_tutorial",
        "test_twins",
        "test_use_the_file",
        "test_web_browser",
        "test_wheel",
    ]
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark slow modules."""
    for item in items:
        if Path(item.path).stem in SLOW:
            item.add_marker(pytest.mark.slow)


def data_of(manifest: Manifest) -> DataRecord:
    """What a model was trained on, of one that was trained here."""
    assert manifest.data is not None
    return manifest.data


def selection_of(manifest: Manifest) -> Selection:
    """How its epoch was selected."""
    assert manifest.selection is not None
    return manifest.selection


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    patch = pytest.MonkeyPatch()
    patch.setenv("FEROX_CACHE", str(tmp_path_factory.mktemp("cache")))
    # A fetched face finder of whoever runs the tests is not theirs.
    patch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("data")))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Debian's Chromium, driven by Playwright; skips where one of them is missing."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="driving a browser needs playwright: install ferox[dev]"
    )
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no browser: install Debian's package chromium")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=chromium, args=BROWSER_FLAGS)
        yield opened
        opened.close()


@contextmanager
def page_address(words: Sequence[str], folder: Path, variables: Mapping[str, str]) -> Iterator[str]:
    """Open the page by a command, and end it as a service would."""
    process = subprocess.Popen(
        words,
        cwd=folder,
        env={**variables, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    try:
        log = ""
        for line in process.stdout:
            log += line
            if address := re.search(r"http://127\.0\.0\.1:\d+", line):
                yield address.group()
                break
        else:
            raise AssertionError(log)
    finally:
        process.terminate()
        process.communicate(timeout=60)
    assert process.returncode == 0


@contextmanager
def _opened_page(words: Sequence[str], folder: Path, variables: Mapping[str, str]) -> Iterator[Client]:
    with page_address(words, folder, variables) as address:
        yield Client(address, verbose=False)


@pytest.fixture
def visit(browser: Any, server: str) -> Iterator[Callable[..., Any]]:
    """Open the page of a module's `server`; afterwards no error may have been logged, and no request gone elsewhere."""
    errors: list[str] = []
    elsewhere: list[str] = []
    contexts = []

    def opened(locale: str = "en-US", width: int = 1280, **options: Any) -> Any:
        context = browser.new_context(
            locale=locale, viewport={"width": width, "height": 900}, permissions=["camera"], **options
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        # A frame that the page itself fills is at about:srcdoc.
        own = (server, "data:", "blob:", "about:")
        page.on("request", lambda request: None if request.url.startswith(own) else elsewhere.append(request.url))
        page.goto(server)
        page.wait_for_selector("#tabs")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert errors == []
    assert elsewhere == []


@pytest.fixture(scope="session")
def open_page() -> Callable[[Sequence[str], Path, Mapping[str, str]], AbstractContextManager[Client]]:
    """Opens the page by a command, in a folder and an environment; gives a client, and ends it as a service would."""
    return _opened_page


@pytest.fixture(scope="session")
def on_the_path(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which `ferox` is a command, that of this checkout."""
    script = tmp_path_factory.mktemp("bin") / "ferox"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m ferox "$@"\n')
    script.chmod(0o755)
    root = Path(__file__).parents[1]
    return os.environ | {"PATH": f"{script.parent}:{os.environ['PATH']}", "PYTHONPATH": str(root)}


@pytest.fixture(scope="session")
def onnxruntime_web() -> Path:
    """The folder beside whose `node_modules` onnxruntime-web is found; skips where it or Node.js is missing."""
    folder = Path(os.environ.get("FEROX_ORT_WEB", ROOT / "demo" / "web"))
    if shutil.which("node") is None:
        pytest.skip("Node.js is not installed")
    if not (folder / "node_modules").is_dir():
        pytest.skip(f"no onnxruntime-web in {folder}: make web")
    return folder


@pytest.fixture(scope="session", params=["oldest", "newest"])
def bare_python(request: pytest.FixtureRequest) -> Path:
    """The Python of an environment with nothing but an onnxruntime in it, which `.ci/run` makes; skips without.

    They have 1.17.0, the first that loads the contract's files, and the newest that there is.
    """
    name = request.param
    folder = Path(os.environ.get(f"FEROX_ORT_{name.upper()}", ENVIRONMENTS / f"ort-{name}"))
    python = folder / "bin" / "python"
    if (
        not python.exists()
        or subprocess.run([python, "-c", "import onnxruntime"], capture_output=True, check=False).returncode
    ):
        pytest.skip(f"no environment with the {name} onnxruntime at {folder}; .ci/run makes it, online")
    return python


@pytest.fixture(scope="session")
def drawn() -> FaceSet:
    """A few hundred drawn faces."""
    return draw(300, seed=3)


@pytest.fixture(scope="session")
def linear_network() -> onnx.ModelProto:
    """A network of one dense layer with seeded weights, as a converter would hand it over."""
    weights = np.random.default_rng(0).normal(0, 0.05, (2304, 7)).astype(np.float32)
    nodes = [
        helper.make_node("Flatten", ["x"], ["flat"], axis=1),
        helper.make_node("Gemm", ["flat", "weight", "bias"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 1, 48, 48])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 7])],
        [
            numpy_helper.from_array(weights, "weight"),
            numpy_helper.from_array(np.zeros(7, np.float32), "bias"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])


@pytest.fixture(scope="session")
def tiny_manifest(drawn: FaceSet) -> Manifest:
    """The manifest of `tiny_model`, not sealed yet."""
    return Manifest(
        contract=CONTRACT,
        digest=NO_DIGEST,
        model="mlp_1",
        parameters=16135,
        precision="fp32",
        framework="torch",
        versions={"torch": "2.15.0"},
        labels=LABELS,
        recipe={"optimizer": "adam", "epochs": 1},
        data=data_record(drawn.source, drawn.fingerprint, split(drawn, SplitPlan())),
        selection=Selection("validation", 1, 0.5, 1.5),
        checkpoint_sha256="1" * 64,
        parity=Parity(passed=True, faces=30, largest_difference=1e-6),
        created="2026-01-01T00:00:00+00:00",
    )


@pytest.fixture(scope="session")
def tiny_model(
    linear_network: onnx.ModelProto, tiny_manifest: Manifest, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A sealed artifact on disk."""
    path = tmp_path_factory.mktemp("models") / "mlp_1.torch.published-official.onnx"
    path.write_bytes(seal(wrap(linear_network), tiny_manifest))
    return path


@pytest.fixture(scope="session")
def overflowing(
    linear_network: onnx.ModelProto, tiny_manifest: Manifest, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """An artifact whose logits overflow where the first two pixels are white, and only there."""
    weights = np.zeros((2304, 7), np.float32)
    weights[:2, 0] = 3e38
    network = onnx.ModelProto()
    network.CopyFrom(linear_network)
    network.graph.initializer[0].CopyFrom(numpy_helper.from_array(weights, "weight"))
    path = tmp_path_factory.mktemp("overflowing") / "model.onnx"
    path.write_bytes(seal(wrap(network), tiny_manifest))
    return path


@pytest.fixture(scope="session")
def largest_weight() -> Callable[[Path], int]:
    """Finds an artifact's largest int8 weight. Above 64, two products with uint8 overflow the 16 bits that x86 without
    VNNI has for their sum, and the artifact answers otherwise there."""

    def largest(path: Path) -> int:
        arrays = [tensor for tensor in onnx.load(path).graph.initializer if tensor.name.endswith("weight_quantized")]
        return max(int(np.abs(numpy_helper.to_array(array).astype(int)).max()) for array in arrays)

    return largest


@pytest.fixture(scope="session")
def portraits() -> FaceSet:
    """Drawn faces, enough for a test part with every class in it."""
    return draw(700, seed=5)


def least_squares(faces: FaceSet, indices: NDArray[np.int64], noise: float, seed: int) -> NDArray[np.float32]:
    """Weights float32[2304, 7] that tell drawn faces apart, worse with more noise."""
    pixels = (faces.pixels[indices].reshape(len(indices), -1) / 127.5 - 1).astype(np.float64)
    targets = np.eye(7)[faces.labels[indices]] - 1 / 7
    dual = np.linalg.solve(pixels @ pixels.T + 60 * np.eye(len(pixels)), targets)
    weights = 12 * pixels.T @ dual
    drawn = np.random.default_rng(seed).normal(0, noise * weights.std(), weights.shape)
    return np.asarray(weights + drawn, np.float32)


@pytest.fixture(scope="session")
def artifacts(
    portraits: FaceSet,
    linear_network: onnx.ModelProto,
    tiny_manifest: Manifest,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Path]:
    """Sealed artifacts by stem: twins from three frameworks, two of them the same to the last bit, and others."""
    folder = tmp_path_factory.mktemp("artifacts")
    made = {}
    for model, framework, protocol, noise, seed in (
        ("cnn_1", "torch", "official", 2.0, 6),
        ("cnn_1", "tensorflow", "official", 2.0, 6),
        ("cnn_1", "paddle", "official", 2.0, 26),
        ("mlp_1", "torch", "official", 4.0, 46),
        ("mlp_1", "torch", "random", 2.0, 4),
        ("mlp_2", "torch", "random", 3.0, 5),
    ):
        plan = SplitPlan(protocol)
        division = split(portraits, plan)
        network = onnx.ModelProto()
        network.CopyFrom(linear_network)
        weights = least_squares(portraits, division.train, noise, seed)
        network.graph.initializer[0].CopyFrom(numpy_helper.from_array(weights, "weight"))
        stem = f"{model}.{framework}.published-{protocol}"
        manifest = replace(
            tiny_manifest,
            model=model,
            framework=framework,
            recipe={"recipe": "published"},
            data=data_record(portraits.source, portraits.fingerprint, division),
            selection=Selection(plan.selects_on, 3, 0.3 + seed / 1000, 1.5),
        )
        made[stem] = folder / f"{stem}.onnx"
        made[stem].write_bytes(seal(wrap(network), manifest))
    return made


@pytest.fixture(scope="session")
def compared(portraits: FaceSet, artifacts: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a comparison of all artifacts, with everything that there is to ask for."""
    out = tmp_path_factory.mktemp("reports")
    tasks = [assign(Engine.load(path, provider="cpu", threads=1), portraits) for path in artifacts.values()]
    tasks.append(replace(tasks[3], augmentation="flip"))
    options = Options(ensembles=((), (tasks[0].name, tasks[3].name)), latency_seconds=0.05)
    folder = write_finished(compare(tasks, options, time.perf_counter(), out, report_writer), out)
    return folder


@pytest.fixture
def begun_run(drawn: FaceSet, tmp_path: Path) -> Path:
    """The folder of a run of mlp_1 that has trained no epoch yet, beside its `fer2013.csv`."""
    write_csv(drawn, tmp_path / "fer2013.csv")
    faces = load(tmp_path / "fer2013.csv")
    settings = recipe("published", "torch", "mlp_1")
    folder = tmp_path / "run"
    folder.mkdir()
    record = start_record(
        settings,
        parameters=16135,
        versions={"torch": "2"},
        data=data_record("fer2013.csv", faces.fingerprint, split(faces, settings.split)),
        data_path=str(tmp_path / "fer2013.csv"),
        skip_bad_rows=False,
        machine=Machine("a processor", 1),
        commit=None,
    )
    write_record(folder, record)
    return folder


@pytest.fixture(scope="session")
def checkpoint() -> Callable[[Path, int], str]:
    """Commits an epoch's checkpoint in the place of the one before, as training does, and returns its digest."""

    def commit(run: Path, epoch: int) -> str:
        file = run / f"weights-{epoch:04d}.npz"
        file.write_bytes(f"weights of epoch {epoch}".encode())
        newest = Checkpoint(epoch, file.name, sha256(file), 0.5, 1.5)
        write_record(run, replace(read_record(run), checkpoints=(newest,)))
        return newest.sha256

    return commit


@pytest.fixture
def linear_run(
    begun_run: Path,
    checkpoint: Callable[[Path, int], str],
    linear_network: onnx.ModelProto,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """A run whose framework answers and converts at once, as the linear network does."""
    checkpoint(begun_run, 1)

    def converted(job: ExportJob, work: Path, worker: Worker) -> None:
        weight, bias = (numpy_helper.to_array(array) for array in linear_network.graph.initializer)
        pixels = np.load(work / "pixels.npy").reshape(-1, 2304).astype(np.float32) / 127.5 - 1
        np.save(work / "reference.npy", pixels @ weight + bias)
        onnx.save(linear_network, work / "network.onnx")

    monkeypatch.setattr(conversion, "run_framework", converted)
    return begun_run


@pytest.fixture(scope="session")
def epoch() -> EpochRecord:
    """The figures of a run's first epoch."""
    return EpochRecord(
        epoch=1,
        learning_rate=0.1,
        train_loss=1.5,
        train_accuracy=0.4,
        validation_part="validation",
        validation_loss=1.4,
        validation_accuracy=0.5,
        classes=class_figures([[1] * 7] * 7),
        seconds=2.5,
        images_per_second=900.0,
    )
