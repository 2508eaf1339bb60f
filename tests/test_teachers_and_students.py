"""`benchmarks.teachers_and_students` with the smallest network: who learns from whom, and what is not done twice."""

import subprocess
import sys
from pathlib import Path

from data.draw import write_csv
from data.faceset import FaceSet
from training.run import read_record


def run(module: str, *words: object) -> str:
    command = [sys.executable, "-m", module, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_students_go_on_learn_from_the_teachers_together_and_are_trained_once(
    tmp_path: Path, drawn: FaceSet, tiny_model: Path
) -> None:
    data, out = tmp_path / "fer2013.csv", tmp_path / "out"
    write_csv(drawn, data)
    options = ["--model", "mlp_1", "--recipe", "best", "--epochs", 1, "--data", data, "--device", "cpu", "--threads", 1]
    options += ["--augmentation", "corruptions", "--teachers", tiny_model, "--teaching", "views", "--ask-ahead", 1]
    begun = Path(run("training", *options, "--out", out / "vgg_64-taught").splitlines()[-1])
    assert read_record(begun).status == "stopped"

    students = ["vgg_64-taught", "vgg_32-taught", "cnn_4-taught"]
    command = ["--data", data, "--out", out, "--time-limit", 300, "--tiny", "--threads", 1, "--teachers", tiny_model]
    printed = run("benchmarks.teachers_and_students", *command).splitlines()
    assert [line.split(",")[0] for line in printed] == [f"{name}: finished" for name in students]
    assert read_record(begun).status == "finished"
    records = [read_record(folder) for name in students for folder in (out / name).glob("*/*/*")]
    assert [record.settings.teachers for record in records] == [records[0].settings.teachers] * 3
    # One had asked ahead about its views, the two others see the same ones.
    assert len(list(begun.glob("answers-*.npz"))) == 1
    assert len(list(out.glob("answers/teachers-*/answers-*.npz"))) == 1

    before = {path: path.stat().st_mtime_ns for path in out.glob("*/*/*/*/run.json")}
    assert run("benchmarks.teachers_and_students", *command).splitlines() == printed
    assert {path: path.stat().st_mtime_ns for path in out.glob("*/*/*/*/run.json")} == before
