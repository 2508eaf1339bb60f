"""Judges what `benchmarks.tracking` wrote, by motmetrics (https://github.com/cheind/py-motmetrics), in its environment.

It imports nothing of ferox. A box belongs to a head where their middles are at most half of the head's side apart.
"""

import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

NEAR = 0.5


def read(file: Path) -> dict[int, list[tuple[int, float, float, float]]]:
    """Return a file's boxes by frame: number, middle and side."""
    frames: dict[int, list[tuple[int, float, float, float]]] = defaultdict(list)
    for line in file.read_text().splitlines():
        frame, number, left, top, width, height = map(float, line.split(",")[:6])
        frames[int(frame)].append((int(number), left + width / 2, top + height / 2, width))
    return frames


def main() -> None:
    """Print a table of all films of a folder by how many persons they have."""
    import motmetrics as mm
    import numpy as np

    groups: dict[str, dict[str, Any]] = defaultdict(dict)
    for folder in sorted(Path(sys.argv[1]).iterdir()):
        truth, answers = read(folder / "gt.txt"), read(folder / "answers.txt")
        accumulator = mm.MOTAccumulator(auto_id=True)
        for frame in sorted({*truth, *answers}):
            rows = [[np.hypot(x - u, y - v) / side for _, u, v, _ in answers[frame]] for _, x, y, side in truth[frame]]
            apart = np.array(rows).reshape(len(truth[frame]), len(answers[frame]))
            accumulator.update(
                [one[0] for one in truth[frame]],
                [one[0] for one in answers[frame]],
                np.where(apart <= NEAR, apart, np.nan),
            )
        groups[folder.name.split("-")[0]][folder.name] = accumulator
    print("| persons | films | IDF1 | lowest film | switches | MOTA | recall | precision |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    metrics = ["idf1", "num_switches", "mota", "recall", "precision"]
    everything = {name: accumulator for group in groups.values() for name, accumulator in group.items()}
    for persons, group in [*groups.items(), ("all", everything)]:
        table = mm.metrics.create().compute_many(
            list(group.values()), metrics=metrics, names=list(group), generate_overall=True
        )
        films, overall = table.drop("OVERALL"), table.loc["OVERALL"]
        print(
            f"| {persons} | {len(films)} | {overall.idf1:.3f} | {films.idf1.min():.3f} | {int(overall.num_switches)} "
            f"| {overall.mota:.3f} | {overall.recall:.3f} | {overall.precision:.3f} |"
        )


if __name__ == "__main__":
    main()
