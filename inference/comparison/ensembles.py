"""Which ensembles join a comparison: those that people name, and those picked on the validation part alone."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from data.errors import InputError
from inference.comparison.contenders import Contender, ContenderGroup, ensemble, ranked
from inference.comparison.progress import Meter
from inference.ensemble import pick_greedily
from inference.measure.evaluation import Assignment, measure
from inference.measure.exposure import exposure
from inference.report.document import TableKey, adopted_key

MIN_MEMBERS = 2


def check_ensembles(tasks: Sequence[Assignment], wanted: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
    """Return the wanted ensembles by the names of their models' reports; file names are understood.

    Raises:
        InputError: a name is unknown or twice, there is only one, or they may not be compared.
    """
    tables = _tables(tasks)
    ensembles = []
    for given in wanted:
        names = tuple(_report_name(name.rsplit("/", 1)[-1].removesuffix(".onnx"), tasks) for name in given)
        for name in names:
            if name not in tables:
                raise InputError(f"--ensemble names {name!r}, expected some of the models given: {', '.join(tables)}")
        if names and (len(names) < MIN_MEMBERS or len(set(names)) < len(names)):
            raise InputError(f"--ensemble names {', '.join(names)}; expected two or more models, each once")
        if len({tables[name] for name in names}) > 1:
            raise InputError(
                f"--ensemble {' '.join(names)} mixes models of different protocols or data, whose figures say nothing "
                "about each other; name models of one table"
            )
        ensembles.append(names)
    return ensembles


def _tables(tasks: Sequence[Assignment]) -> dict[str, TableKey]:
    """The table of each report, as `inference.report.document.in_tables` divides them."""
    keys: dict[str, TableKey] = {}
    for task in sorted(tasks, key=lambda task: task.engine.manifest.data is None):
        data, fingerprint = task.engine.manifest.data, task.split.fingerprint
        key = (fingerprint if data is None else data.fingerprint, fingerprint, task.part)
        keys[task.name] = adopted_key(key, keys.values()) if data is None else key
    return {task.name: keys[task.name] for task in tasks}


def _report_name(given: str, tasks: Sequence[Assignment]) -> str:
    """The name of the one report of the file `given`, which may have a part or views of the faces behind the file's."""
    names = [task.name for task in tasks if given in (task.name, task.engine.path.stem)]
    return names[0] if len(names) == 1 else given


def with_ensembles(
    groups: Sequence[ContenderGroup], wanted: Sequence[Sequence[str]], meter: Meter
) -> list[ContenderGroup]:
    """Add to each group its ensembles.

    Args:
        groups: the models, side by side.
        wanted: the names of each ensemble's models; none for a greedy pick in every group.
        meter: is told what is done.
    """
    models = {model.name: model for group in groups for model in group.contenders}
    by_hand = enumerate((names for names in wanted if names), 1)
    named = [ensemble(f"ensemble-{number}", [models[name] for name in names]) for number, names in by_hand]
    extended = []
    for number, group in enumerate(groups, 1):
        names_here = {model.name for model in group.contenders}
        added = [together for together in named if together.members[0].assignment.name in names_here]
        notes: tuple[str, ...] = ()
        if any(not names for names in wanted):
            picked, note = _picked(group, f"ensemble-picked-{number}", meter)
            added, notes = added + picked, (note,)
        extended.append(replace(group, contenders=ranked([*group.contenders, *added]), notes=notes))
    return extended


def _picked(group: ContenderGroup, name: str, meter: Meter) -> tuple[list[Contender], str]:
    """The greedy ensemble, none where there may not or need not be one, and what is to be said of it."""
    models = [contender.members[0] for contender in group.contenders]
    tasks = [model.assignment for model in models]
    if (reason := _no_validation(tasks)) is not None:
        return [], f"No ensemble was picked: {reason}"
    answers = []
    for task, model in zip(tasks, models, strict=True):
        meter.stage(f"validating {task.engine.path.stem}")
        count = meter.counter(model.seconds_per_face)
        answers.append(measure(task.predictor, task.faces.pixels, task.split.validation, count).probabilities)
    labels = tasks[0].faces.labels[tasks[0].split.validation].astype(np.int64)
    choice = pick_greedily(labels, answers)
    members = [group.contenders[index] for index in choice.places]
    if len(members) < MIN_MEMBERS:
        return [], f"No ensemble was picked: on the validation part nothing improves on {members[0].name} alone."
    words = " + ".join(member.name for member in members)
    return [ensemble(name, members, choice)], f"Picked on the validation part, in this order: {words}."


def _no_validation(tasks: Sequence[Assignment]) -> str | None:
    """Why there is no part to pick on that is neither the test part nor known to a model; None where there is one."""
    plan, part = tasks[0].split.plan, tasks[0].part
    if len(tasks) < MIN_MEMBERS:
        return "there is only one model."
    if plan.selects_on != "validation":
        return f"the {plan.protocol} protocol has no validation part besides its test part."
    if part == "validation":
        return "the models are measured on the validation part itself."
    for task in tasks:
        seen = exposure(task.engine.manifest, task.faces, task.split.validation)
        if seen.same_faces is None:
            return f"{task.engine.path.stem} was adopted, and may have been trained on the validation part."
        if seen.same_faces and seen.trained_on is None:
            return (
                f"{task.engine.path.stem} may have been trained on the validation part, which cannot be told from this "
                "form of the data."
            )
        if seen.trained_on:
            return f"{task.engine.path.stem} was trained on faces of the validation part."
    return None
