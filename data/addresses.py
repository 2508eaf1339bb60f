"""Addresses of hosts, as people and requests write them."""

import ipaddress

LOCAL = "local"
CLUSTER_HELP = "the HOST:PORT of a Ray cluster, or `local` for one on this machine alone"


def is_address(name: str) -> bool:
    """Whether a host's name is an IP address, of IPv6 without its brackets."""
    try:
        ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens on `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
