"""A photo of 1280 x 720 to its answer, beside other programs: `python -m benchmarks.rivals --environment DIR`.

`fer` and `deepface` each have an environment of their own below DIR, which `--make` makes with uv: their packages do
not go together with each other's, nor all with ours. They find faces in their own way. DeepFace's weights are fetched
at its first call; here it has the same network with random ones, which costs the same, and its answers mean nothing.
The photo is drawn and has one face; everybody reads it from its file.
"""

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

from benchmarks.contests import ROOT, add_options, begin, beside, finish, make_environment
from benchmarks.rival_side import JOB
from benchmarks.serving import draw_photo
from data.commands import run_command
from inference.benchmark.document import Absent, Task
from inference.benchmark.figures import rated, timed
from inference.benchmark.messages import Request
from inference.benchmark.runner import Runner
from inference.benchmark.turns import measure
from inference.photos.faces import YUNET_VARIABLE

# OpenCV 5 has no CascadeClassifier, which both find faces with; `fer` asks setuptools for pkg_resources, which 82 has
# not. pydantic and tqdm are for the conversation with this process alone.
ENVIRONMENTS = {
    "fer": ("fer==25.10.3", "opencv-contrib-python<5", "setuptools<81", "pydantic", "tqdm"),
    "deepface": ("deepface==0.0.103", "tf-keras", "werkzeug", "opencv-contrib-python-headless<5", "pydantic", "tqdm"),
}
FOLDER_JOB = "ferox predict --out, Haar"
# Who takes part, in which environment (None: this one), called by which word in `benchmarks.rival_side`.
RIVALS = {
    "ferox, Haar": (None, "ferox"),
    "ferox, YuNet": (None, "ferox"),
    FOLDER_JOB: (None, JOB),
    "fer": ("fer", "fer"),
    "fer, Keras": ("fer", "fer-keras"),
    "deepface, random weights": ("deepface", "deepface"),
}
TURNS = (Request(do="turn"),)


def main() -> int:
    """Make the environments, or measure; the record's path is printed last."""
    args = _parser().parse_args()
    if args.make:
        for name, packages in ENVIRONMENTS.items():
            make_environment(args.environment / name, packages)
        return 0
    plan, measuring = begin(args, "photo" if args.photos == 1 else "folder", starts=3 if args.photos == 1 else 1)
    with tempfile.TemporaryDirectory(prefix="ferox-rivals-") as folder:
        photos = Path(folder) / "photos"
        photos.mkdir()
        place = draw_photo(photos / "photo.jpg")
        if args.photos > 1:
            place = photos
            for number in range(1, args.photos):
                shutil.copy(photos / "photo.jpg", photos / f"photo-{number}.jpg")
        yunet = args.yunet or (Path(named) if (named := os.environ.get(YUNET_VARIABLE)) else None)
        runners, absent = _runners(args.environment, place, yunet, measuring.threads)
        measured, failed = measure(runners, plan)
    lost = (*absent, *failed)
    if args.photos == 1:
        contest = beside("a photo of 1280 x 720", Task("photo to answer", "ms"), measured, lost, timed)
    else:
        task, heading = Task("photos to answers", "photos/s"), f"{args.photos} photos of 1280 x 720"
        contest = beside(heading, task, measured, lost, lambda turns: rated(turns, args.photos))
    return finish(measuring, contest, args, "benchmarks.rivals")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rivals", description=__doc__, allow_abbrev=False)
    where = "the folder of their environments"
    parser.add_argument("--environment", type=Path, metavar="DIR", required=True, help=where)
    parser.add_argument("--make", action="store_true", help="make the environments, with uv and the network")
    parser.add_argument("--yunet", type=Path, help="YuNet's model file (default: that of FEROX_YUNET)")
    photos = "more than 1: so many files, one after the other in one process"
    parser.add_argument("--photos", type=int, default=1, help=photos)
    add_options(parser, seconds=2.0)
    return parser


def _runners(environment: Path, place: Path, yunet: Path | None, threads: int) -> tuple[list[Runner], list[Absent]]:
    runners, absent = [], []
    # Each library reads one of these before its threads start.
    limits = dict.fromkeys(("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"), str(threads))
    variables = {**limits, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(ROOT)}
    # Without a YuNet that is named or was fetched, faces are found by Haar.
    variables |= {YUNET_VARIABLE: "", "XDG_DATA_HOME": str(place.parent)}
    for name, (own, word) in RIVALS.items():
        python = Path(sys.executable) if own is None else environment / own / "bin" / "python"
        if name == FOLDER_JOB and not place.is_dir():
            continue
        finder = yunet if name.endswith("YuNet") else None
        if not python.exists():
            absent.append(Absent(name, "not installed", "its environment; make it with --make"))
        elif name.endswith("YuNet") and finder is None:
            absent.append(Absent(name, "not installed", "YuNet's model; name it with --yunet"))
        else:
            words = (word, str(place), str(finder or ""), str(threads))
            runners.append(Runner(name, (str(python), "-m", "benchmarks.rival_side", *words), TURNS, False, variables))
    return runners, absent


if __name__ == "__main__":
    run_command(main)
