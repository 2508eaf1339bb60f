"""The foreign model's side of an adoption, in a process of its own: `python -m export.adopt.side WORK`.

It reads `foreign.onnx`, `task.json` and `pixels.npy` from WORK, has the foreign file itself answer the faces, fed by
NumPy and OpenCV (`raw.npy`), then converts the network (`network.onnx`). A stranger's file that takes its process down
takes nothing else with it.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import onnx

from data.commands import run_command
from data.documents import read_document, strict
from export.adopt.foreign import runner
from export.adopt.network import foreign_network
from export.adopt.reference import answered
from inference.adoption import Preprocessing

FOREIGN, TASK, PIXELS, RAW, NETWORK = "foreign.onnx", "task.json", "pixels.npy", "raw.npy", "network.onnx"


@dataclass(frozen=True, kw_only=True)
class SideTask:
    """What is to be asked of a foreign file: its input and output by their names, how faces are fed to it, how many at
    once (`foreign_batch`; None is any number), and the batch that the artifact is to have."""

    __pydantic_config__: ClassVar = strict()

    input: str
    output: str
    preprocessing: Preprocessing
    foreign_batch: int | None
    batch: int | None


def main() -> int:
    """Answer and convert."""
    work = Path(sys.argv[1])
    task = read_document(SideTask, work / TASK, "adopt it again")
    content = (work / FOREIGN).read_bytes()
    run = runner(content, "the file", task.input, task.output)
    raw = answered(run, np.load(work / PIXELS), task.preprocessing, task.foreign_batch)
    np.save(work / RAW, raw)
    network = foreign_network(content, task.output, task.preprocessing.shape, task.batch)
    onnx.save(network, work / NETWORK)
    return 0


if __name__ == "__main__":
    run_command(main)
