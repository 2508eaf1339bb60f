"""The gate for lower precisions: does the artifact still say what the float32 one that it was made from said?

Logits of another precision cannot agree to the last digits. So the answers as a whole are compared: their mean
divergence, the share of equal labels, and the accuracy, which is refused only where it surely fell: a limit on the
difference itself would rest on the noise of a few dozen faces. It is never asked on a test part.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from data.faceset import FaceSet
from data.splits import Split
from inference.engine import Engine
from inference.manifest import Fidelity, Parity
from inference.measure.paired import difference_interval
from inference.text import percent

# What the measured models leave room for, see docs/experiments.md.
LARGEST_DIVERGENCE, LEAST_AGREEMENT, LARGEST_DROP = 0.02, 0.95, 0.005
# As many as the official protocol's validation part.
FACES = 3589


def refusal(fidelity: Fidelity) -> str:
    """Say why what was found is too little, in one sentence; empty where it is enough."""
    where = f"on {fidelity.faces:,} faces of the {fidelity.part} part"
    if fidelity.divergence is None or fidelity.interval is None:
        return f"{where} its answers were not compared in full"
    if not fidelity.divergence <= LARGEST_DIVERGENCE:
        return f"{where} its answers diverge by {fidelity.divergence:.3g} nats, over {LARGEST_DIVERGENCE:g}"
    if fidelity.agreement < LEAST_AGREEMENT:
        agreement, least = percent(fidelity.agreement, 2), percent(LEAST_AGREEMENT)
        return f"{where} it gives {agreement} of the faces the same label, under {least}"
    if fidelity.interval[1] < -LARGEST_DROP:
        before, after = percent(fidelity.accuracy_fp32, 2), percent(fidelity.accuracy, 2)
        return (
            f"{where} accuracy falls from {before} to {after}, surely (95 %) by more than {100 * LARGEST_DROP:g} points"
        )
    return ""


def verdict(judged: Fidelity, reported: Fidelity) -> Parity:
    """Return the gate's verdict over what was found on the part that decides; the test part's decides nothing."""
    reason = refusal(judged)
    return Parity(
        passed=not reason,
        reason=reason,
        judged_on="validation" if judged.part == "validation" else "train",
        limits={"divergence": LARGEST_DIVERGENCE, "agreement": LEAST_AGREEMENT, "accuracy_drop": LARGEST_DROP},
        parts={fidelity.part: fidelity for fidelity in (judged, reported)},
    )


def judged_part(split: Split) -> Literal["train", "validation"]:
    """The part that the gate asks about: validation, or training faces where a protocol has no validation part."""
    return "validation" if split.plan.selects_on == "validation" else "train"


def judged_faces(split: Split) -> NDArray[np.int64]:
    """Return the faces of `judged_part`, int64[N]; of a training part up to `FACES`, seeded."""
    places = split.part(judged_part(split))
    if judged_part(split) == "validation" or len(places) <= FACES:
        return places
    return np.sort(np.random.default_rng(0).permutation(places)[:FACES])


def compare(
    before: Engine,
    after: Engine,
    faces: FaceSet,
    part: Literal["train", "validation", "test"],
    places: NDArray[np.int64],
) -> Fidelity:
    """Compare a lower precision with float32 on the faces at `places`, which are of `part`."""
    records = faces.records[places]
    pixels, labels = np.ascontiguousarray(records["pixels"]), records["label"]
    full, lowered = (engine.run(pixels)[0] for engine in (before, after))
    first, second = (logits.argmax(axis=1) == labels for logits in (full, lowered))
    return Fidelity(
        part=part,
        faces=len(labels),
        accuracy_fp32=float(first.mean()),
        accuracy=float(second.mean()),
        agreement=float((full.argmax(axis=1) == lowered.argmax(axis=1)).mean()),
        divergence=divergence(full, lowered),
        interval=difference_interval(second, first),
    )


def divergence(full: NDArray[np.float32], lowered: NDArray[np.float32]) -> float:
    """Return the mean Kullback-Leibler divergence, in nats, of softmax(`lowered`) from softmax(`full`), [N, 7] each."""
    from scipy.special import log_softmax

    sure, guess = (log_softmax(logits.astype(np.float64), axis=1) for logits in (full, lowered))
    return float((np.exp(sure) * (sure - guess)).sum(axis=1).mean())
