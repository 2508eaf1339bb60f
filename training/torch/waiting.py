"""How long PyTorch's threads wait for each other without giving their processor up.

They meet after every operation. By default libgomp, which runs them, spins for up to 300,000 turns before it sleeps
(https://gcc.gnu.org/onlinedocs/libgomp/GOMP_005fSPINCOUNT.html), so that beside other work a thread holds the very
processor that the one it waits for would need. docs/frameworks.md has what this costs.
"""

import os
from collections.abc import MutableMapping

VARIABLE = "GOMP_SPINCOUNT"
# What a user may have chosen already.
SETTINGS = ("OMP_WAIT_POLICY", VARIABLE)
TURNS = "10000"


def wait_briefly(variables: MutableMapping[str, str] = os.environ) -> None:
    """Have libgomp, which reads `variables` once, when PyTorch is imported, spin for less, unless they say how long."""
    if not any(name in variables for name in SETTINGS):
        variables[VARIABLE] = TURNS
