"""Many pictures: shards, whatever ends the processes that make them."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from data.errors import InputError
from data.faceset import LABELS, FaceSet
from data.files import whole_file
from data.leftout import Tally
from data.locks import locked
from demo.examples import draw_examples
from inference.batch import FORMATS
from inference.batch.job import LOCK_FILE, PICTURES_A_TASK, BatchOptions, listed_files, run_job, shared_out
from inference.batch.plan import PLAN_FILE
from inference.batch.table import COLUMNS
from inference.batch.worker import WorkerSettings
from inference.engine import Engine
from inference.photos.faces import HaarFinder
from inference.photos.reading import predict_files

ROOT = Path(__file__).parents[1]
CROPS, SHARD = 90, 20
# Every process that starts with this module kills itself at a picture of that name.
DEADLY = """
import os, pathlib, inference.batch.worker as worker
real = worker.predict_files
def deadly(engine, files, *others, **named):
    if "deadly" in files[0].name:
        os.kill(os.getpid(), 9)
    return real(engine, files, *others, **named)
worker.predict_files = deadly
"""
# And this one takes its time, so that it can be killed at any moment.
SLOW = """
import time, inference.batch.worker as worker
real = worker.predict_files
def slow(*given, **named):
    time.sleep(0.05)
    return real(*given, **named)
worker.predict_files = slow
"""


@pytest.fixture(scope="module")
def album(drawn: FaceSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs, crops, a picture that is none, and a text."""
    folder = tmp_path_factory.mktemp("album")
    draw_examples(folder)
    for number, pixels in enumerate(drawn.pixels[:CROPS]):
        Image.fromarray(pixels).save(folder / f"crop-{number:03d}.png")
    (folder / "broken.jpg").write_bytes(b"no picture")
    (folder / "notes.doc").write_bytes(b"no picture either")
    return folder


def options(out: Path, model: Path, **others: Any) -> BatchOptions:
    settings = WorkerSettings(model, "cpu", 1, None, "auto")
    return replace(BatchOptions(out, "jsonl", SHARD, 2, settings), **others)


def records(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for shard in sorted(out.glob("part-*.jsonl")) for line in shard.read_text().splitlines()]


def shards(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.glob("part-*")}


def ferox(*words: object, **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "ferox", "predict", *map(str, words)],
        cwd=ROOT,
        env=os.environ | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def words(album: Path, out: Path, model: Path) -> Sequence[object]:
    return [album, "--out", out, "--model", model, "--format", "jsonl", "--shard", SHARD, "--jobs", 2]


