"""How a comparison was measured, in words, for the foot of its page."""

from inference.comparison.document import Comparison, ComparisonMachine
from inference.measure.corruptions import UNITS
from inference.measure.latency import Timing
from inference.measure.paired import REPLICATES
from inference.text import threads


def method(content: Comparison) -> list[tuple[str, str]]:
    """Headings and what each says of a comparison, given its `report.json`."""
    paragraphs = [
        (
            "Accuracy",
            "has Wilson's 95 % interval; calibration error has 15 bins of equal width (Guo et al. 2017); log loss is "
            "in nats; averages leave out what is 0/0.",
        ),
        (
            "Pairs",
            "are compared on the same faces by McNemar's mid-p (Fagerland et al. 2013), corrected for all pairs of "
            f"the table by Holm's method; intervals of differences come from {REPLICATES:,} bootstrap samples.",
        ),
        (
            "Selection",
            "of epochs and ensembles never looks at the test part, but where a protocol has no other: the last column "
            "says on what a model's epoch, or an ensemble's members, were selected. Ensembles are means of "
            "probabilities.",
        ),
    ]
    first, seconds = content.tables[0], content.seconds
    single, batch = first.rows[0].latency, first.rows[0].throughput
    if single and batch:
        paragraphs.append(("Latency", _latency(content.machine, single, batch)))
    if first.robustness:
        units = "; ".join(f"{kind}: {unit}" for kind, unit in UNITS.items())
        paragraphs.append(("Spoiled faces", f"are the same for every model. Strengths: {units}."))
    share = seconds.evaluation / seconds.engines
    cost = f"{seconds.evaluation:.1f} s, {share:.2f} times the {seconds.engines:.1f} s that the engines ran"
    return [*paragraphs, ("Cost", f"of evaluating and writing the reports: {cost}.")]


def _latency(machine: ComparisonMachine, single: Timing, batch: Timing) -> str:
    load = "" if machine.load is None else f" Before it, {machine.load:.1f} processes wanted a processor."
    return (
        "is that of a whole prediction, from uint8 faces to checked probabilities, the models by turns: of one face, "
        f"{_runs(single)}; for images a second, of {batch.batch} faces, {_runs(batch)}. {machine.processor}, "
        f"{machine.processors} processors, {threads(machine.threads)}.{load}"
    )


def _runs(timing: Timing) -> str:
    least = f"at least {timing.least_runs} runs and {timing.least_seconds:g} s"
    return f"{timing.warm_up} runs to warm up, then {least}"
