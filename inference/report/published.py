"""What others report on FER2013, to stand beside our own figures: facts, with what each was selected on.

The published experiments divide the faces as the random protocol does and pick the best epoch on the test part;
`tests/published_results.json` holds their every count.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from inference.manifest import DataRecord
from inference.report.document import EvaluatedOn

# Test accuracies, 0 to 1, by model, optimiser and balance; of two SGD runs of CNN_2, the one at `SGD_RATE`.
SGD_RATE = 0.01
PUBLISHED = {
    ("mlp_1", "adam", "none"): 0.444831,
    ("mlp_2", "adam", "none"): 0.414182,
    ("mlp_3", "adam", "none"): 0.41251,
    ("mlp_4", "adam", "none"): 0.441906,
    ("cnn_1", "adam", "none"): 0.560463,
    ("cnn_2", "adam", "none"): 0.58331,
    ("cnn_2", "adamw", "none"): 0.592366,
    ("cnn_2", "sgd", "none"): 0.592366,
    ("cnn_2", "adagrad", "none"): 0.430203,
    ("cnn_2", "adamax", "none"): 0.593341,
    ("cnn_3", "adam", "none"): 0.593898,
    ("cnn_4_original", "adam", "none"): 0.579967,
    ("cnn_4", "adam", "none"): 0.655196,
    ("resnet_18", "adamax", "none"): 0.682781,
    ("resnet_18", "adamax", "class-weights"): 0.689189,
}


@dataclass(frozen=True)
class Other:
    """Somebody else's accuracy on PrivateTest, 0 to 1."""

    name: str
    accuracy: float
    remark: str


OTHERS = (
    Other("best ensemble reported", 0.752, "from scratch, no other data"),
    Other(
        "best single network reported", 0.737, "from scratch, no other data; its checkpoint was picked on PrivateTest"
    ),
    Other("model that the `fer` package brings", 0.6587, "as measured; what it was selected on is not said"),
    Other("DeepFace's model", 0.574, "as its authors report; what it was selected on is not said"),
)


# How many faces each protocol gives to each part of all FER2013. Its copies differ in pixels, though not in faces: the
# images that are passed around are JPEGs, the CSV is not, so that no fingerprint tells it.
FER2013_COUNTS = {
    "official": {"train": 28_709, "validation": 3_589, "test": 3_589},
    "random": {"train": 28_709, "validation": 7_178, "test": 7_178},
}


def is_fer2013(data: DataRecord) -> bool:
    """Whether faces are all of FER2013, by how many are in each part; no part of it, nor its folds, is told."""
    return data.counts == FER2013_COUNTS.get(data.protocol)


def is_fer2013_test(on: EvaluatedOn, protocol: str) -> bool:
    """Whether a report is of all of FER2013's test faces under that protocol, which others' figures are of."""
    return (on.protocol, on.part) == (protocol, "test") and is_fer2013(on)


def published_accuracy(settings: Mapping[str, Any], on: EvaluatedOn) -> float | None:
    """Return the published accuracy that a training with these settings repeats, None where none was published."""
    if not is_fer2013_test(on, "random") or settings.get("recipe") != "published":
        return None
    # The published ResNet-18 began with ImageNet's weights, all others with new ones, and none was taught.
    begun = "imagenet" if settings.get("model") == "resnet_18" else "none"
    if settings.get("weights", "none") != begun or settings.get("teachers"):
        return None
    if settings.get("optimizer") == "sgd" and settings.get("learning_rate") != SGD_RATE:
        return None
    model, optimizer, balance = (str(settings.get(name)) for name in ("model", "optimizer", "balance"))
    return PUBLISHED.get((model, optimizer, balance))
