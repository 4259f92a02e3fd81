"""What the lab says to Docker, as words: nothing is run."""

from __future__ import annotations

import ipaddress
import itertools

from towline.lab.containers import MOST_HOSTS, Order, Wish, create_words, let_go_words, read_container
from towline.lab.network import Network, subnets

NETWORK = Network("net", ipaddress.IPv4Network("10.70.1.0/24"), ipaddress.IPv6Network("fd12:3456:789a::/64"))
PORTS = {"22/tcp": 20022, "80/tcp": 20080, "443/tcp": 20443}
ORDER = Order("abcd", 2, Wish(), "image", NETWORK, PORTS, {"LAB_KEY": "ssh-ed25519 AAAA one"})


def pairs(words: tuple[str, ...]) -> list[tuple[str, str]]:
    """Each word with the one after it."""
    return list(itertools.pairwise(words))


def test_a_host_is_confined() -> None:
    """No host gets this machine's devices, its process or cgroup names, or a port beyond 127.0.0.1."""
    words = create_words(ORDER)
    assert "--privileged" not in words
    assert ("--cgroupns", "private") in pairs(words)
    assert "--device" not in words
    rules = {value for name, value in pairs(words) if name == "--device-cgroup-rule"}
    assert rules == {"b 7:* rmw", "c 10:200 rmw", "c 10:229 rmw", "c 10:237 rmw"}
    assert all(value.startswith("127.0.0.1:2") for name, value in pairs(words) if name == "--publish")
    assert not {"SYS_MODULE", "SYS_RAWIO", "SYS_TIME", "ALL"} & set(words)
    assert "--privileged" not in let_go_words("abcd", 2, "image")


def test_a_host_knows_all_others_and_is_known_by_its_labels() -> None:
    """Names of all hosts that a lab can have, over both protocols; what Docker tells is read back as it was ordered."""
    words = create_words(ORDER)
    names = [value for name, value in pairs(words) if name == "--add-host"]
    assert "host1:10.70.1.11" in names
    assert "host9:fd12:3456:789a::13" in names
    assert len(names) == 2 * (MOST_HOSTS - 1)
    labels = dict(value.split("=", 1) for name, value in pairs(words) if name == "--label")
    told = {
        "Name": "/towline-lab-abcd-2",
        "Config": {"Labels": labels, "Env": [value for name, value in pairs(words) if name == "--env"]},
        "State": {"Status": "paused"},
        "HostConfig": {
            "Memory": Wish.memory,
            "PortBindings": {port: [{"HostIp": "127.0.0.1", "HostPort": str(mine)}] for port, mine in PORTS.items()},
        },
        "NetworkSettings": {
            "Networks": {"net": {"IPAMConfig": {"IPv4Address": "10.70.1.12", "IPv6Address": "fd12:3456:789a::c"}}}
        },
    }
    there = read_container(told)
    assert (there.number, there.state, there.wish, there.ports) == (2, "frozen", ORDER.wish, PORTS)
    assert (there.ipv4, there.ipv6) == NETWORK.addresses(2)


def test_subnets_are_private_stable_and_differ() -> None:
    """Each name has its own row of subnets, the same each time, in the ranges that nobody routes."""
    first, again, other = (list(subnets(name)) for name in ("one", "one", "two"))
    assert first == again
    assert first[0] != other[0]
    assert len(set(first)) == len(first)
    assert all(four.subnet_of(ipaddress.IPv4Network("10.64.0.0/10")) and four.prefixlen == 24 for four, _ in first)
    assert all(six.subnet_of(ipaddress.IPv6Network("fd00::/8")) and six.prefixlen == 64 for _, six in first)
