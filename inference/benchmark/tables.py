"""Records as Markdown: for each contest a table, ratios first, and what holds for all of it in sentences."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from inference.benchmark.document import BenchmarkRecord, Contender, Contest, Peak, Profile, Subject
from inference.benchmark.figures import Range, peak, ratio, reference, share_of_peak, spread
from inference.text import DASH, PLAIN_DASH, markdown_table, or_dash, percent, threads

TITLES = {
    "runtimes": "One artifact in every runtime",
    "training": "Training steps of the frameworks",
    "photo": "From a photo to its answer",
    "steps": "Training steps beside loops as their documentation writes them",
    "table": "From a table to faces",
    "export": "Export",
    "folder": "A folder of photos",
}
# Fewer nodes take the rest of a run's time together.
MOST_NODES = 4
# A processor that others wanted, too, measures them as well.
QUIET = 0.2


def section(record: BenchmarkRecord, plots: Sequence[str]) -> str:
    """Return a record as a section of a document; `plots` are the pictures' paths from there, one for each contest."""
    parts = [f"## {TITLES[record.kind]}", _measured(record)]
    for contest, plot in zip(record.contests, plots, strict=True):
        parts += [f"### {contest.heading}", *_subject_words(contest), table(contest)]
        parts += [f"![{contest.heading}: how many times as fast as {contest.reference}]({plot})"]
        parts += [*_remarks(contest), *absent_sentences(contest), *_holding_back(contest)]
    return "\n\n".join(parts)


def table(contest: Contest) -> str:
    """Return the contenders' figures as a Markdown table, the fastest of the first task first."""
    ranked = sorted(contest.contenders, key=lambda contender: -ratio(contest, contender, 0).median)
    columns = _columns(contest)
    rows = [[_name(contest, contender), *(column.cell(contender) for column in columns)] for contender in ranked]
    return markdown_table({"": "---"} | {column.name: "---:" for column in columns}, rows)


def plain(contest: Contest) -> str:
    """Return the table for a terminal, without what only a record needs."""
    ranked = sorted(contest.contenders, key=lambda contender: -ratio(contest, contender, 0).median)
    columns = [column for column in _columns(contest) if not column.is_detail]
    lines = [[contest.heading, *(column.name for column in columns)]]
    lines += [[contender.name, *(column.cell(contender) for column in columns)] for contender in ranked]
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    ).replace(DASH, PLAIN_DASH)


@dataclass(frozen=True)
class _Column:
    """A column: its name, its cells, and whether it is left out on a terminal."""

    name: str
    cell: Callable[[Contender], str]
    is_detail: bool = False


def _columns(contest: Contest) -> list[_Column]:
    """Return the columns, without those that nobody has a figure for."""
    tasks, contenders = list(enumerate(contest.tasks)), contest.contenders
    columns = [_Column(f"{task.name}: times as fast", partial(_ratio_cell, contest, place)) for place, task in tasks]
    for place, task in tasks:
        columns.append(_Column(f"{task.unit}, {task.name}", partial(_figure_cell, place)))
        if task.less_is_better and any(contender.series[place].p95 for contender in contenders):
            columns.append(_Column(f"p95, p99, {task.name}", partial(_percentile_cell, place), is_detail=True))
        if _peaks(contest):
            columns.append(_Column(f"of the peak, {task.name}", partial(_peak_cell, contest, place)))
    if any(contender.starts for contender in contenders):
        columns.append(_Column("start, s", lambda contender: _range(contender.starts), is_detail=True))
    if any(contender.memory for contender in contenders):
        columns.append(_Column("memory, MB", _memory_cell, is_detail=True))
    if any(contender.agreement for contender in contenders):
        columns += [_Column("largest logit difference", _difference_cell), _Column("other labels", _labels_cell)]
    columns.append(_Column("threads", lambda contender: or_dash(contender.threads, "d"), is_detail=True))
    return [*columns, _Column("version", lambda contender: contender.version, is_detail=True)]


def _ratio_cell(contest: Contest, place: int, contender: Contender) -> str:
    return "1" if contender.name == contest.reference else _words(ratio(contest, contender, place), ".3g")


def _figure_cell(place: int, contender: Contender) -> str:
    return _range(contender.series[place].rounds)


def _percentile_cell(place: int, contender: Contender) -> str:
    series = contender.series[place]
    return DASH if series.p95 is None or series.p99 is None else f"{series.p95:.3g}, {series.p99:.3g}"


def _peak_cell(contest: Contest, place: int, contender: Contender) -> str:
    return percent(share_of_peak(contest, contender, place))


def _memory_cell(contender: Contender) -> str:
    return or_dash(None if contender.memory is None else contender.memory / 1e6, ".0f")


def _difference_cell(contender: Contender) -> str:
    return DASH if contender.agreement is None else f"{contender.agreement.largest_difference:.1e}"