@pytest.fixture(scope="module")
def whole(album: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shards of a job that nothing has interrupted."""
    out = tmp_path_factory.mktemp("whole")
    left_out = Tally()
    assert run_job(listed_files([album], left_out), options(out, tiny_model)) == 1
    assert sum(left.count for left in left_out.sorted()) == 1
    return out


def test_every_face_and_every_picture_without_one_has_a_row(whole: Path, album: Path, tiny_model: Path) -> None:
    files = sorted(path for path in album.iterdir() if path.suffix != ".doc")
    told = records(whole)
    assert [*dict.fromkeys(row["file"] for row in told)] == list(map(str, files))
    assert sorted(path.name for path in whole.glob("part-*")) == [f"part-{n:05d}.jsonl" for n in range(5)]
    engine = Engine.load(tiny_model, threads=1)
    for number, picture in enumerate(predict_files(engine, files, HaarFinder(), "auto", keep_errors=True)):
        mine = [row for row in told if row["picture"] == number]
        assert [row["face"] for row in mine] == list(range(len(picture.faces))) or [None]
        for row, face in zip(mine, picture.faces, strict=False):
            assert (row["x"], row["y"], row["width"], row["height"]) == (
                *(face.box.x, face.box.y),
                *(face.box.width, face.box.height),
            )
            assert row["label"] == face.label
            assert np.allclose([row[label] for label in LABELS], face.probabilities, atol=1e-6)
        if not picture.faces:
            (row,) = mine
            assert row["error"] == picture.error
            assert row["label"] is None
    assert sum(row["error"] is not None for row in told) == 1


def test_all_formats_say_the_same(whole: Path, album: Path, tiny_model: Path, tmp_path: Path) -> None:
    run_job(listed_files([album], Tally()), options(tmp_path / "csv", tiny_model, format="csv"))
    lines = [
        row
        for shard in sorted((tmp_path / "csv").glob("part-*.csv"))
        for row in csv.DictReader(shard.read_text().splitlines())
    ]
    told = records(whole)
    assert [{name: "" if value is None else str(value) for name, value in row.items()} for row in told] == lines
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow", reason="Parquet needs pyarrow (ferox[parquet])")
    run_job(listed_files([album], Tally()), options(tmp_path / "parquet", tiny_model, format="parquet"))
    frame = pandas.concat([pandas.read_parquet(path) for path in sorted((tmp_path / "parquet").glob("part-*.parquet"))])
    assert list(frame.columns) == list(COLUMNS)
    assert frame["picture"].tolist() == [row["picture"] for row in told]
    assert frame["label"].fillna("").tolist() == [row["label"] or "" for row in told]
    assert np.allclose(frame["happy"].astype(float), [row["happy"] or np.nan for row in told], equal_nan=True)


def test_a_job_that_is_killed_again_and_again_ends_as_one_that_is_not(
    whole: Path, album: Path, tiny_model: Path, tmp_path: Path
) -> None:
    out, site = tmp_path / "out", tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(SLOW)
    seen: dict[str, bytes] = {}
    for count in range(1, 5):
        process = ferox(*words(album, out, tiny_model), PYTHONPATH=f"{site}:{ROOT}")
        # Its shards come in no fixed order, one after another.
        while process.poll() is None and len(shards(out)) < count:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        now = shards(out)
        assert seen.items() <= now.items()
        seen = now
    assert 4 <= len(seen) <= 5
    last = ferox(*words(album, out, tiny_model))
    stdout, stderr = last.communicate()
    # The picture that cannot be read was in a finished shard, or is in the last.
    assert last.returncode in (0, 2), stderr
    assert stdout == f"{out}\n"
    assert "of 5 shards are there already" in stderr
    assert shards(out) == shards(whole)


@given(st.integers(0, 2000), st.integers(1, 40))
def test_every_picture_is_in_one_task_and_the_last_tasks_are_small(pictures: int, jobs: int) -> None:
    files = [Path(f"{number}.png") for number in range(pictures)]
    tasks = [task.pictures for task in shared_out(files, range(pictures), jobs)]
    assert [picture for task in tasks for picture in task] == list(enumerate(files))
    sizes = [len(task) for task in tasks]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[:1] <= [PICTURES_A_TASK]
    # Whoever takes the last but one of each worker's tasks does not let the others wait for more than its picture.
    assert all(size == 1 for size in sizes[-2 * jobs :])


def test_a_worker_that_is_killed_costs_nothing(whole: Path, album: Path, tiny_model: Path, tmp_path: Path) -> None:
    out, site = tmp_path / "out", tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(SLOW)
    process = ferox(*words(album, out, tiny_model), PYTHONPATH=f"{site}:{ROOT}")
    while process.poll() is None and not shards(out):
        time.sleep(0.01)
    # Both are at work by now; those that take their places are not, and are left alone.
    search = ["pgrep", "-P", str(process.pid), "-f", "spawn_main"]
    workers = subprocess.run(search, capture_output=True, text=True, check=True).stdout.split()
    for worker in workers:
        os.kill(int(worker), signal.SIGKILL)
        time.sleep(0.1)
    _, stderr = process.communicate()
    assert process.returncode == 2, stderr
    assert len(workers) == 2
    assert shards(out) == shards(whole)


def test_a_picture_that_kills_its_worker_costs_itself_alone(
    album: Path, tiny_model: Path, tmp_path: Path, whole: Path
) -> None:
    pictures, site = tmp_path / "album", tmp_path / "site"
    for folder in (pictures, site):
        folder.mkdir()
    for path in album.glob("crop-00*.png"):
        (pictures / path.name).write_bytes(path.read_bytes())
    for name in ("crop-0035-deadly.png", "crop-0055-deadly.png"):
        (pictures / name).write_bytes((album / "crop-000.png").read_bytes())
    (site / "sitecustomize.py").write_text(DEADLY)
    process = ferox(*words(pictures, tmp_path / "out", tiny_model), PYTHONPATH=f"{site}:{ROOT}")
    _, stderr = process.communicate()
    assert process.returncode == 2, stderr
    told = records(tmp_path / "out")
    assert len(told) == 12
    dead = [row for row in told if row["error"]]
    assert [Path(row["file"]).name for row in dead] == ["crop-0035-deadly.png", "crop-0055-deadly.png"]
    assert all("was ended by SIGKILL, twice" in row["error"] for row in dead)
    answers = {Path(row["file"]).name: row["happy"] for row in records(whole)}
    assert all(row["happy"] == answers[Path(row["file"]).name] for row in told if not row["error"])


def test_a_list_names_pictures_from_its_own_folder(album: Path, tiny_model: Path, tmp_path: Path) -> None:
    listing = tmp_path / "pictures.txt"
    listing.write_text(f"{album / 'crop-001.png'}\n\nmissing.png\n")
    assert run_job(listed_files([listing], Tally()), options(tmp_path / "out", tiny_model)) == 1
    first, second = records(tmp_path / "out")
    assert (first["file"], first["face"]) == (str(album / "crop-001.png"), 0)
    assert (second["file"], second["error"][:27]) == (str(tmp_path / "missing.png"), "missing.png does not exist:")


def test_a_second_process_spoils_nothing_of_the_first(album: Path, tiny_model: Path, tmp_path: Path) -> None:
    job = options(tmp_path / "out", tiny_model)
    job.out.mkdir()
    files = listed_files([album], Tally())
    with locked(job.out / LOCK_FILE, flags=os.O_RDWR | os.O_CREAT), whole_file(job.out / "part-00000.jsonl") as partial:
        partial.write(b"under way")
        with pytest.raises(InputError, match="another process writes to"):
            run_job(files, job)
    assert (job.out / "part-00000.jsonl").read_text() == "under way"


def test_another_job_is_refused_and_the_same_one_does_nothing_twice(
    whole: Path, album: Path, tiny_model: Path, tmp_path: Path
) -> None:
    before = {path: path.stat().st_mtime_ns for path in whole.iterdir()}
    assert run_job(listed_files([album], Tally()), options(whole, tiny_model)) == 0
    with pytest.raises(InputError, match="a job with other shard "):
        run_job(listed_files([album], Tally()), options(whole, tiny_model, shard=7))
    with pytest.raises(InputError, match="a job with other pictures, sources "):
        run_job(listed_files([album / "crop-001.png"], Tally()), options(whole, tiny_model))
    assert {path: path.stat().st_mtime_ns for path in whole.iterdir()} == before
    (tmp_path / PLAN_FILE).write_text('{"job": 2}')
    with pytest.raises(InputError, match="choose another --out"):
        run_job(listed_files([album], Tally()), options(tmp_path, tiny_model))


@pytest.mark.parametrize("wrong", [{"shard": 0}, {"jobs": 0}])
def test_numbers_below_1_are_refused(wrong: dict[str, int], album: Path, tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected 1 or more"):
        run_job(listed_files([album], Tally()), options(tmp_path, tiny_model, **wrong))


def test_without_pyarrow_it_says_what_to_do(
    album: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InputError, match=r"pyarrow, which is not installed; .*parquet.*--format csv"):
        run_job(listed_files([album], Tally()), options(tmp_path / "out", tiny_model, format="parquet"))
    assert not (tmp_path / "out").exists()


def test_the_columns_are_documented() -> None:
    text = (ROOT / "docs" / "reports.md").read_text()
    for name, kind in COLUMNS.items():
        if name not in LABELS:
            assert f"| `{name}` | {kind} |" in text
    assert FORMATS[0] == "parquet"
