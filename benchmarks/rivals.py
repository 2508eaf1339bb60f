"""A photo of 1280 x 720 to its answer, beside other programs: `python -m benchmarks.rivals --environment DIR`.

`fer` and `deepface` each have an environment of their own below DIR, which `--make` makes with uv: their packages do
not go together with each other's, nor all with ours. They find faces in their own way. DeepFace's weights are fetched
at its first call; here it has the same network with random ones, which costs the same, and its answers mean nothing.
The photo is drawn and has one face; everybody reads it from its file.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.serving import draw_photo
from data.commands import run_command
from data.errors import InputError
from data.places import artifacts
from data.terminal import hand_over, say
from inference.benchmark.conversation import Runner
from inference.benchmark.document import Absent, Contender, Contest, Task
from inference.benchmark.figures import timed
from inference.benchmark.keeping import Measuring, check_name, command_line
from inference.benchmark.messages import Request
from inference.benchmark.tables import absent_sentences, plain
from inference.benchmark.turns import Measured, Plan, measure
from inference.machine import available_cpus
from inference.photos.faces import YUNET_VARIABLE

ROOT = Path(__file__).parents[1]
# OpenCV 5 has no CascadeClassifier, which both find faces with; `fer` asks setuptools for pkg_resources, which 82 has
# not. pydantic and tqdm are for the conversation with this process alone.
ENVIRONMENTS = {
    "fer": ("fer==25.10.3", "opencv-contrib-python<5", "setuptools<81", "pydantic", "tqdm"),
    "deepface": ("deepface==0.0.103", "tf-keras", "werkzeug", "opencv-contrib-python-headless<5", "pydantic", "tqdm"),
}
# Who takes part, in which environment (None: this one), called by which word in `benchmarks.rival_side`.
RIVALS = {
    "ferox, Haar": (None, "ferox"),
    "ferox, YuNet": (None, "ferox"),
    "fer": ("fer", "fer"),
    "fer, Keras": ("fer", "fer-keras"),
    "deepface, random weights": ("deepface", "deepface"),
}
TURNS = (Request(do="turn"),)


def main() -> int:
    """Make the environments, or measure; the record's path is printed last."""
    args = _parser().parse_args()
    check_name(args.name)
    if args.make:
        for name, packages in ENVIRONMENTS.items():
            _make(args.environment / name, packages)
        return 0
    plan, threads = Plan(rounds=args.rounds, seconds=args.seconds), args.threads or available_cpus()
    measuring = Measuring("photo", threads, plan.seconds)
    with tempfile.TemporaryDirectory(prefix="ferox-rivals-") as folder:
        photo = draw_photo(Path(folder) / "photo.jpg")
        yunet = args.yunet or (Path(named) if (named := os.environ.get(YUNET_VARIABLE)) else None)
        runners, absent = _runners(args.environment, photo, yunet, threads)
        measured, failed = measure(runners, plan)
    if not measured:
        raise InputError("nobody answered; the lines above say why")
    contest = Contest(
        heading="a photo of 1280 x 720",
        tasks=(Task("photo to answer", "ms"),),
        reference=measured[0].runner.name,
        contenders=tuple(map(_contender, measured)),
        absent=(*absent, *failed),
    )
    print(f"{plain(contest)}\n")
    for sentence in absent_sentences(contest):
        say(sentence)
    hand_over(measuring.keep(command_line(("python", "-m", "benchmarks.rivals")), [contest], args.out, args.name))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rivals", description=__doc__, allow_abbrev=False)
    where = "the folder of their environments"
    parser.add_argument("--environment", type=Path, metavar="DIR", required=True, help=where)
    parser.add_argument("--make", action="store_true", help="make the environments, with uv and the network")
    parser.add_argument("--yunet", type=Path, help="YuNet's model file (default: that of FEROX_YUNET)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of one turn (default: %(default)s)")
    parser.add_argument("--threads", type=int, help="of each (default: all processors)")
    parser.add_argument("--out", type=Path, default=artifacts() / "benchmarks", metavar="DIR", help="for the record")
    parser.add_argument("--name", help="of the record")
    return parser


def _make(folder: Path, packages: tuple[str, ...]) -> None:
    uv = shutil.which("uv")
    if uv is None:
        raise InputError("uv is not installed; it makes the environments")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    subprocess.run([uv, "venv", "--python", version, str(folder)], check=True)
    subprocess.run([uv, "pip", "install", "--python", str(folder / "bin" / "python"), *packages], check=True)


def _runners(environment: Path, photo: Path, yunet: Path | None, threads: int) -> tuple[list[Runner], list[Absent]]:
    runners, absent = [], []
    # Each library reads one of these before its threads start.
    limits = dict.fromkeys(("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"), str(threads))
    variables = {**limits, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(ROOT)}
    # Without a YuNet that is named or was fetched, faces are found by Haar.
    variables |= {YUNET_VARIABLE: "", "XDG_DATA_HOME": str(photo.parent)}
    for name, (place, word) in RIVALS.items():
        python = Path(sys.executable) if place is None else environment / place / "bin" / "python"
        finder = yunet if name.endswith("YuNet") else None
        if not python.exists():
            absent.append(Absent(name, "not installed", "its environment; make it with --make"))
        elif name.endswith("YuNet") and finder is None:
            absent.append(Absent(name, "not installed", "YuNet's model; name it with --yunet"))
        else:
            words = (word, str(photo), str(finder or ""), str(threads))
            runners.append(Runner(name, (str(python), "-m", "benchmarks.rival_side", *words), TURNS, False, variables))
    return runners, absent


def _contender(entrant: Measured) -> Contender:
    (turns,) = entrant.turns
    series = timed([turn.milliseconds for turn in turns], [turn.busy for turn in turns if turn.busy is not None])
    return Contender(
        name=entrant.runner.name,
        version=entrant.ready.version,
        threads=entrant.ready.threads,
        series=(series,),
        starts=tuple(entrant.starts),
        memory=entrant.memory,
        remark=entrant.ready.remark,
    )


if __name__ == "__main__":
    run_command(main)
