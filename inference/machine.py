"""What this process may use of the machine it runs on, and what to call it in a record."""

import os
import platform
from pathlib import Path

from data.errors import InputError

CGROUP = Path("/sys/fs/cgroup")
PROCESSOR = Path("/proc/cpuinfo")
BF16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}


def available_cpus() -> int:
    """Return how many processors this process may keep busy: its affinity, or its cgroup's quota where smaller."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cgroup_quota(CGROUP)
    return allowed if quota is None else max(1, min(allowed, int(quota)))


def cgroup_quota(root: Path) -> float | None:
    """Return the processors that a cgroup (version 2, then 1) below `root` grants, or None where there is no limit."""
    try:
        limit, period = (root / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            limit = (root / "cpu/cpu.cfs_quota_us").read_text().strip()
            period = (root / "cpu/cpu.cfs_period_us").read_text().strip()
        except OSError:
            return None
    if not limit.isdigit() or not period.isdigit() or int(period) == 0:
        return None
    return int(limit) / int(period)


def load_average() -> float | None:
    """Return how many processes wanted a processor in the last minute, on average; None where nobody counts."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def processor_name() -> str:
    """Return the processor's model name, such as `Intel(R) Xeon(R) Processor`."""
    return _processor_fact("model name") or platform.processor() or platform.machine()


def require_bf16() -> None:
    """Raise an `InputError` if the processor says what it can do, and multiplying in bf16 is not in it."""
    # x86 has flags, ARM has Features.
    said = _processor_fact("flags") or _processor_fact("Features")
    if said is not None and not BF16_FLAGS & set(said.split()):
        raise InputError(
            f"--precision is bf16, for which this processor ({processor_name()}) has no instructions: it would train "
            "many times slower than in fp32; use fp32"
        )


def _processor_fact(name: str) -> str | None:
    try:
        lines = PROCESSOR.read_text().splitlines()
    except OSError:
        return None
    facts = (line.split(":", 1) for line in lines if ":" in line)
    return next((value.strip() for key, value in facts if key.strip() == name), None)
