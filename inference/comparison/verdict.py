"""What the comparison page says first: the model picked, and what speaks for another one."""

from collections.abc import Sequence
from dataclasses import dataclass

from inference.comparison.document import Group, Row
from inference.text import percent


@dataclass(frozen=True)
class Verdict:
    """The best contender, how it was found, and which others the faces do not tell from it, in words."""

    heading: str
    best: Row
    how: str
    alike: str


def verdict(record: Group) -> Verdict:
    """The contender that the validation part prefers, or else the most accurate one, and those not told from it."""
    rows = {row.name: row for row in record.rows}
    choice = record.pick
    best = rows[choice.name] if choice else record.rows[0]
    names = choice.not_told_apart if choice else record.not_told_apart(best.name)
    alike = _alike(len(rows), best, [rows[name] for name in names])
    if choice:
        accuracy = percent(choice.validation_accuracy, 2)
        how = f"Best on the validation part, with {accuracy} there. The test part had no say in it."
        return Verdict("Picked without the test part", best, how, alike)
    how = "Most accurate on these faces. No model here was selected on a part of its own: a ranking, not a choice."
    return Verdict("Highest accuracy", best, how, alike)


def _alike(count: int, best: Row, alike: Sequence[Row]) -> str:
    if count == 1:
        return "There is nothing to compare it with."
    if not alike:
        return "These faces tell it from each of the others."
    told = f"These faces do not tell it from {'; '.join(row.full_name for row in alike)}."
    smallest = min([best, *alike], key=lambda row: row.bytes)
    words = f"the smallest is {smallest.full_name} with {smallest.bytes / 1e6:.2f} MB"
    timed = [(row.latency.p50, row) for row in (best, *alike) if row.latency]
    if timed:
        p50, fastest = min(timed, key=lambda pair: pair[0])
        words = f"the fastest is {fastest.full_name} with {p50:.3g} ms, {words}"
    return f"{told} Of it and these, {words}."
