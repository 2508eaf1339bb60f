"""Exports a run's checkpoint by optimum-onnx, in its environment: `python -m benchmarks.optimum_export RUN FOLDER`.

As its guide has it for a model of one's own: a configuration that says what goes in and comes out, `export`, and
`validate_model_outputs` (https://huggingface.co/docs/optimum-onnx/onnx/usage_guides/contribute).
"""

import sys
from pathlib import Path
from typing import Any

import torch
from optimum.exporters.onnx import export, validate_model_outputs
from optimum.exporters.onnx.config import OnnxConfig
from optimum.utils import DummyVisionInputGenerator, NormalizedVisionConfig
from transformers import PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import ImageClassifierOutput

from data.faceset import LABELS, SIDE
from training.run import check_file, read_record
from training.specs import ModelSpec, model_spec
from training.torch.model import build, set_weights
from training.weights import Weights, load_weights

OPSET = 18


class FacesConfig(PretrainedConfig):  # type: ignore[misc]
    """What optimum asks a model's configuration for: the sides and channels of random pictures."""

    model_type = "faces"
    image_size, num_channels = SIDE, 1


class Faces(PreTrainedModel):  # type: ignore[misc]
    """A network as transformers has them."""

    config_class, main_input_name = FacesConfig, "pixel_values"

    def __init__(self, spec: ModelSpec, weights: Weights) -> None:
        super().__init__(FacesConfig(num_labels=len(LABELS)))
        self.network = build(spec)
        set_weights(self.network, weights)

    def forward(self, pixel_values: torch.Tensor) -> ImageClassifierOutput:
        """Return logits float32[N, 7] of float32[N, 1, 48, 48]."""
        return ImageClassifierOutput(logits=self.network(pixel_values))


class FacesOnnxConfig(OnnxConfig):  # type: ignore[misc]
    """What goes into the file's network, and what comes out."""

    NORMALIZED_CONFIG_CLASS = NormalizedVisionConfig
    DUMMY_INPUT_GENERATOR_CLASSES = (DummyVisionInputGenerator,)
    ATOL_FOR_VALIDATION = 1e-4

    @property
    def inputs(self) -> dict[str, dict[int, str]]:
        """Names of what goes in, and its open axes."""
        return {"pixel_values": {0: "batch_size"}}

    @property
    def outputs(self) -> dict[str, dict[int, str]]:
        """Names of what comes out, and its open axes."""
        return {"logits": {0: "batch_size"}}


def main() -> None:
    """Export and validate; a difference that is too large is an exception."""
    run, folder = Path(sys.argv[1]), Path(sys.argv[2])
    record = read_record(run)
    if record.best is None:
        raise SystemExit(f"{run} has no checkpoint yet")
    spec = model_spec(record.settings.model)
    weights = load_weights(check_file(run, record.best.file, record.best.sha256), spec)
    model, path = Faces(spec, weights).eval(), folder / "model.onnx"
    config: Any = FacesOnnxConfig(model.config, task="image-classification")
    _, outputs = export(model, config, path, opset=OPSET)
    validate_model_outputs(config, model, path, outputs, config.ATOL_FOR_VALIDATION)


if __name__ == "__main__":
    main()
