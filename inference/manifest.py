"""The manifest that every artifact carries: what it is, where it came from, and how it was proven.

`docs/schemas/manifest.json` describes the same as a JSON Schema.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Gt, Le

from data.documents import Count, Number, Share, parse_document, strict, top_level
from data.errors import InputError, printable
from data.faceset import LABELS
from data.splits import Split, SplitPlan
from inference.adoption import Adoption

CONTRACT = 2
# Files of contract 1 have no temperature, and `probabilities` = softmax(logits).
READABLE = (1, 2)
METADATA_KEY = "ferox.manifest"
NO_DIGEST = "0" * 64
# The output that an artifact has where its manifest says so: what its last layer averages over all places.
FEATURES = "features"
# Bounds what one run holds in memory; throughput no longer grows beyond it.
LARGEST_BATCH = 64
FRAMEWORKS = ("torch", "tensorflow", "paddle")
# What stands in a framework's place for a model that was adopted as an ONNX file, and in that of what it is unknown of.
ADOPTED_FROM, UNKNOWN = "onnx", "unknown"
PRECISIONS = ("fp32", "fp16", "int8")
PARTS = {"train", "validation", "test"}
Setting = str | int | float | bool | None


@dataclass(frozen=True)
class CorrectionsRecord:
    """How the training part was corrected before anything was trained on it (see `data.corrections`).

    `dropped` of its faces were left out, `relabelled` had another label; `fingerprint` is that of what was trained on,
    pixels and labels.
    """

    dropped: Count
    relabelled: Count
    fingerprint: str

    @property
    def words(self) -> str:
        """What was done, in words."""
        counts = [(self.dropped, "dropped"), (self.relabelled, "relabelled")]
        done = " and ".join(f"{count:,} {verb}" for count, verb in counts if count)
        return f"{done or 'none changed'}, corrected training part {self.fingerprint[:8]}"


@dataclass(frozen=True)
class DataRecord:
    """The faces that a model was trained on, and how they were divided.

    `faces` is the fingerprint of pixels and labels alone, `fingerprint` that of pixels, labels and split, both as they
    are in the data, whatever `corrections` were made to the training part; None where there were none.
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
    counts: dict[str, Count]
    corrections: CorrectionsRecord | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if set(self.counts) != PARTS:
            raise InputError(f"the counts are of {printable(', '.join(self.counts))}, expected {', '.join(PARTS)}")
        self.plan()

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

    part: Literal["validation", "test"]
    epoch: Count
    accuracy: Share
    loss: float


@dataclass(frozen=True)
class Temperature:
    """What logits are divided by before softmax, so that probabilities are as often right as they say.

    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", https://arxiv.org/abs/1706.04599. It changes no
    answer. `value` was fitted on `faces` faces of the validation part, where the mean log loss (nats) fell from
    `log_loss_before` to `log_loss`; it is 1, and these are None, where there is no validation part to fit it on.
    """

    value: Annotated[float, Gt(0)] = 1.0
    faces: Number | None = None
    log_loss_before: float | None = None
    log_loss: float | None = None


@dataclass(frozen=True)
class NearTie:
    """A face whose label differs although its logits agree: `margin` is the reference's lead of first over second."""

    index: Count
    margin: float


@dataclass(frozen=True, kw_only=True)
class Fidelity:
    """A lower precision beside float32 on some faces.

    Attributes:
        part: of the division that the faces are from.
        faces: how many.
        accuracy_fp32: from 0 to 1, as are the next two.
        accuracy: of the lower precision.
        agreement: the share of faces with the same label.
        divergence: the mean Kullback-Leibler divergence, in nats, of its probabilities from float32's, both at
            temperature 1; None in files of contract 1.
        interval: the paired 95 % bootstrap interval of `accuracy` - `accuracy_fp32`; None in files of contract 1.
    """

    part: Literal["train", "validation", "test"]
    faces: Number
    accuracy_fp32: Share
    accuracy: Share
    agreement: Share
    divergence: float | None = None
    interval: tuple[float, float] | None = None


@dataclass(frozen=True, kw_only=True)
class Parity:
    """How an artifact was proven, or why it was not; None is what its gate does not ask about.

    Attributes:
        reason: empty where passed, else one sentence.
        faces: of the run's test part among the `probes`, which float32 was compared with the framework on.
        tolerance: the relative one of each face's logits, and the `smallest_tolerance` that would pass.
        largest_difference: the largest |logit difference| over all probes and batch sizes.
        near_ties: faces that get another label.
        classes: how many different labels the reference gives to real faces.
        judged_on: the part that a lower precision was judged on, within `limits`; `parts` has what was found there and
            on the test part, by part. `spared` are the layers that were left in float32 since int8 was refused with
            them, and the divergence of each alone. `accuracy_drop` is what files of contract 1 say instead.
        fp32: of a lower precision, how the float32 artifact that it was made from was proven.
    """

    passed: bool
    reason: str = ""
    faces: Count | None = None
    probes: Count | None = None
    tolerance: float | None = None
    largest_difference: float | None = None
    smallest_tolerance: float | None = None
    near_ties: tuple[NearTie, ...] = ()
    classes: Count | None = None
    judged_on: Literal["train", "validation"] | None = None
    limits: dict[str, float] = field(default_factory=dict)
    parts: dict[str, Fidelity] = field(default_factory=dict)
    spared: dict[str, float] = field(default_factory=dict)
    accuracy_drop: float | None = None
    fp32: "Parity | None" = None