def _labels_cell(contender: Contender) -> str:
    agreement = contender.agreement
    return DASH if agreement is None else f"{agreement.other_labels} of {agreement.faces}"


def _measured(record: BenchmarkRecord) -> str:
    machine = record.machine
    others = [busy for busy in (machine.busy_before, machine.busy_after) if busy is not None]
    known = f"{' and '.join(f'{busy:.2f}' for busy in others)} processors" if others else "not known"
    is_busy = max(others, default=0.0) > QUIET
    warning = " **The machine had other work: these figures are not to be relied on.**" if is_busy else ""
    rounds = {len(contender.series[0].rounds) for contest in record.contests for contender in contest.contenders}
    turns = f"{'/'.join(map(str, sorted(rounds)))} rounds"
    if record.turn_seconds:
        turns += f", turns of {record.turn_seconds:g} s"
    return (
        f"{machine.processor}, {machine.processors} processors; {threads(machine.threads)}; {machine.system}, Python "
        f"{machine.python}; {turns}; {record.created[:10]}, {record.seconds:,.0f} s in all. Busy with other work "
        f"before and after: {known}.{warning} Made by `{record.command}`."
    )


def _subject_words(contest: Contest) -> list[str]:
    subject = contest.subject
    if subject is None:
        return []
    work = "" if subject.multiply_adds is None else f", {subject.multiply_adds / 1e6:,.1f} million multiply-adds a face"
    return [
        f"{subject.model} of {subject.framework}, {subject.precision}: {subject.bytes / 1e6:.2f} MB, "
        f"{subject.parameters:,} parameters{work}; digest {subject.digest[:12]}."
    ]


def _remarks(contest: Contest) -> list[str]:
    own = [f"{contender.name}: {contender.remark}" for contender in contest.contenders if contender.remark]
    said = [f"{remark[0].upper()}{remark[1:]}." for remark in contest.remarks]
    return [" ".join([*said, *(f"{remark}." for remark in own)])] if said or own else []


def absent_sentences(contest: Contest) -> list[str]:
    """Return who did not take part, by how that came and why, in a sentence for each state."""
    words = []
    for state in ("not installed", "left out", "failed"):
        by_reason: dict[str, list[str]] = {}
        for absent in contest.absent:
            if absent.state == state:
                by_reason.setdefault(absent.reason, []).append(absent.name)
        if by_reason:
            found = "; ".join(f"{', '.join(names)} ({reason})" for reason, names in by_reason.items())
            words.append(f"{state[0].upper()}{state[1:]}: {found}.")
    return words


def _peaks(contest: Contest) -> list[Peak]:
    return [] if contest.operations is None else list(contest.peaks)


def _holding_back(contest: Contest) -> list[str]:
    peaks = [f"{peak.library} {peak.precision} {_words(spread(peak.rounds), ',.0f')}" for peak in _peaks(contest)]
    words = []
    if peaks:
        side = contest.peaks[0].side
        words.append(f"Peak, 10^9 operations a second, matrices of {side} x {side}: {'; '.join(peaks)}.")
    if contest.subject is not None:
        words += [holding_back(contest, contest.subject, profile) for profile in contest.subject.profiles]
    return words


def holding_back(contest: Contest, subject: Subject, profile: Profile) -> str:
    """Return where onnxruntime's time goes in one sentence, with how near to the peak each part comes."""
    most = peak(contest, reference(contest).precision or "fp32")
    shown = []
    for node in profile.nodes[:MOST_NODES]:
        near = ""
        seconds = node.share * profile.milliseconds / 1000
        if most is not None and node.multiply_adds and seconds > 0:
            near = f" at {percent(2 * node.multiply_adds * profile.batch / seconds / most)} of the peak"
        shown.append(f"{node.name} ({node.operator}) {percent(node.share)}{near}")
    idle = sum(node.share for node in profile.nodes if not node.multiply_adds)
    faces = "one face" if profile.batch == 1 else f"{profile.batch} faces"
    return (
        f"Where the time of {faces} goes in onnxruntime ({profile.milliseconds:.3g} ms while profiled): "
        f"{', '.join(shown)}; nodes without multiplications {percent(idle)}; "
        f"between the nodes {percent(profile.outside)}."
    )


def _name(contest: Contest, contender: Contender) -> str:
    return f"**{contender.name}**" if contender.name == contest.reference else contender.name


def _range(figures: Sequence[float]) -> str:
    return _words(spread(tuple(figures)), ".3g" if figures and max(figures) < 100 else ",.0f") if figures else DASH


def _words(found: Range, form: str) -> str:
    """Return a median with its range; one figure where there is but one."""
    if found.low == found.high:
        return format(found.median, form)
    return f"{found.median:{form}} ({found.low:{form}}{DASH}{found.high:{form}})"
