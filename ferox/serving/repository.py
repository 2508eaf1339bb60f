"""Writes files for other servers: `ferox export-repository DIR MODEL...`.

DIR becomes a model repository of Triton's (https://github.com/triton-inference-server/server): for each model
`config.pbtxt`, the labels and the artifact as version 1. `inferenceservice.yaml` lets KServe run Triton over a copy of
DIR, at --storage-uri.
"""

import argparse
import json
import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from data.errors import InputError
from data.faceset import LABELS, SIDE
from data.files import TEMPORARY_PREFIX, write_text
from data.terminal import hand_over
from ferox.serving.command import STORAGE, named_models
from inference.engine import BATCH, Engine

SERVICE = "inferenceservice.yaml"
LABELS_FILE = "labels.txt"
# What KServe takes for a name, as Kubernetes does.
SERVICE_NAME = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
# Triton waits so long for a fuller batch; the server here has the same by default.
DELAY_MICROSECONDS = 2000


def main(args: argparse.Namespace) -> int:
    """Write the repository and print its folder.

    Raises:
        InputError: a model cannot be used or is there already, or the name is none that Kubernetes takes.
    """
    write_repository(args.folder, args.models, storage=args.storage_uri, name=args.name)
    hand_over(args.folder)
    return 0


def write_repository(folder: Path, models: Sequence[Path], *, storage: str = STORAGE, name: str = "ferox") -> None:
    """Write a model repository and KServe's document; each model is there whole or not at all.

    Args:
        folder: of the repository.
        models: artifacts, or folders of them; their names without suffix are the models' names.
        storage: the address at which KServe finds a copy of the folder.
        name: of the InferenceService.

    Raises:
        InputError: a model cannot be used or is there already, or the name is none that Kubernetes takes.
    """
    if not SERVICE_NAME.fullmatch(name):
        raise InputError(f"--name is {name!r:.100}, expected up to 63 of a-z, 0-9 and hyphens; give such a one")
    named = named_models(models)
    for model, path in named.items():
        if (folder / model).exists():
            raise InputError(f"{folder / model} is there already, expected a new one; remove it, or give another DIR")
        if (batch := Engine.load(path, provider="cpu").manifest.batch) is not None:
            raise InputError(
                f"{path.name} takes {batch} faces at a time, expected one that takes any number, which Triton puts "
                "together; export the run without --fixed-batch"
            )
    folder.mkdir(parents=True, exist_ok=True)
    for model, path in named.items():
        _write_model(folder, model, path)
    write_text(folder / SERVICE, inference_service(name, storage))


def _write_model(folder: Path, model: str, path: Path) -> None:
    with tempfile.TemporaryDirectory(prefix=TEMPORARY_PREFIX, dir=folder) as partial:
        made = Path(partial) / "model"
        (made / "1").mkdir(parents=True)
        shutil.copyfile(path, made / "1" / "model.onnx")
        (made / LABELS_FILE).write_text("".join(f"{label}\n" for label in LABELS))
        (made / "config.pbtxt").write_text(model_config(model))
        made.rename(folder / model)


def model_config(model: str) -> str:
    """Return Triton's description of a model, a ModelConfig in protobuf's text format; the batch is its own."""
    return f"""name: {json.dumps(model)}
platform: "onnxruntime_onnx"
backend: "onnxruntime"
max_batch_size: {BATCH}
input [
  {{ name: "pixels" data_type: TYPE_UINT8 dims: [ {SIDE}, {SIDE} ] }}
]
output [
  {{ name: "logits" data_type: TYPE_FP32 dims: [ {len(LABELS)} ] label_filename: "{LABELS_FILE}" }},
  {{ name: "probabilities" data_type: TYPE_FP32 dims: [ {len(LABELS)} ] label_filename: "{LABELS_FILE}" }}
]
dynamic_batching {{ max_queue_delay_microseconds: {DELAY_MICROSECONDS} }}
"""


def inference_service(name: str, storage: str) -> str:
    """Return a document with which KServe runs Triton over a copy of the repository."""
    return f"""apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata:
  name: {json.dumps(name)}
spec:
  predictor:
    model:
      modelFormat:
        name: triton
      protocolVersion: v2
      storageUri: {json.dumps(storage)}
"""
