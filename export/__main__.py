"""Turns runs into proven artifacts: `ferox export RUN...`.

Each `.onnx` published is a line of stdout. Exit status 1: a gate failed; 2: a run or its data
cannot be used. The other runs are published all the same.
"""

import argparse
from pathlib import Path

from data.commands import BAD_INPUT, GATE_REFUSED, how_to_install, run_command, system_sentence
from data.errors import InputError
from data.places import models_folder
from data.terminal import hand_over, say
from inference.manifest import PRECISIONS


def main() -> int:
    """Parse the command line and export each run."""
    parser = argparse.ArgumentParser(prog="python -m export", description=__doc__, allow_abbrev=False)
    add_arguments(parser)
    return run(parser.parse_args())


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what is exported, how, and where to."""
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="run folders that training made")
    parser.add_argument("--data", type=Path, help="the run's own data, where it has moved")
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="fp32",
        help="fp16 halves the file, int8 quarters it; published unless its answers surely got worse (default: fp32)",
    )
    parser.add_argument(
        "--fixed-batch",
        type=int,
        metavar="N",
        help="every run takes N faces, for runtimes that cannot have an open batch (default: any number)",
    )
    parser.add_argument(
        "--features",
        action="store_true",
        help="it also gives its last features, for class activation maps without ferox (default: it does not)",
    )
    parser.add_argument("--out", type=Path, default=models_folder(), help="default: %(default)s")
    parser.add_argument("--tag", default="", help="what the artifact's name is to say besides, such as seed7")
    parser.add_argument("--spoiled", action="store_true", help="measure it on spoiled faces, too, for its model card")
    parser.add_argument(
        "--replace", action="store_true", help="replace artifacts of the same name that other runs made"
    )


def run(args: argparse.Namespace) -> int:
    """Export each run; return 0, 1 where a gate refused one, or 2 where a run or its data cannot be used."""
    try:
        from export.batch import in_parallel
        from export.conversion import ExportError
        from export.job import ExportJob, Form, Options, read_job, refuse_taken_names
        from export.publish import export
        from export.worker import Worker
    except ModuleNotFoundError as missing:
        raise InputError(
            f"exporting needs {missing.name}, which is not installed; {how_to_install('export')}"
        ) from missing
    form = Form(args.fixed_batch, args.features)
    options = Options(args.data, args.out, args.precision, form, args.tag, args.replace, args.spoiled)
    failed, jobs = 0, []
    for run in args.runs:
        try:
            jobs.append(read_job(run, options))
        except InputError as error:
            failed = _refused(run, str(error), BAD_INPUT)
    # All at once, so that the last of many is not refused after the others' work.
    refuse_taken_names(jobs, options)

    def exported_by(job: ExportJob, worker: Worker) -> Path:
        say(f"exporting {job.run}")
        return export(job.run, options, worker)

    for job, exported in in_parallel(jobs, exported_by):
        try:
            path = exported.result()
        except ExportError as error:
            failed = max(failed, _refused(job.run, str(error), GATE_REFUSED))
        except InputError as error:
            failed = _refused(job.run, str(error), BAD_INPUT)
        except OSError as error:
            failed = _refused(job.run, system_sentence(error), BAD_INPUT)
        else:
            hand_over(path)
    return failed


def _refused(run: Path, error: str, status: int) -> int:
    say(f"error: {run} is not published: {error}")
    return status


if __name__ == "__main__":
    run_command(main)
