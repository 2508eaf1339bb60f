"""Lets PaddlePaddle multiply matrices as fast as a processor that is not Intel's can.

Its wheels for x86 bring MKLML, a matrix library of 2019 that takes its oldest kernels (SSE) wherever the vendor is not
Intel, whatever the processor can do. A variable that it reads at its first multiplication names others: on an AMD EPYC
with AVX-512 one thread then multiplies 2048 x 2048 matrices 4.7 times as fast.
"""

import os
from collections.abc import MutableMapping

from inference.machine import processor_fact

VARIABLE = "MKL_DEBUG_CPU_TYPE"
# Its numbers for kernels, the best first, and the instructions (as Linux calls them) that they are made of.
KERNELS = {
    "7": {"avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl", "avx2", "fma"},
    "5": {"avx2", "fma"},
}


def choose_kernels(variables: MutableMapping[str, str] = os.environ) -> None:
    """Name the best kernels in `variables`, unless that is done, or the vendor is Intel or not known."""
    vendor, flags = processor_fact("vendor_id"), set((processor_fact("flags") or "").split())
    if vendor in (None, "GenuineIntel") or VARIABLE in variables:
        return
    best = next((number for number, needed in KERNELS.items() if needed <= flags), None)
    if best is not None:
        variables[VARIABLE] = best
