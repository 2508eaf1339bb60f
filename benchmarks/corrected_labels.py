"""What corrected labels bring: `python -m benchmarks.corrected_labels as-is=RUN,RUN dropped=RUN,RUN ...`.

Arms are trainings that differ in the corrections of their training part alone, a run for each seed, in the same order.
They are compared on the validation part, by what their last epoch answered there (`answers.npz`), so that no epoch is
picked. The interval is over the faces: both arms' accuracies, means over the seeds, on 2,000 bootstrap draws of the
same faces.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data.commands import run_command
from data.errors import InputError
from inference.measure.paired import REPLICATES, SEED
from training.run import read_answers, read_record


@dataclass(frozen=True)
class Arm:
    """Trainings of one kind: whether each was right about each validation face, bool[seeds, N]."""

    name: str
    right: NDArray[np.bool_]
    trained_on: int


def main() -> int:
    """Print each arm's accuracy, and its difference from the first one."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument(
        "arms", nargs="+", metavar="NAME=RUN,RUN", help="the first is what the others are compared with"
    )
    first, *others = [arm(words) for words in parser.parse_args().arms]
    for each in (first, *others):
        if each.right.shape != first.right.shape:
            raise InputError(
                f"{each.name} has {each.right.shape[0]} runs, {first.name} {first.right.shape[0]}; give as many"
            )
        seeds = ", ".join(f"{100 * accuracy:.2f}" for accuracy in each.right.mean(axis=1))
        print(f"{each.name}: {each.trained_on:,} faces, {100 * each.right.mean():.2f} % ({seeds})", end="")
        low, high = difference(each, first)
        gain = 100 * (each.right.mean() - first.right.mean())
        print("" if each is first else f"; {gain:+.2f} points, {100 * low:+.2f} to {100 * high:+.2f}")
    return 0


def arm(words: str) -> Arm:
    """Return the arm that `NAME=RUN,RUN` names."""
    name, _, runs = words.partition("=")
    folders = [Path(run) for run in runs.split(",")]
    answers = [read_answers(folder) for folder in folders]
    if any(answer is None for answer in answers):
        raise InputError(f"a run of {name} has no epoch yet; train on")
    right = [shares.argmax(axis=1) == labels for _, labels, shares in (answer for answer in answers if answer)]
    data = read_record(folders[0]).data
    dropped = data.corrections.dropped if data.corrections else 0
    return Arm(name, np.stack(right), data.counts["train"] - dropped)


def difference(one: Arm, other: Arm) -> tuple[float, float]:
    """The 95 % bootstrap interval of one's accuracy less the other's, both means over their seeds."""
    gain = one.right.mean(axis=0) - other.right.mean(axis=0)
    rng = np.random.default_rng(SEED)
    draws = [gain[rng.integers(0, len(gain), len(gain))].mean() for _ in range(REPLICATES)]
    low, high = np.quantile(draws, (0.025, 0.975))
    return float(low), float(high)


if __name__ == "__main__":
    run_command(main)
