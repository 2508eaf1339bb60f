"""What the comparison page says of models two by two: whether they differ, and how far twins agree."""

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

from data.faceset import LABELS
from inference.comparison.contenders import ContenderGroup, twins
from inference.comparison.document import Group, PairRow, TwinPair, Twins
from inference.comparison.markup import card, heads, table, who
from inference.report.page import face_image
from inference.text import or_dash, percent

TWIN_FACES = 12
PAIR_COLUMNS = (
    *("first", "second", "difference", "95 % interval", "only first right", "only second right"),
    *("exact p", "mid-p", "corrected", "agreement", "kappa"),
)


def pairs_card(record: Group) -> str:
    """The matrix of differences, and the list of all pairs."""
    rows, pairs = record.rows, record.pairs
    if not pairs:
        return ""
    place = {row.name: place for place, row in enumerate(rows)}
    cells = {}
    for pair in pairs:
        first, second = place[pair.first], place[pair.second]
        cells[first, second] = _cell(pair, pair.difference)
        cells[second, first] = _cell(pair, -pair.difference)
    body = "".join(
        f"<tr><th scope='row'>{row_place + 1} {who(row_place, row)}</th>"
        + "".join(cells.get((row_place, column), "<td class='self'></td>") for column in range(len(rows)))
        + "</tr>"
        for row_place, row in enumerate(rows)
    )
    head = heads(["", *(str(number) for number in range(1, len(rows) + 1))])
    listed = table("all pairs", heads(PAIR_COLUMNS), "".join(_pair_row(pair) for pair in pairs), "ranking")
    return card(
        "Are they really different?",
        "The row's accuracy less the column's, in points. Coloured where the same faces tell the two apart (McNemar's "
        "mid-p, Holm-corrected, under 0.05); grey is no evidence of a difference.",
        f"{table('differences', head, body, 'matrix')}<details><summary>Every pair with its p-values, interval "
        f"and kappa</summary>{listed}</details>",
    )


def _cell(pair: PairRow, difference: float) -> str:
    kind = "" if not pair.differs else " class='ahead'" if difference > 0 else " class='behind'"
    title = (
        f"corrected p {p_value(pair.holm)}; only {pair.first} right: {pair.only_first:,}, "
        f"only {pair.second} right: {pair.only_second:,}"
    )
    return f"<td{kind} title='{escape(title)}'>{_points(difference)}</td>"


def _points(difference: float) -> str:
    # Adding 0 takes the sign from a zero.
    return f"{round(100 * difference, 1) + 0.0:+.1f}"


def p_value(p: float) -> str:
    """A p-value as people read it."""
    return "< 0.0001" if p < 0.0001 else f"{p:.4f}"


def _pair_row(pair: PairRow) -> str:
    low, high = (100 * bound for bound in pair.interval)
    cells = (
        f"{100 * pair.difference:+.2f}",
        f"{low:+.2f} to {high:+.2f}",
        f"{pair.only_first:,}",
        f"{pair.only_second:,}",
        *(p_value(p) for p in (pair.exact, pair.mid_p, pair.holm)),
        percent(pair.agreement, 1),
        or_dash(pair.kappa, ".3f"),
    )
    figures = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
    return f"<tr><th scope='row'>{escape(pair.first)}</th><td class='text'>{escape(pair.second)}</td>{figures}</tr>"


def twins_card(record: Group, compared: ContenderGroup) -> str:
    """How far one model's twins from several frameworks agree, and the faces on which they do not."""
    groups = zip(record.twins, twins(compared), strict=True)
    body = "".join(_group(found, compared, group) for found, group in groups)
    return body and card(
        "Twins from several frameworks",
        "The same model under the same recipe. Kappa is 1 for the same answers to every face, 0 for agreement by "
        "chance. Below, the faces on which they disagree with most confidence.",
        body,
    )


def _group(found: Twins, compared: ContenderGroup, group: Sequence[int]) -> str:
    framework = dict(zip(found.members, found.frameworks, strict=True))
    said = [_agreement(pair, framework) for pair in found.pairs]
    said.append(f"{found.disagreements:,} faces on which they disagree, all listed in {found.file}")
    chips = "".join(f"<li>{escape(text)}</li>" for text in said)
    return f"<h3>{escape(found.model)}</h3><ul class='chips'>{chips}</ul>{_disagreements(compared, group)}"


def _agreement(pair: TwinPair, framework: Mapping[str, str]) -> str:
    both = f"{framework[pair.first]} and {framework[pair.second]}"
    if pair.identical:
        return f"{both}: identical to the last bit"
    return f"{both}: kappa {or_dash(pair.kappa, '.3f')}, agree on {percent(pair.agreement, 1)}"


def _disagreements(compared: ContenderGroup, group: Sequence[int]) -> str:
    members = [compared.contenders[place] for place in group]
    predictions = np.stack([one.predictions for one in members])
    confidence = np.stack([one.probabilities.max(axis=1) for one in members]).min(axis=0)
    places = np.flatnonzero((predictions != predictions[0]).any(axis=0))
    surest = places[np.argsort(-confidence[places], kind="stable")][:TWIN_FACES]
    records, figures = compared.answers.records, []
    for face in surest.tolist():
        truth = LABELS[records["label"][face]]
        said = "".join(
            f"<span>{escape(one.members[0].manifest.framework)}: {_answer(LABELS[guess], truth)}</span>"
            for one, guess in zip(members, predictions[:, face].tolist(), strict=True)
        )
        figures.append(
            f"<figure>{face_image(records['pixels'][face], truth)}<figcaption><span>is {truth}</span>{said}"
            f"<i>row {records['row'][face]}</i></figcaption></figure>"
        )
    return f"<div class='faces spaced'>{''.join(figures)}</div>" if figures else ""


def _answer(answer: str, truth: str) -> str:
    return answer if answer == truth else f"<span class='bad'>{answer}</span>"
