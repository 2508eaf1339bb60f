"""A Ray cluster of several nodes on the loopback alone, to try out, test and measure what machines share.

Prints its address. On stdin, a line `kill` ends the last node as a machine that is gone, and `add` brings another one;
each is answered by a line. The cluster ends with stdin.
"""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from data.commands import run_command
from data.scratch import scratch_folder
from inference.cluster import LOOPBACK, OBJECT_STORE_BYTES, SCRATCH_PREFIX, keep_quiet


def main() -> int:
    """Start the nodes, print the address, and obey stdin."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--nodes", type=int, default=2, help="default: %(default)s")
    parser.add_argument("--cpus", type=int, default=1, help="processors of each node (default: %(default)s)")
    args = parser.parse_args()
    os.environ.update(LOOPBACK)
    with scratch_folder(SCRATCH_PREFIX, Path("/tmp")) as folder:
        os.environ["RAY_TMPDIR"] = str(folder)
        _serve(args.nodes, args.cpus)
    return 0


def _serve(count: int, cpus: int) -> None:
    from ray.cluster_utils import Cluster

    keep_quiet()
    node: dict[str, Any] = {
        "num_cpus": cpus,
        "node_ip_address": "127.0.0.1",
        "include_dashboard": False,
        "object_store_memory": OBJECT_STORE_BYTES,
    }
    cluster: Any = Cluster(initialize_head=True, head_node_args=node)
    others = [cluster.add_node(**node) for _ in range(count - 1)]
    print(cluster.address, flush=True)
    for line in sys.stdin:
        if line.strip() == "add":
            others.append(cluster.add_node(**node))
        elif line.strip() == "kill" and others:
            cluster.remove_node(others.pop(), allow_graceful=False)
        print(f"{1 + len(others)} nodes", flush=True)
    cluster.shutdown()


if __name__ == "__main__":
    run_command(main)