@dataclass(frozen=True)
class Manifest:
    """The manifest, version 2; one of version 1 reads as it, with the defaults of what it lacks.

    `digest` is the sha256 of the whole file with the digest's own 64 hex digits read as zeros; `recipe` holds all
    training settings; `parity` holds the verdict with its figures. For a lower precision that is what it costs, with
    the verdict over the float32 artifact that it was made from under `fp32`. `inherited` is what models that it began
    with or was taught by had learned from, where that is not `data`. `float_layers` are those that int8 leaves in
    float32, by the names of their nodes. `batch` is how many faces every run takes, neither more nor fewer; None is any
    number. `features`: whether it has the output `features`, too.

    A model that others have trained has the origin `adopted`: `adoption` says what was declared of it, and `data` and
    `selection` are None, since what it was trained and selected on is unknown. Its `framework` is `onnx`, its `recipe`
    empty, `checkpoint_sha256` that of the foreign file, and its `parity` was proven against that file.
    """

    __pydantic_config__: ClassVar = strict(
        contract={"enum": list(READABLE)},
        labels={"const": list(LABELS)},
        precision={"enum": list(PRECISIONS)},
        framework={"enum": [*FRAMEWORKS, ADOPTED_FROM]},
    )

    contract: int
    digest: str
    model: str
    parameters: Count
    precision: str
    framework: str
    versions: dict[str, str]
    labels: tuple[str, ...]
    recipe: dict[str, Setting | tuple[Setting, ...] | dict[str, Setting]]
    data: DataRecord | None
    selection: Selection | None
    checkpoint_sha256: str
    parity: Parity
    created: str
    inherited: tuple[DataRecord, ...] = ()
    origin: Literal["trained", "adopted"] = "trained"
    temperature: Temperature = Temperature()
    float_layers: tuple[str, ...] = ()
    batch: Annotated[int, Ge(1), Le(LARGEST_BATCH)] | None = None
    features: bool = False
    adoption: Adoption | None = None

    def __post_init__(self) -> None:
        adopted = self.origin == "adopted"
        frameworks = (ADOPTED_FROM,) if adopted else FRAMEWORKS
        for name, known in (("precision", PRECISIONS), ("framework", frameworks)):
            if (value := getattr(self, name)) not in known:
                raise InputError(f"{name} is {printable(value)[:40]!r}, expected one of {', '.join(known)}")
        if (self.adoption is not None) != adopted or (self.data is None) != adopted:
            raise InputError(f"the origin is {self.origin}, expected data of a trained model, else an adoption")
        if (self.selection is None) != adopted or (adopted and self.inherited):
            raise InputError(f"the origin is {self.origin}, expected a selection of a trained model alone")

    @property
    def learned(self) -> tuple[DataRecord, ...]:
        """All that it is known to have learned from, itself or through other models; its own faces first."""
        return self.inherited if self.data is None else (self.data, *self.inherited)

    @property
    def corrections(self) -> CorrectionsRecord | None:
        """How the faces that it was trained on were corrected; None where they were not, or nobody knows."""
        return None if self.data is None else self.data.corrections

    @property
    def protocol(self) -> str:
        """The protocol that it was trained under, `unknown` of an adopted model."""
        return UNKNOWN if self.data is None else self.data.protocol

    @property
    def made(self) -> str:
        """How it came about, in words: `trained in torch`."""
        return f"trained in {self.framework}" if self.adoption is None else "adopted as an ONNX file"

    def to_json(self) -> str:
        """Return the manifest as strict, compact JSON; the digest keeps its place whatever its value.

        An open batch is not stated, nor having no features, nor corrections or an adoption where there are none:
        engines that know nothing else refuse fields that they do not know.
        """
        content = asdict(self, dict_factory=stated)
        if self.batch is None:
            del content["batch"]
        if not self.features:
            del content["features"]
        return json.dumps(content, allow_nan=False)


def stated(fields: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Leave out corrections and adoptions where there were none: a `dict_factory` of `dataclasses.asdict`."""
    return {name: value for name, value in fields if value is not None or name not in ("corrections", "adoption")}


# What a manifest of contract 1 does not say.
LATER = ("inherited", "origin", "temperature", "float_layers")


def parse_manifest(text: str, name: str) -> Manifest:
    """Read a manifest.

    Args:
        text: what stands under the metadata key.
        name: the artifact's file name, for messages.

    Raises:
        InputError: it is of another contract version, or not a manifest of this version.
    """
    remedy = "export the run again with this version: ferox export RUN"
    document = top_level(text)
    if document is None:
        raise InputError(f"{name}: its {METADATA_KEY} is not a JSON object; {remedy}")
    version = document.get("contract")
    if version not in READABLE or isinstance(version, bool):
        known = " and ".join(map(str, READABLE))
        raise InputError(f"{name} follows contract version {version!r:.40}, this engine reads {known}; {remedy}")
    where = f"{name}: its manifest does not follow contract version {version}"
    if version == CONTRACT and (missing := [field for field in LATER if field not in document]):
        raise InputError(f"{where}: {', '.join(missing)} is missing; {remedy}")
    manifest = parse_document(Manifest, text, where, remedy)
    if manifest.labels != LABELS:
        labels = printable(", ".join(manifest.labels))[:100]
        raise InputError(f"{name}: its labels are {labels}; expected {', '.join(LABELS)}; {remedy}")
    return manifest
