"""How well persons keep their numbers: IDF1, computed simply.

Ristani et al., Performance Measures and a Data Set for Multi-Target, Multi-Camera Tracking, 2016,
https://arxiv.org/abs/1609.01775: true and answered identities are paired once for the whole film, so that most
detections agree; IDF1 = 2 IDTP / (true detections + answered detections). `benchmarks.tracking` has motmetrics say the
same of more films.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from benchmarks.films import Visible

NEAR = 0.5  # Of a head's side: how far a box's middle may be from where the head is.
# A number, and the middle of its box.
Answered = tuple[int, float, float]


def agreeing(truth: Sequence[Visible], answers: Sequence[Answered]) -> list[tuple[int, int]]:
    """Return the pairs of person and number of one moment whose places agree, nearest first matched."""
    if not truth or not answers:
        return []
    costs = np.array([[np.hypot(person.x - x, person.y - y) / person.side for _, x, y in answers] for person in truth])
    rows, columns = linear_sum_assignment(np.where(costs <= NEAR, costs, 1e3))
    return [
        (truth[row].person, answers[column][0])
        for row, column in zip(rows.tolist(), columns.tolist(), strict=True)
        if costs[row, column] <= NEAR
    ]


def idf1(moments: Sequence[tuple[Sequence[Visible], Sequence[Answered]]]) -> float:
    """Return IDF1, 0 to 1, of a film's moments: who was to be seen, and what was answered."""
    shared = Counter(pair for truth, answers in moments for pair in agreeing(truth, answers))
    persons = sorted({person for person, _ in shared})
    numbers = sorted({number for _, number in shared})
    counts = np.array([[shared[person, number] for number in numbers] for person in persons], ndmin=2)
    rows, columns = linear_sum_assignment(counts, maximize=True)
    detections = sum(len(truth) + len(answers) for truth, answers in moments)
    return 2 * int(counts[rows, columns].sum()) / detections if detections else 1.0


def switches(moments: Sequence[tuple[Sequence[Visible], Sequence[Answered]]]) -> list[tuple[int, int]]:
    """Return each time that a person has another number than before: the moment's place, and that of the one before."""
    last: dict[int, tuple[int, int]] = {}
    found = []
    for place, (truth, answers) in enumerate(moments):
        for person, number in agreeing(truth, answers):
            before, known = last.get(person, (place, number))
            if known != number:
                found.append((place, before))
            last[person] = (place, number)
    return found
