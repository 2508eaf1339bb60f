"""Under which terms the weights of a model stand, said alike on its card and in the Hub's form.

What is known is said, and what is not; nobody here can grant what belongs to others.
"""

import re

from data.errors import printable
from inference.manifest import Manifest
from inference.report.published import is_fer2013

# What `data.draw` calls its faces.
DRAWN = re.compile(r"drawn-\d+-seed\d+")
OURS = """The program that wrote this file is under the Apache License 2.0. The weights in it are another matter: what
they may be used for depends on the faces that they learned from, too."""
FER2013 = """They learned from FER2013, whose 35,887 photographs were gathered with Google's image search for a contest
of the ICML 2013 workshop on representation learning ([its report](https://arxiv.org/abs/1307.0414)), and are had from
Kaggle under the rules of that contest. Whoever took a photograph or is shown in one may have rights in it. The
contest's rules forbid sharing its data privately outside of a team; a licence that says what models trained on it may
be used for is not known to us.

So the weights are offered for research and teaching alone, and no right of others is granted with them. Whoever wants
more has to settle it with those who can grant it. This is what we know, and no legal advice."""
OWN_FACES = "They learned from faces that this program has drawn; nobody else has rights in these."
OTHER_FACES = """They learned from {sources}. Under which terms these faces may be used for training, and the weights
after it, is known to whoever trained the model, not to this program; docs/licences.md says what is known of FER2013, of
which they may be copies or parts. This is no legal advice."""
OTHERS_WEIGHTS = """They are others': they were adopted as they are, from {file}. Under which terms they may be used or
given away is said by whoever published them, not by this file; the faces that they learned from have terms of their
own. This is no legal advice."""
IMAGENET = "\n\nThey began as weights that torchvision offers, learned from ImageNet, which has terms of its own."


def terms(manifest: Manifest) -> str:
    """Return, in Markdown, what is known of the terms of an artifact's weights, by all faces that they learned from."""
    if manifest.adoption is not None:
        return f"{OURS}\n\n{OTHERS_WEIGHTS.format(file=printable(manifest.adoption.file))}"
    sources = dict.fromkeys(printable(record.source) for record in manifest.learned)
    if any(is_fer2013(record) for record in manifest.learned):
        known = FER2013
    elif all(map(DRAWN.fullmatch, sources)):
        known = OWN_FACES
    else:
        known = OTHER_FACES.format(sources=" and ".join(sources))
    begun = IMAGENET if manifest.recipe.get("weights") == "imagenet" else ""
    return f"{OURS}\n\n{known}{begun}"
