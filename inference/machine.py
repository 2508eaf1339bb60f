"""What this process may use of the machine it runs on, and what to call it in a record."""

import os
import platform
from pathlib import Path

from data.errors import InputError

CGROUP, MEMBERSHIP = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
PROCESSOR = Path("/proc/cpuinfo")
BF16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}


def available_cpus() -> int:
    """Return how many processors this process may keep busy: its affinity, or its cgroups' quota where smaller."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cgroup_quota(CGROUP, MEMBERSHIP)
    return allowed if quota is None else max(1, min(allowed, int(quota)))


def cgroup_quota(root: Path, membership: Path) -> float | None:
    """Return the processors that this process's cgroup and all above it grant, or None where none of them has a limit.

    Args:
        root: where cgroups of version 2, or folders of version 1's controllers, are mounted.
        membership: the file in which the kernel lists the process's cgroups, `NUMBER:CONTROLLERS:/PATH` each; version
            2 has no controllers. Where it cannot be read, the roots alone are looked at.
    """
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        lines = []
    entries = (line.split(":", 2) for line in lines if line.count(":") >= 2)
    paths = {name: path for _, names, path in entries for name in names.split(",")}
    # Version 2 beside version 1 is mounted in a folder of its own.
    folders = [*_upwards(root, paths.get("", "/")), *_upwards(root / "unified", paths.get("", "/"))]
    quotas = [_quota(folder / "cpu.max") for folder in folders]
    for controller in ("cpu", "cpu,cpuacct"):
        for folder in _upwards(root / controller, paths.get("cpu", "/")):
            quotas.append(_quota(folder / "cpu.cfs_quota_us", folder / "cpu.cfs_period_us"))
    return min((quota for quota in quotas if quota is not None), default=None)


def _upwards(mount: Path, path: str) -> list[Path]:
    """Return a cgroup's folder and those above it, up to where they are mounted.

    A container that sees its own cgroup as the root may be told a path from outside, `/../..` or a folder that is not
    mounted here; what is not there has no limit to read.
    """
    names = [name for name in path.split("/") if name not in ("", ".", "..")]
    return [mount.joinpath(*names[:count]) for count in range(len(names), -1, -1)]


def _quota(*files: Path) -> float | None:
    """Return the quota that is written as limit and period, in one file or two; None where there is no limit."""
    try:
        limit, period = " ".join(file.read_text() for file in files).split()
    except (OSError, ValueError):
        return None
    if not limit.isdigit() or not period.isdigit() or int(period) == 0:
        return None
    return int(limit) / int(period)


def load_average() -> float | None:
    """Return how many processes wanted a processor in the last minute, on average; None where nobody counts."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def processor_name() -> str:
    """Return the processor's model name, such as `Intel(R) Xeon(R) Processor`."""
    return processor_fact("model name") or platform.processor() or platform.machine()


def require_bf16() -> None:
    """Raise an `InputError` if the processor says what it can do, and multiplying in bf16 is not in it."""
    # x86 has flags, ARM has Features.
    said = processor_fact("flags") or processor_fact("Features")
    if said is not None and not BF16_FLAGS & set(said.split()):
        raise InputError(
            f"--precision is bf16, for which this processor ({processor_name()}) has no instructions: it would train "
            "many times slower than in fp32; use fp32"
        )


def processor_fact(name: str) -> str | None:
    """Return what Linux says of the first processor under a name, such as `flags`; None where it says nothing."""
    try:
        lines = PROCESSOR.read_text().splitlines()
    except OSError:
        return None
    facts = (line.split(":", 1) for line in lines if ":" in line)
    return next((value.strip() for key, value in facts if key.strip() == name), None)
