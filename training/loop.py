"""The training loop, the same for every framework: a framework brings only a `Learner`.

After every epoch the run folder is committed (see `training.run`). A signal ends the run after the step at hand, with a
state from which it goes on to the same numbers.
"""

import signal
import sys
import time
from collections.abc import Callable
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax, softmax

from data.errors import InputError
from data.faceset import FaceSet
from data.files import sha256
from data.splits import Split
from data.terminal import progress_bar, say
from inference.measure.metrics import ClassFigures, class_figures, confusion_matrix
from inference.report.training_result import Checkpoint, FinalFigures
from inference.text import percent
from training.average import STEPS_BETWEEN, AverageSchedule, load_average, save_average
from training.epoch import batches
from training.history import EpochRecord, read_history, write_history
from training.recipe import Settings, learning_rate
from training.run import SCHEMA, Progress, RunRecord, check_file, now, write_answers, write_record
from training.specs import model_spec
from training.views import EpochData, EpochLoader
from training.weights import Weights, load_weights, save_weights


class Learner(Protocol):
    """A model in training, in some framework."""

    state_suffix: str

    def begin_epoch(self, data: EpochData, *, resumed: bool = False) -> None:
        """Take up an epoch's faces, and seed what is random in the model.

        `resumed`: go on in the middle of the epoch, with the random generators of the state that was loaded.
        """

    def step(self, start: int, stop: int, rate: float) -> None:
        """Learn from the epoch's faces `start` to `stop` at learning rate `rate`."""

    def totals(self) -> tuple[float, int]:
        """Return the loss summed over faces, and the correct ones, since the epoch began or was restored."""

    def logits(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return float32[N, 7] for uint8[N, 48, 48], in evaluation mode."""

    def weights(self) -> Weights:
        """Return the weights as plain arrays."""

    def set_weights(self, weights: Weights) -> None:
        """Replace the weights."""

    def average(self, kept: float) -> None:
        """Move the average of the weights: a share `kept` of it stays, the rest is the weights at hand; 0 begins it."""

    def averaged(self) -> Weights:
        """Return the average of the weights as plain arrays."""

    def set_average(self, weights: Weights) -> None:
        """Replace the average of the weights."""

    def save_state(self, path: Path) -> None:
        """Write weights, optimiser and random generators."""

    def load_state(self, path: Path) -> None:
        """Read what `save_state` wrote."""


class Trainer:
    """One run: its folder, its record, and the learner that it drives."""

    def __init__(
        self,
        folder: Path,
        record: RunRecord,
        learner: Learner,
        loader: EpochLoader,
        faces: FaceSet,
        split: Split,
    ) -> None:
        self.folder = folder
        self.record = record
        self.learner = learner
        self.loader = loader
        self.settings = record.settings
        self.spec = model_spec(self.settings.model)
        self.validation = _part(faces, split.validation)
        self.test = _part(faces, split.test)
        self.history = read_history(folder)
        self.average = AverageSchedule(self.settings.ema_decay) if self.settings.ema_decay else None
        if self.average and record.progress:
            weights, self.average.samples = load_average(folder / record.progress.average)
            learner.set_average(weights)
        self.interrupted: int | None = None
        # What people are told to go on with after a signal.
        self.resume_words = f"ferox train --resume {folder}"

    def run(self, time_limit: float = 0) -> int:
        """Train to the end or to a signal; return the exit status: 0, or 128 + the signal's number.

        After `time_limit` seconds, 0 for none, SIGALRM comes.
        """
        with _Signals(self._interrupt, time_limit):
            if self.record.progress is None:
                # So that there is something to go on from, whenever the process is killed.
                self._commit(_beginning(1), "running")
            first = self.record.progress.epoch if self.record.progress else 1
            for epoch in range(first, self.settings.epochs + 1):
                if self._out_of_patience(epoch):
                    break
                if not self._epoch(epoch):
                    # A signal after the last step of an epoch finds that committed as running.
                    self.record = replace(self.record, status="stopped")
                    write_record(self.folder, self.record)
                    status = 128 + (self.interrupted or 0)
                    say(f"stopped; go on with: {self.resume_words}")
                    return status
        return self.finish()

    def ask_ahead(self, epochs: int, time_limit: float = 0) -> int:
        """Make the next `epochs` epochs' data, so that what teachers say of it is kept; return the exit status."""
        with _Signals(self._interrupt, time_limit):
            if self.record.progress is None:
                self._commit(_beginning(1), "stopped")
            first = self.record.progress.epoch if self.record.progress else 1
            last = min(first + epochs - 1, self.settings.epochs)
            with suppress(CancelledError):
                for epoch in progress_bar("asking teachers", iterable=range(first, last + 1), unit="epoch"):
                    self.loader.load(epoch)
            if self.interrupted:
                return 128 + self.interrupted
        say(f"asked up to epoch {last}; go on with: ferox train --resume {self.folder}")
        return 0

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        self.interrupted = number
        # An epoch that is still being made may take minutes, where teachers are asked about it.
        self.loader.give_up()
        # A second signal must not have to wait for the step to end.
        signal.signal(number, signal.SIG_DFL)

    def _out_of_patience(self, epoch: int) -> bool:
        best, patience = self.record.best, self.settings.patience
        if best is None or patience is None or epoch - 1 - best.epoch < patience:
            return False
        say(f"no better epoch than {best.epoch} in {patience}, which ends the run")
        return True

    def _epoch(self, epoch: int) -> bool:
        """Train one epoch and commit it; False, with its part committed, if a signal came."""
        began = time.perf_counter()
        try:
            data = self.loader.load(epoch)
        except CancelledError:
            return False
        faces = len(data.pixels)
        progress = self._restored(epoch)
        self.learner.begin_epoch(data, resumed=progress.step > 0)
        steps = batches(faces, self.settings.batch_size)
        step = progress.step
        title = f"epoch {epoch}/{self.settings.epochs}"
        with progress_bar(title, total=faces, initial=progress.seen, unit="img") as bar:
            for start, stop in steps[progress.step :]:
                done = (epoch - 1 + step / len(steps)) / self.settings.epochs
                self.learner.step(start, stop, learning_rate(self.settings, done))
                bar.update(stop - start)
                step += 1
                if self.average and ((epoch - 1) * len(steps) + step) % STEPS_BETWEEN == 0:
                    self.learner.average(self.average.next())
                if self.interrupted and step < len(steps):
                    break
        reached = self._reached(progress, epoch, step, steps[step - 1][1], time.perf_counter() - began)
        if step < len(steps):
            self._commit(reached, "stopped")
            return False
        self._close_epoch(
            reached,
            stop=faces,
            rate=learning_rate(self.settings, (epoch - 1) / self.settings.epochs),
        )
        return self.interrupted is None or epoch == self.settings.epochs

    def _restored(self, epoch: int) -> Progress:
        saved = self.record.progress
        if saved and saved.epoch == epoch and saved.step:
            return saved
        return _beginning(epoch)

    def _reached(self, before: Progress, epoch: int, step: int, seen: int, seconds: float) -> Progress:
        loss_sum, correct = self.learner.totals()
        if not np.isfinite(loss_sum):
            raise InputError(
                f"the loss is {loss_sum} in epoch {epoch}, expected a finite one; lower --learning-rate "
                f"({self.settings.learning_rate:g}); {self.folder} keeps the epochs before"
            )
        return Progress(
            epoch,
            step,
            before.loss_sum + loss_sum,
            before.correct + correct,
            seen,
            before.seconds + seconds,
            "",
            "",
        )

    def _close_epoch(self, reached: Progress, stop: int, rate: float) -> None:
        epoch = reached.epoch
        weights, logits = self._evaluated()
        figures = judge(logits, self.validation[1])
        line = EpochRecord(
            epoch=epoch,
            learning_rate=rate,
            train_loss=reached.loss_sum / stop,
            train_accuracy=reached.correct / stop,
            validation_part=self.settings.split.selects_on,
            validation_loss=figures.loss,
            validation_accuracy=figures.accuracy,
            classes=figures.classes,
            seconds=reached.seconds,
            images_per_second=stop / reached.seconds,
        )
        self.history = [past for past in self.history if past.epoch < epoch] + [line]
        write_history(self.folder, self.history)
        write_answers(self.folder, epoch, self.validation[1], softmax(logits.astype(np.float64), axis=1))
        print(epoch_text(line), file=sys.stderr, flush=True)
        file = self.folder / f"weights-{epoch:04d}.npz"
        save_weights(weights, self.spec, file)
        checkpoint = Checkpoint(epoch, file.name, sha256(file), figures.accuracy, figures.loss)
        self.record = replace(
            self.record,
            checkpoints=self._kept(checkpoint),
            seconds=self.record.seconds + reached.seconds,
        )
        self._commit(_beginning(epoch + 1), "running")

    def _evaluated(self) -> tuple[Weights, NDArray[np.float32]]:
        """The weights to keep, the average where there is one, and their logits of the validation part."""
        newest = self.learner.weights()
        if self.average is None:
            return newest, self.learner.logits(self.validation[0])
        if not self.average.samples:
            self.learner.average(self.average.next())
        averaged = self.learner.averaged()
        self.learner.set_weights(averaged)
        logits = self.learner.logits(self.validation[0])
        self.learner.set_weights(newest)
        return averaged, logits

    def _kept(self, newest: Checkpoint) -> tuple[Checkpoint, ...]:
        past = tuple(checkpoint for checkpoint in self.record.checkpoints if checkpoint.epoch < newest.epoch)
        if self.settings.keep == "last":
            best = replace(self.record, checkpoints=(*past, newest)).best
            past = tuple(checkpoint for checkpoint in past if checkpoint == best)
        return (*past, newest)

    def _commit(self, progress: Progress, status: Literal["running", "stopped"]) -> None:
        progress_name = f"{progress.epoch:04d}-{progress.step:06d}"
        state = self.folder / f"state-{progress_name}{self.learner.state_suffix}"
        self.learner.save_state(state)
        progress = replace(progress, state=state.name, state_sha256=sha256(state))
        if self.average:
            average = self.folder / f"average-{progress_name}.npz"
            save_average(average, self.learner.averaged() if self.average.samples else {}, self.average.samples)
            progress = replace(progress, average=average.name, average_sha256=sha256(average))
        self.record = replace(self.record, progress=progress, status=status)
        write_record(self.folder, self.record)

    def finish(self) -> int:
        """Measure the best checkpoint on the test part, once, draw the run's figures, and end the run; return 0.

        An epoch that is not whole is dropped.
        """
        from inference.measure.metrics import summarise
        from inference.report.plots import draw_confusion, draw_curves, draw_roc

        best = self.record.best
        if best is None:
            raise InputError(f"{self.folder} has no whole epoch yet; go on with: ferox train --resume {self.folder}")
        self.learner.set_weights(load_weights(check_file(self.folder, best.file, best.sha256), self.spec))
        logits = self.learner.logits(self.test[0])
        figures = judge(logits, self.test[1])
        test = FinalFigures(
            epoch=best.epoch,
            faces=len(logits),
            loss=figures.loss,
            accuracy=figures.accuracy,
            correct=figures.correct,
            classes=figures.classes,
        )
        title = f"{self.settings.model} · {self.settings.framework} · test part, epoch {best.epoch}"
        draw_curves(
            self.history,
            self.folder / "curves.png",
            title=f"{self.settings.model} · {self.settings.framework}",
        )
        predictions = logits.argmax(axis=1)
        draw_confusion(confusion_matrix(self.test[1], predictions), self.folder / "confusion.png", title)
        draw_roc(summarise(self.test[1], softmax(logits.astype(np.float64), axis=1)), self.folder / "roc.png", title)
        # Last: a run that is ended before can still be resumed, and is then finished anew.
        self.record = replace(self.record, status="finished", progress=None, test=test)
        write_record(self.folder, self.record)
        print(
            f"best epoch {best.epoch}: accuracy {percent(test.accuracy, 2)} on the {len(logits):,} faces of the test "
            "part",
            file=sys.stderr,
        )
        return 0


@dataclass(frozen=True)
class Judged:
    """What logits are worth: mean cross-entropy in nats, accuracy from 0 to 1, correct faces, each class's figures."""

    loss: float
    accuracy: float
    correct: int
    classes: tuple[ClassFigures, ...]


def judge(logits: NDArray[np.float32], labels: NDArray[np.uint8]) -> Judged:
    """Judge logits [N, 7] by their labels [N]; an `InputError` where they are not finite."""
    if not np.isfinite(logits).all():
        raise InputError("the model answers with NaN or infinity; lower --learning-rate and train again")
    log_shares = log_softmax(logits.astype(np.float64), axis=1)
    predictions = logits.argmax(axis=1)
    return Judged(
        loss=float(-log_shares[np.arange(len(labels)), labels].mean()),
        accuracy=float((predictions == labels).mean()),
        correct=int((predictions == labels).sum()),
        classes=class_figures(confusion_matrix(labels, predictions)),
    )


def epoch_text(line: EpochRecord) -> str:
    """Return an epoch's figures as text for a terminal."""
    head = (
        f"epoch {line.epoch}: loss {line.train_loss:.4f}, training accuracy {percent(line.train_accuracy, 2)}, "
        f"{line.validation_part} loss {line.validation_loss:.4f}, accuracy {percent(line.validation_accuracy, 2)}, "
        f"{line.images_per_second:.0f} images/s"
    )
    rows = [f"  {'':9}{'TP':>6}{'FP':>6}{'TN':>6}{'FN':>6}{'precision':>11}{'recall':>9}{'F1':>9}"]
    for row in line.classes:
        shares = ((row.precision, 11), (row.recall, 9), (row.f1, 9))
        figures = "".join(f"{'-' if share is None else format(share, '.4f'):>{width}}" for share, width in shares)
        rows.append(f"  {row.label:9}{row.tp:>6}{row.fp:>6}{row.tn:>6}{row.fn:>6}{figures}")
    return "\n".join([head, *rows])


def start_record(settings: Settings, **facts: Any) -> RunRecord:
    """Return the record of a run that has not begun."""
    begun: dict[str, Any] = {"seconds": 0.0, "checkpoints": (), "progress": None, "test": None}
    return RunRecord(schema=SCHEMA, status="running", settings=settings, started=now(), **begun, **facts)


def _beginning(epoch: int) -> Progress:
    return Progress(epoch, 0, 0.0, 0, 0, 0.0, "", "")


def _part(faces: FaceSet, indices: NDArray[np.int64]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    records = faces.records[indices]
    return np.ascontiguousarray(records["pixels"]), np.ascontiguousarray(records["label"])


class _Signals:
    """Route SIGINT, SIGTERM and SIGALRM, which comes after some seconds, to a handler within a block."""

    def __init__(self, handler: Callable[[int, FrameType | None], None], seconds: float) -> None:
        self.handler, self.seconds = handler, seconds

    def __enter__(self) -> None:
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)
        self.before = {number: signal.signal(number, self.handler) for number in numbers}
        signal.setitimer(signal.ITIMER_REAL, self.seconds)

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in self.before.items():
            signal.signal(number, handler)
