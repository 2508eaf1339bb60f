"""How many processors a process may use: the smallest quota of its own cgroup and of all above it; and how they are
used."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from inference import machine
from inference.machine import available_cpus, cgroup_quota
from training.paddle.kernels import VARIABLE, choose_kernels
from training.torch.waiting import SETTINGS


def mounted(root: Path, files: dict[str, str], membership: str) -> tuple[Path, Path]:
    """A root with cgroups' files below it, and what the kernel says of a process."""
    for name, text in files.items():
        file = root / "cgroup" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (root / "membership").write_text(membership)
    return root / "cgroup", root / "membership"


V1 = "5:memory:/service\n4:cpu,cpuacct:/system.slice/ferox.service\n1:name=systemd:/elsewhere\n"
CASES: dict[str, tuple[dict[str, str], str, float | None]] = {
    "a container, which sees its own as the root": ({"cpu.max": "150000 100000\n"}, "0::/\n", 1.5),
    "a service": (
        {"system.slice/ferox.service/cpu.max": "200000 100000\n", "system.slice/cpu.max": "max 100000\n"},
        "0::/system.slice/ferox.service\n",
        2.0,
    ),
    "a slice that grants less than the service": (
        {"user.slice/run-1.scope/cpu.max": "400000 100000\n", "user.slice/cpu.max": "50000 100000\n"},
        "0::/user.slice/run-1.scope\n",
        0.5,
    ),
    "a neighbour's limit": ({"a/cpu.max": "max 100000\n", "b/cpu.max": "100000 100000\n"}, "0::/a\n", None),
    "no limit": ({"cpu.max": "max 100000\n"}, "0::/\n", None),
    "a cgroup that is not mounted here": ({"cpu.max": "300000 100000\n"}, "0::/../../docker/1f\n", 3.0),
    "a path with a colon": ({"a:b/cpu.max": "100000 100000\n"}, "0::/a:b\n", 1.0),
    "no cgroups": ({}, "", None),
    "nonsense": ({"cpu.max": "a b c\n", "x/cpu.max": "\n"}, "nonsense\n0::/x\n", None),
    "a period of 0": ({"cpu.max": "100000 0\n"}, "0::/\n", None),
    "version 1": (
        {
            "cpu/system.slice/ferox.service/cpu.cfs_quota_us": "250000\n",
            "cpu/system.slice/ferox.service/cpu.cfs_period_us": "100000\n",
            "cpu/cpu.cfs_quota_us": "-1\n",
            "cpu/cpu.cfs_period_us": "100000\n",
        },
        V1,
        2.5,
    ),
    "version 1 without the short name": (
        {
            "cpu,cpuacct/system.slice/cpu.cfs_quota_us": "100000\n",
            "cpu,cpuacct/system.slice/cpu.cfs_period_us": "200000\n",
        },
        V1,
        0.5,
    ),
    "both versions": (
        {
            "cpu/cpu.cfs_quota_us": "400000\n",
            "cpu/cpu.cfs_period_us": "100000\n",
            "unified/service/cpu.max": "300000 100000\n",
        },
        "1:cpu:/\n0::/service\n",
        3.0,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_smallest_quota_on_the_way_to_the_root_counts(case: str, tmp_path: Path) -> None:
    files, membership, expected = CASES[case]
    assert cgroup_quota(*mounted(tmp_path, files, membership)) == expected


def test_without_a_list_of_cgroups_the_root_is_looked_at(tmp_path: Path) -> None:
    root, _ = mounted(tmp_path, {"cpu.max": "150000 100000\n"}, "")
    assert cgroup_quota(root, tmp_path / "missing") == 1.5


@pytest.mark.parametrize(("limit", "expected"), [("50000 100000", 1), ("max 100000", None)])
def test_a_quota_bounds_the_processors_and_never_to_none(
    limit: str, expected: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unbounded = available_cpus()
    root, membership = mounted(tmp_path, {"a/b/cpu.max": limit}, "0::/a/b\n")
    monkeypatch.setattr("inference.machine.CGROUP", root)
    monkeypatch.setattr("inference.machine.MEMBERSHIP", membership)
    assert available_cpus() == (expected or unbounded)


AVX512 = "fma avx2 avx512f avx512dq avx512cd avx512bw avx512vl"


@pytest.mark.parametrize(
    ("facts", "before", "after"),
    [
        (f"vendor_id\t: AuthenticAMD\nflags\t\t: sse2 {AVX512}\n", {}, "7"),
        ("vendor_id\t: AuthenticAMD\nflags\t\t: sse2 fma avx2 avx512f\n", {}, "5"),
        ("vendor_id\t: HygonGenuine\nflags\t\t: avx2 fma\n", {}, "5"),
        ("vendor_id\t: AuthenticAMD\nflags\t\t: sse2\n", {}, None),
        # It finds its best ones itself there.
        (f"vendor_id\t: GenuineIntel\nflags\t\t: {AVX512}\n", {}, None),
        (f"vendor_id\t: AuthenticAMD\nflags\t\t: {AVX512}\n", {VARIABLE: "4"}, "4"),
        ("Features\t: fp asimd\n", {}, None),
    ],
)
def test_paddle_multiplies_with_the_best_kernels_that_a_processor_can_run(
    facts: str, before: dict[str, str], after: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpuinfo").write_text(facts)
    monkeypatch.setattr(machine, "PROCESSOR", tmp_path / "cpuinfo")
    choose_kernels(before)
    assert before.get(VARIABLE) == after


@pytest.mark.skipif(sys.platform != "linux", reason="PyTorch has another OpenMP library than libgomp elsewhere")
@pytest.mark.parametrize(("given", "turns"), [({}, "10000"), ({"GOMP_SPINCOUNT": "7"}, "7")])
def test_pytorch_s_threads_spin_briefly_unless_told_otherwise(given: dict[str, str], turns: str) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed (ferox[torch])")
    others = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    # What libgomp says of itself when it is loaded.
    variables = others | given | {"OMP_DISPLAY_ENV": "verbose"}
    words = [sys.executable, "-c", "import training.torch.model"]
    said = subprocess.run(words, env=variables, capture_output=True, text=True, check=True).stderr
    assert f"GOMP_SPINCOUNT = '{turns}'" in said
