"""Training steps as contenders of a benchmark: frameworks and precisions side by side, a process each.

Settings are the `published` recipe's, the data random pixels, which nothing distorts. What a framework refuses, as
PaddlePaddle does bf16 on a processor, has no figure but its reason.
"""

import importlib
import importlib.util
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import cycle

import numpy as np

from data.commands import install_command
from data.errors import InputError
from data.faceset import LABELS, SIDE
from inference.benchmark.contender import WARM_UP, serve
from inference.benchmark.document import Absent, Contender, Contest, Precision, Task
from inference.benchmark.figures import rated
from inference.benchmark.memory import peak_memory
from inference.benchmark.messages import Answer, Ready, Request, Turn
from inference.benchmark.peaks import multiplications, peak_of, peak_runner
from inference.benchmark.runner import Runner
from inference.benchmark.turns import Measured, Plan, measure
from training.epoch import batches
from training.loop import Learner
from training.recipe import Settings, recipe
from training.specs import model_spec
from training.teachers import label_shares
from training.views import EpochData
from training.weights import initial_weights, named_layers, output_shape, shapes

FACES = 8192
FORWARD_AND_BACKWARD = 3  # A step multiplies as often forward as for the inputs' and for the weights' gradients.


@dataclass(frozen=True)
class TrainingSpeed:
    """What is measured: models in frameworks and precisions, with `threads`, or each framework's own where None."""

    frameworks: Sequence[str]
    models: Sequence[str]
    precisions: Sequence[Precision]
    threads: int | None = None


def main() -> None:
    """Serve what the command line says: framework, precision, model, and threads, 0 for the framework's own."""
    framework, precision, model, threads = sys.argv[1:]
    serve(lambda: _begin(framework, precision, model, int(threads) or None))


def contests(wanted: TrainingSpeed, plan: Plan, tell: Callable[[str], None]) -> list[Contest]:
    """Return a contest for each model."""
    return [_contest(model, wanted, plan, tell) for model in wanted.models]


def torch_peaks(precisions: Sequence[Precision], threads: int) -> tuple[list[Runner], list[Absent]]:
    """Return PyTorch's multiplications of matrices."""
    if importlib.util.find_spec("torch") is None:
        return [], [Absent("PyTorch matrices", "not installed", f"the package torch; {install_command('torch')}")]
    module = "training.torch.multiply"
    return [peak_runner("PyTorch", kind, (module, kind, str(threads))) for kind in precisions], []


def multiply_adds(model: str) -> int:
    """Return the multiply-adds of one face, forward, by the model's description."""
    spec = model_spec(model)
    wanted = shapes(spec)
    work = 0
    for named in named_layers(spec):
        weights = [shape for name, shape in wanted.items() if name.startswith(f"{named.name}.") and len(shape) > 1]
        # A residual block's convolutions, too, all have as many places as leave it.
        places = output_shape(named.layer, named.inputs)[1:]
        work += sum(int(np.prod(shape)) * int(np.prod(places)) for shape in weights)
    return work


def _contest(model: str, wanted: TrainingSpeed, plan: Plan, tell: Callable[[str], None]) -> Contest:
    runners, absent = _contenders(model, wanted)
    threads = _settings("torch", model, "fp32", wanted.threads).thread_count
    peaks, without = torch_peaks(wanted.precisions, threads)
    others, lacking = multiplications(threads, wanted.precisions)
    peaks, without = [*peaks, *others], [*without, *lacking]
    measured, failed = measure([*runners, *peaks], plan, tell)
    names = {peak.name for peak in peaks}
    finished = [entrant for entrant in measured if entrant.runner.name not in names]
    if not finished:
        reasons = "; ".join(f"{lost.name}: {lost.reason}" for lost in (*absent, *failed))
        raise InputError(f"no training of {model} was measured ({reasons}); choose other --frameworks or --precisions")
    batch = recipe("published", "torch", model).batch_size
    return Contest(
        heading=f"{model}, batches of {batch}",
        tasks=(Task("training steps", "faces/s"),),
        reference=finished[0].runner.name,
        contenders=tuple(_contender(entrant, batch) for entrant in finished),
        absent=(*absent, *without, *failed),
        peaks=tuple(peak_of(entrant) for entrant in measured if entrant.runner.name in names),
        operations=2 * FORWARD_AND_BACKWARD * multiply_adds(model),
    )


def _contenders(model: str, wanted: TrainingSpeed) -> tuple[list[Runner], list[Absent]]:
    runners, absent = [], []
    for framework in wanted.frameworks:
        for precision in wanted.precisions:
            name = f"{framework} {precision}"
            if importlib.util.find_spec(framework) is None:
                absent.append(Absent(name, "not installed", f"the package {framework}; {install_command(framework)}"))
                continue
            given = (framework, precision, model, str(wanted.threads or 0))
            command = (sys.executable, "-m", "training.speed", *given)
            runners.append(Runner(name, command, (Request(do="turn"),), answers=False))
    return runners, absent


def _contender(entrant: Measured, batch: int) -> Contender:
    (turns,) = entrant.turns
    return entrant.contender(rated(turns, batch), precision="bf16" if entrant.runner.name.endswith("bf16") else "fp32")


def _settings(framework: str, model: str, precision: str, threads: int | None) -> Settings:
    return replace(recipe("published", framework, model), precision=precision, threads=threads)


def _begin(
    framework: str, precision: str, model: str, threads: int | None
) -> tuple[Ready, Callable[[Request], Answer | Turn]]:
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (FACES, SIDE, SIDE), dtype=np.uint8)
    labels = random.integers(0, len(LABELS), FACES).astype(np.uint8)
    settings = _settings(framework, model, precision, threads)
    module = importlib.import_module(f"training.{framework}.train")
    learner: Learner = module.learner(settings, initial_weights(model_spec(model), 0), np.ones(len(LABELS), np.float32))
    learner.begin_epoch(EpochData(pixels, labels, label_shares(labels), seed=0))
    places = cycle(batches(FACES, settings.batch_size))
    _steps(learner, places, 0.0)

    def work(request: Request) -> Turn:
        _steps(learner, places, WARM_UP * request.seconds)
        worked, began = time.process_time(), time.perf_counter()
        milliseconds = _steps(learner, places, request.seconds)
        busy = (time.process_time() - worked) / (time.perf_counter() - began)
        return Turn(milliseconds=(milliseconds,), busy=busy, memory=peak_memory([os.getpid()]))

    (version,) = module.versions().values()
    return Ready(version=version, threads=settings.thread_count), work


def _steps(learner: Learner, places: Iterator[tuple[int, int]], seconds: float) -> float:
    """Take steps for some seconds, one at least; return the milliseconds of one, on average."""
    began, count = time.perf_counter(), 0
    while not count or time.perf_counter() - began < seconds:
        learner.step(*next(places), 1e-3)
        count += 1
    learner.totals()  # Waits for what is still under way.
    return 1000 * (time.perf_counter() - began) / count


if __name__ == "__main__":
    main()
