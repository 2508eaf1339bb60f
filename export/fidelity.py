"""The gate for lower precisions: does the artifact still say what the float32 one that it was made from said?

Logits of another precision cannot agree to the last digits. So the answers as a whole are compared: their mean
divergence, the share of equal labels, and the accuracy, which is refused only where it surely fell: a limit on the
difference itself would rest on the noise of a few dozen faces. It is never asked on a test part.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.faceset import FaceSet
from data.splits import Split
from inference.engine import Engine
from inference.paired import difference_interval

# What the measured models leave room for, see docs/experiments.md.
LARGEST_DIVERGENCE, LEAST_AGREEMENT, LARGEST_DROP = 0.02, 0.95, 0.005
# As many as the official protocol's validation part.
FACES = 3589


@dataclass(frozen=True)
class Fidelity:
    """A lower precision beside float32 on some faces.

    Attributes:
        part: of the division that the faces are from.
        faces: how many.
        accuracy_fp32: from 0 to 1, as are the next two.
        accuracy: of the lower precision.
        agreement: the share of faces with the same label.
        divergence: the mean Kullback-Leibler divergence, in nats, of its probabilities from float32's, both at
            temperature 1.
        interval: the paired 95 % bootstrap interval of `accuracy` - `accuracy_fp32`.
    """

    part: str
    faces: int
    accuracy_fp32: float
    accuracy: float
    agreement: float
    divergence: float
    interval: tuple[float, float]

    @property
    def reason(self) -> str:
        """Why it is refused, one sentence; empty where it is not."""
        where = f"on {self.faces:,} faces of the {self.part} part"
        if not self.divergence <= LARGEST_DIVERGENCE:
            return f"{where} its answers diverge by {self.divergence:.3g} nats, over {LARGEST_DIVERGENCE:g}"
        if self.agreement < LEAST_AGREEMENT:
            return f"{where} it gives {self.agreement:.2%} of the faces the same label, under {LEAST_AGREEMENT:.0%}"
        if self.interval[1] < -LARGEST_DROP:
            return (
                f"{where} accuracy falls from {self.accuracy_fp32:.2%} to {self.accuracy:.2%}, surely (95 %) by more "
                f"than {100 * LARGEST_DROP:g} points"
            )
        return ""


@dataclass(frozen=True)
class FidelityVerdict:
    """What the gate found.

    Attributes:
        judged: on the part that decides.
        reported: on the test part, which decides nothing.
        float_layers: the layers left in float32.
        spared: those of them that were left so since the gate refused the model without; with each layer's divergence
            where it alone computes in int8, the largest first.
    """

    judged: Fidelity
    reported: Fidelity
    float_layers: tuple[str, ...] = ()
    spared: tuple[tuple[str, float], ...] = ()

    @property
    def reason(self) -> str:
        """Why the artifact is refused; empty where it passes."""
        return self.judged.reason

    @property
    def passed(self) -> bool:
        """Whether the artifact may be published."""
        return not self.reason

    def record(self) -> dict[str, Any]:
        """Return the verdict as JSON-able values."""
        return {
            "passed": self.passed,
            "reason": self.reason,
            "judged_on": self.judged.part,
            "limits": {
                "divergence": LARGEST_DIVERGENCE,
                "agreement": LEAST_AGREEMENT,
                "accuracy_drop": LARGEST_DROP,
            },
            "parts": {found.part: asdict(found) for found in (self.judged, self.reported)},
            "spared": dict(self.spared),
        }


def judged_part(split: Split) -> str:
    """The part that the gate asks about: validation, or training faces where a protocol has no validation part."""
    return "validation" if split.plan.selects_on == "validation" else "train"


def judged_faces(split: Split) -> NDArray[np.int64]:
    """Return the faces of `judged_part`, int64[N]; of a training part up to `FACES`, seeded."""
    places = split.part(judged_part(split))
    if judged_part(split) == "validation" or len(places) <= FACES:
        return places
    return np.sort(np.random.default_rng(0).permutation(places)[:FACES])


def compare(before: Engine, after: Engine, faces: FaceSet, part: str, places: NDArray[np.int64]) -> Fidelity:
    """Compare a lower precision with float32 on the faces at `places`, which are of `part`."""
    records = faces.records[places]
    pixels, labels = np.ascontiguousarray(records["pixels"]), records["label"]
    full, lowered = (engine.run(pixels)[0] for engine in (before, after))
    first, second = (logits.argmax(axis=1) == labels for logits in (full, lowered))
    return Fidelity(
        part,
        len(labels),
        float(first.mean()),
        float(second.mean()),
        float((full.argmax(axis=1) == lowered.argmax(axis=1)).mean()),
        divergence(full, lowered),
        difference_interval(second, first),
    )


def divergence(full: NDArray[np.float32], lowered: NDArray[np.float32]) -> float:
    """Return the mean Kullback-Leibler divergence, in nats, of softmax(`lowered`) from softmax(`full`), [N, 7] each."""
    from scipy.special import log_softmax

    sure, guess = (log_softmax(logits.astype(np.float64), axis=1) for logits in (full, lowered))
    return float((np.exp(sure) * (sure - guess)).sum(axis=1).mean())
