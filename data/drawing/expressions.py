"""What the seven expressions do to a face: the table by which faces are drawn, apart from the drawing.

The movements follow the usual description of the basic expressions in facial action units (Ekman and
Friesen), somewhat overdone, since a face has only 48x48 pixels to show them.
"""

from typing import NamedTuple

import numpy as np


class Expression(NamedTuple):
    """Where the movable features stand; the defaults are a face at rest.

    Lengths are in face units: half the height of the head is 1.
    """

    brow_inner: float = 0.0  # How far the brow's inner end is raised,
    brow_outer: float = 0.0  # and its outer end,
    brow_pinch: float = 0.0  # and how far the inner end is drawn to the middle.
    lid_upper: float = 0.075  # The eye's opening above its axis,
    lid_lower: float = 0.045  # and below.
    wrinkle: float = 0.0  # The nose's wrinkles, 0 to 1,
    fold: float = 0.1  # the folds from nose to mouth,
    forehead: float = 0.0  # and the lines across the forehead.
    width: float = 0.26  # Half the mouth's width.
    corner: float = 0.0  # How far the mouth's corners are raised.
    opening: float = 0.0  # The height of the mouth's opening.
    lift: float = 0.0  # How far the upper lip's middle is raised.
    roundness: float = 0.4  # The opening's ends: pointed at 0.3, an oval at 1.
    teeth: float = 0.0  # The part of the opening that the teeth fill.
    skew: float = 0.0  # How much one side of the mouth is raised over the other.


class Manner(NamedTuple):
    """One way to show an expression, from a subtle form to the strongest."""

    subtle: Expression
    strong: Expression


FROWN = Manner(
    Expression(
        brow_inner=-0.05, brow_outer=0.01, brow_pinch=0.03, lid_upper=0.06, lid_lower=0.04,
        width=0.23, corner=-0.02,
    ),
    Expression(
        brow_inner=-0.16, brow_outer=0.1, brow_pinch=0.09, lid_upper=0.055, lid_lower=0.03,
        wrinkle=0.3, fold=0.4, width=0.2, corner=-0.07,
    ),
)  # fmt: skip
SNARL = Manner(
    Expression(
        brow_inner=-0.06, brow_outer=0.01, brow_pinch=0.04, lid_upper=0.065, lid_lower=0.04,
        fold=0.3, width=0.24, corner=-0.01, opening=0.07, roundness=0.8, teeth=0.9,
    ),
    Expression(
        brow_inner=-0.17, brow_outer=0.11, brow_pinch=0.09, lid_upper=0.07, lid_lower=0.03,
        wrinkle=0.4, fold=0.7, width=0.28, corner=-0.05, opening=0.22, lift=0.03, roundness=1, teeth=1,
    ),
)  # fmt: skip
SNEER = Manner(
    Expression(
        brow_inner=-0.04, brow_outer=-0.02, brow_pinch=0.03, lid_upper=0.045, lid_lower=0.025,
        wrinkle=0.5, fold=0.5, width=0.22, corner=-0.03, lift=0.05, skew=0.03,
    ),
    Expression(
        brow_inner=-0.1, brow_outer=-0.05, brow_pinch=0.06, lid_upper=0.03, lid_lower=0.01,
        wrinkle=1, fold=1, width=0.22, corner=-0.1, opening=0.05, lift=0.13, teeth=0.5, skew=0.08,
    ),
)  # fmt: skip
FRIGHT = Manner(
    Expression(
        brow_inner=0.07, brow_outer=0.0, brow_pinch=0.03, lid_upper=0.1, lid_lower=0.06,
        forehead=0.2, width=0.27, corner=-0.03, opening=0.05, roundness=0.8, teeth=0.5,
    ),
    Expression(
        brow_inner=0.22, brow_outer=0.02, brow_pinch=0.06, lid_upper=0.16, lid_lower=0.08,
        fold=0.3, forehead=0.6, width=0.35, corner=-0.09, opening=0.16, roundness=0.95, teeth=0.7,
    ),
)  # fmt: skip
SMILE = Manner(
    Expression(lid_upper=0.07, lid_lower=0.03, fold=0.3, width=0.28, corner=0.04),
    Expression(brow_outer=0.02, lid_upper=0.05, lid_lower=0.01, fold=0.9, width=0.35, corner=0.13),
)
LAUGH = Manner(
    Expression(lid_upper=0.07, lid_lower=0.03, fold=0.4, width=0.29, corner=0.05, opening=0.07, teeth=1),
    Expression(
        brow_inner=0.02, brow_outer=0.03, lid_upper=0.045, lid_lower=0.005,
        fold=1, width=0.38, corner=0.14, opening=0.26, roundness=0.55, teeth=0.55,
    ),
)  # fmt: skip
SORROW = Manner(
    Expression(brow_inner=0.05, brow_outer=-0.02, brow_pinch=0.02, lid_upper=0.055, width=0.23, corner=-0.05),
    Expression(
        brow_inner=0.18, brow_outer=-0.09, brow_pinch=0.05, lid_upper=0.03, lid_lower=0.03,
        fold=0.4, forehead=0.2, width=0.24, corner=-0.15,
    ),
)  # fmt: skip
GASP = Manner(
    Expression(
        brow_inner=0.07, brow_outer=0.07, lid_upper=0.1, lid_lower=0.06,
        forehead=0.2, width=0.18, opening=0.12, roundness=1,
    ),
    Expression(
        brow_inner=0.2, brow_outer=0.2, lid_upper=0.16, lid_lower=0.1,
        forehead=1, width=0.17, opening=0.42, roundness=1, teeth=0.1,
    ),
)  # fmt: skip
REST = Manner(
    Expression(brow_inner=-0.02, brow_outer=-0.02, lid_upper=0.06, lid_lower=0.04, width=0.23, corner=-0.015),
    Expression(brow_inner=0.02, brow_outer=0.02, lid_upper=0.085, lid_lower=0.05, width=0.28, corner=0.015),
)

# By label, in the order of `data.faceset.LABELS`.
MANNERS: tuple[tuple[Manner, ...], ...] = (
    (FROWN, SNARL),
    (SNEER,),
    (FRIGHT,),
    (SMILE, LAUGH),
    (SORROW,),
    (GASP,),
    (REST,),
)


def sample_expression(label: int, rng: np.random.Generator) -> Expression:
    """Show the expression in one of its manners; strong or subtle as a whole, each feature a little apart.

    Some faces show less than the subtle end: what keeps the best model from being always right.
    """
    manners = MANNERS[label]
    subtle, strong = np.array(manners[rng.integers(len(manners))])
    strength = rng.uniform(-0.3, 1) + rng.normal(0, 0.15, len(subtle))
    values = subtle + (strong - subtle) * strength.clip(-0.5, 1.15)
    return Expression(*values.tolist())
