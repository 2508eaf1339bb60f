"""What the comparison page says first: the model picked, and what speaks for another one."""

from collections.abc import Sequence
from html import escape

from inference.comparison.document import Group, Row
from inference.text import percent


def verdict_card(record: Group) -> str:
    """The contender that the validation part prefers, or else the most accurate one, and those not told from it."""
    rows = {row.name: row for row in record.rows}
    choice = record.pick
    best = rows[choice.name] if choice else record.rows[0]
    alike = [rows[name] for name in (choice.not_told_apart if choice else record.not_told_apart(best.name))]
    heading = "Picked without the test part" if choice else "Highest accuracy"
    if choice:
        accuracy = percent(choice.validation_accuracy, 2)
        how = f"Best on the validation part, with {accuracy} there. The test part had no say in it."
    else:
        how = "Most accurate on these faces. No model here was selected on a part of its own: a ranking, not a choice."
    tiles = "".join(f"<div><dt>{escape(name)}</dt><dd>{value}</dd></div>" for name, value in _tiles(best))
    told = escape(_told(len(rows), best, alike))
    return (
        f"<section class='card verdict' aria-label='verdict'><div><p class='eyebrow'>{heading}</p>"
        f"<p class='name'>{escape(best.full_name)}</p><p>{escape(how)}</p><p>{told}</p>"
        f"</div><dl class='tiles'>{tiles}</dl></section>"
    )


def _told(count: int, best: Row, alike: Sequence[Row]) -> str:
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


def _tiles(best: Row) -> list[tuple[str, str]]:
    figures = best.figures
    low, high = (100 * bound for bound in figures.interval)
    tiles = [
        ("accuracy", f"{percent(figures.accuracy, 2)} <small>{low:.1f} to {high:.1f}</small>"),
        ("file size", f"{best.bytes / 1e6:.2f} MB"),
    ]
    if best.latency:
        tiles.append(("one face", f"{best.latency.p50:.3g} ms <small>p99 {best.latency.p99:.3g}</small>"))
    if best.throughput:
        tiles.append(("images a second", f"{best.throughput.images_per_second:,.0f}"))
    return tiles
