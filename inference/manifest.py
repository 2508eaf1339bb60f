"""The manifest that every artifact carries: what it is, where it came from, and how it was proven.

`manifest.schema.json` beside this module describes the same as a JSON Schema.
"""

import json
from dataclasses import asdict, dataclass, fields
from typing import Any

from data.errors import InputError
from data.faceset import LABELS
from data.splits import Split, SplitPlan

CONTRACT = 2
# Files of contract 1 have no temperature, and `probabilities` = softmax(logits).
READABLE = (1, 2)
METADATA_KEY = "ferox.manifest"
NO_DIGEST = "0" * 64
PRECISIONS = ("fp32", "fp16", "int8")
ORIGINS = ("trained",)


@dataclass(frozen=True)
class DataRecord:
    """The faces that a model was trained on, and how they were divided.

    `faces` is the fingerprint of pixels and labels alone, `fingerprint` that of pixels, labels and split.
    """

    source: str
    faces: str
    fingerprint: str
    protocol: str
    test_share: float
    seed: int
    drop_duplicates: bool
    folds: int
    fold: int | None
    counts: dict[str, int]

    def plan(self) -> SplitPlan:
        """Return the plan that divides the same faces in the same way."""
        return SplitPlan(self.protocol, self.test_share, self.seed, self.drop_duplicates, self.folds, self.fold)


def data_record(source: str, faces: str, split: Split) -> DataRecord:
    """Describe a division of the faces whose own fingerprint is `faces`."""
    plan = split.plan
    return DataRecord(
        source,
        faces,
        split.fingerprint,
        plan.protocol,
        plan.test_share,
        plan.seed,
        plan.drop_duplicates,
        plan.folds,
        plan.fold,
        split.counts,
    )


@dataclass(frozen=True)
class Selection:
    """The checkpoint that became the artifact: its epoch, and its figures on the part it was picked on.

    `part` is `validation`, or `test` where the protocol has no validation part; accuracy is a share, 0 to 1.
    """

    part: str
    epoch: int
    accuracy: float
    loss: float


@dataclass(frozen=True)
class Temperature:
    """What logits are divided by before softmax, so that probabilities are as often right as they say.

    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", https://arxiv.org/abs/1706.04599. It changes no
    answer. `value` was fitted on `faces` faces of the validation part, where the mean log loss (nats) fell from
    `log_loss_before` to `log_loss`; it is 1, and these are None, where there is no validation part to fit it on.
    """

    value: float = 1.0
    faces: int | None = None
    log_loss_before: float | None = None
    log_loss: float | None = None


@dataclass(frozen=True)
class Manifest:
    """The manifest, version 2; one of version 1 reads as it, with the defaults of what it lacks.

    `digest` is the sha256 of the whole file with the digest's own 64 hex digits read as zeros; `recipe` holds all
    training settings; `parity` holds the verdict with its figures. For a lower precision that is what it costs, with
    the verdict over the float32 artifact that it was made from under `fp32`. `inherited` is what models that it began
    with or was taught by had learned from, where that is not `data`. `float_layers` are those that int8 leaves in
    float32, by the names of their nodes.
    """

    contract: int
    digest: str
    model: str
    parameters: int
    precision: str
    framework: str
    versions: dict[str, str]
    labels: tuple[str, ...]
    recipe: dict[str, Any]
    data: DataRecord
    selection: Selection
    checkpoint_sha256: str
    parity: dict[str, Any]
    created: str
    inherited: tuple[DataRecord, ...] = ()
    origin: str = "trained"
    temperature: Temperature = Temperature()
    float_layers: tuple[str, ...] = ()

    @property
    def learned(self) -> tuple[DataRecord, ...]:
        """All that it has learned from, itself or through other models; its own faces first."""
        return (self.data, *self.inherited)

    def to_json(self) -> str:
        """Return the manifest as strict, compact JSON; the digest keeps its place whatever its value."""
        return json.dumps(asdict(self), allow_nan=False)


# What a manifest of contract 1 does not say.
LATER: dict[str, Any] = {"origin": "trained", "temperature": asdict(Temperature()), "float_layers": []}


def parse_manifest(text: str, name: str) -> Manifest:
    """Read a manifest.

    Args:
        text: what stands under the metadata key.
        name: the artifact's file name, for messages.

    Raises:
        InputError: it is of another contract version, or not a manifest of this version.
    """
    remedy = "export the run again with this version: python -m export RUN"
    try:
        content = json.loads(text)
    except ValueError:
        raise InputError(f"{name}: its {METADATA_KEY} is not JSON; {remedy}") from None
    version = content.get("contract") if isinstance(content, dict) else None
    if version not in READABLE:
        known = " and ".join(map(str, READABLE))
        raise InputError(f"{name} follows contract version {version!r}, this engine reads {known}; {remedy}")
    try:
        manifest = _build(content)
    except (KeyError, TypeError, ValueError, AttributeError, InputError) as error:
        raise InputError(
            f"{name}: its manifest does not follow contract version {version} ({error}); {remedy}"
        ) from error
    if manifest.labels != LABELS:
        raise InputError(f"{name}: its labels are {', '.join(manifest.labels)}; expected {', '.join(LABELS)}; {remedy}")
    return manifest


def _build(content: dict[str, Any]) -> Manifest:
    if content["contract"] == 1:
        # Those from before there was fine-tuning do without `inherited`, too.
        content = {"inherited": [], **LATER} | content
    _check_fields(Manifest, content)
    selection = content["selection"]
    _check_fields(Selection, selection)
    record, *inherited = [_data(one) for one in (content["data"], *content["inherited"])]
    for name in ("model", "precision", "framework", "digest", "checkpoint_sha256", "created"):
        if not isinstance(content[name], str):
            raise TypeError(f"{name} is {content[name]!r}, expected text")
    if content["origin"] not in ORIGINS:
        raise ValueError(f"origin is {content['origin']!r}, expected {' or '.join(ORIGINS)}")
    for name in ("versions", "recipe", "parity"):
        if not isinstance(content[name], dict):
            raise TypeError(f"{name} is {content[name]!r}, expected an object")
    labels = tuple(str(label) for label in content["labels"])
    parts = {
        "data": record,
        "inherited": tuple(inherited),
        "selection": Selection(**selection),
        "labels": labels,
        "temperature": _temperature(content["temperature"]),
        "float_layers": tuple(str(layer) for layer in content["float_layers"]),
    }
    return Manifest(**(content | parts))


def _temperature(content: dict[str, Any]) -> Temperature:
    _check_fields(Temperature, content)
    value = content["value"]
    if not isinstance(value, int | float) or not 0 < value < float("inf"):
        raise ValueError(f"temperature is {value!r}, expected a number above 0")
    return Temperature(**content)


def _data(content: dict[str, Any]) -> DataRecord:
    _check_fields(DataRecord, content)
    record = DataRecord(**content)
    record.plan()
    return record


def _check_fields(kind: type, content: dict[str, Any]) -> None:
    wanted = {field.name for field in fields(kind)}
    if set(content) != wanted:
        raise ValueError(f"{kind.__name__} has the fields {sorted(content)}, expected {sorted(wanted)}")
