"""A run's checkpoint in a framework, as a contender of a benchmark.

The weights are plain arrays, so that the checkpoint of any run can be asked in any of the three frameworks; each way of
asking has a process of its own.
"""

import importlib
import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from data.commands import install_command
from data.errors import InputError
from data.places import runs_folder
from data.scratch import scratch_folder
from inference.benchmark.contender import Opened, serve_model
from inference.benchmark.document import Absent
from inference.benchmark.lineup import TURNS, Entry
from inference.benchmark.runner import Runner
from inference.manifest import Manifest
from training.run import RECORD_FILE, check_file, read_record
from training.specs import model_spec
from training.weights import load_weights

# By framework, the ways in which it runs a network, and what each is called.
WAYS = {
    "torch": {"eager": "PyTorch eager", "compiled": "PyTorch compiled", "bf16": "PyTorch bf16"},
    "tensorflow": {"function": "TensorFlow tf.function", "predict": "Keras predict"},
    "paddle": {
        "eager": "PaddlePaddle eager",
        "predictor": "PaddlePaddle predictor",
        "onednn": "PaddlePaddle predictor with oneDNN",
    },
}


def main() -> None:
    """Serve what the command line says: framework, way, run, the faces' file and the threads."""
    framework, way, run, pixels, threads = sys.argv[1:]
    with scratch_folder("ferox-forward-") as folder:
        # PyTorch compiles anew, as for a user's first time, and what it keeps is gone afterwards.
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(folder)
        serve_model(lambda: open_checkpoint(framework, way, Path(run), int(threads)), Path(pixels))


def open_checkpoint(framework: str, way: str, run: Path, threads: int) -> Opened:
    """Open a run's best checkpoint in a framework, in evaluation mode, on the processor."""
    record = read_record(run)
    if record.best is None:
        raise InputError(f"{run} has no checkpoint yet; go on with: ferox train --resume {run}")
    spec = model_spec(record.settings.model)
    weights = load_weights(check_file(run, record.best.file, record.best.sha256), spec)
    module = importlib.import_module(f"training.{framework}.forward")
    opened: Opened = module.opened(way, spec, weights, threads)
    return opened


def contenders(
    run: Path | None, manifest: Manifest, frameworks: Sequence[str], entry: Entry
) -> tuple[list[Runner], list[Absent]]:
    """Return the ways in which frameworks run a model's checkpoint, and those that cannot be had here.

    Args:
        run: its run folder; None where none is at hand.
        manifest: the model's.
        frameworks: which of the three; none for the one that trained it.
        entry: what all contenders of the model are given.
    """
    runners, absent = [], []
    for framework in frameworks or (manifest.framework,):
        for way, name in WAYS[framework].items():
            if importlib.util.find_spec(framework) is None:
                absent.append(Absent(name, "not installed", f"the package {framework}; {install_command(framework)}"))
            elif run is None:
                reason = (
                    "its run is not at hand, and the framework's own figures need the checkpoint; name it with --run"
                )
                absent.append(Absent(name, "left out", reason))
            else:
                given = (framework, way, str(run), str(entry.pixels), str(entry.threads))
                command = (sys.executable, "-m", "training.forward", *given)
                runners.append(Runner(name, command, TURNS, variables=_variables(entry.threads)))
    return runners, absent


def run_of(manifest: Manifest, given: Sequence[Path]) -> Path | None:
    """Return the run folder whose best checkpoint an artifact was made of: one that is given, or else one that lies
    where trainings go; None where there is none."""
    found = runs_folder() / manifest.framework / manifest.model
    for folder in (*given, *(path.parent for path in sorted(found.glob(f"*/{RECORD_FILE}")))):
        try:
            best = read_record(folder).best
        except InputError:
            if folder in given:
                raise
            continue  # A run that cannot be read is nobody's here.
        if best is not None and best.sha256 == manifest.checkpoint_sha256:
            return folder
    return None


def _variables(threads: int) -> dict[str, str]:
    """Return what the process of a framework is told before it starts: libraries read their threads only then, and a
    graphics card is nothing to be beside runtimes on the processor."""
    return {"OMP_NUM_THREADS": str(threads), "CUDA_VISIBLE_DEVICES": ""}


if __name__ == "__main__":
    main()
