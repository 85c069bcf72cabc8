"""How each command of the documentation is proven: every one has exactly one first row here."""

import re
from enum import Enum
from typing import Final, NamedTuple


class Way(Enum):
    """How a test proves a command."""

    SANDBOX = "it runs in namespaces of its own, beside a daemon of a Calico node"
    TARGET = "the Makefile has the target"
    KUBECTL = "kubectl knows the options, and builds the folder that it is given"
    ETCD = "it runs against a real etcd"
    ELSEWHERE = "it cannot run here"


class Rule(NamedTuple):
    """A kind of command.

    Attributes:
        pattern: Regular expression that finds it at the beginning.
        way: How it is proven.
        reason: Why it cannot run here, and what holds it instead.
    """

    pattern: str
    way: Way
    reason: str = ""


RULES: Final = (
    Rule(
        r"apt(-get)? ",
        Way.ELSEWHERE,
        "changes the machine; .ci/system-packages does it",
    ),
    Rule(
        r"(python3 -m venv /opt/|/opt/pybgpd/bin/pip |export PATH=/opt/)",
        Way.ELSEWHERE,
        "takes the network; .ci/wheels and the tests of the package install the wheel",
    ),
    Rule(
        r"(systemctl|journalctl) ",
        Way.ELSEWHERE,
        "needs a booted machine; tests/root/package boots one for the units",
    ),
    Rule(
        r"cp /etc/pybgpd/|pybgpd check /etc/pybgpd/", Way.ELSEWHERE, "needs the package"
    ),
    Rule(
        r"(curl|pybgpctl) .*https://",
        Way.ELSEWHERE,
        "needs a certificate; tests/unit/bgpd/api has the server on an address",
    ),
    Rule(
        r"pybgpctl .*--kubernetes|export PYBGPD_TOKEN_FILE=",
        Way.ELSEWHERE,
        "needs a cluster; tests/etcd/test_kubernetes_fleet.py has its API server",
    ),
    Rule(
        r"(scp|ssh) ",
        Way.ELSEWHERE,
        "is about two machines; tests/daemon/test_installation.py runs the file",
    ),
    Rule(
        r"podman ", Way.ELSEWHERE, "needs a container engine; a test follows its steps"
    ),
    Rule(
        r"bird-lgproxy-go |prometheus-bird-exporter ",
        Way.ELSEWHERE,
        "tests/interop/test_looking_glasses.py asks what they ask",
    ),
    Rule(
        r"calicoctl ",
        Way.ELSEWHERE,
        "needs Calico's program, which no registry here has",
    ),
    Rule(r"git ", Way.ELSEWHERE, "works on files that other commands would have made"),
    Rule(r"twine ", Way.ELSEWHERE, "publishes"),
    Rule(r"cd configs/", Way.ELSEWHERE, "is followed by kubectl, which is checked"),
    Rule(r"ip monitor ", Way.ELSEWHERE, "does not end by itself"),
    Rule(
        r"(ip netns exec|pybgpctl --control \S*|pybgpd) ?(lab|pybgpd-\w{8}-\S+|/tmp/\S+)? ?"
        r".*(pybgpd-49728d2d|pybgpd-lab-49728d2d|lab up|lab list|lab down)",
        Way.ELSEWHERE,
        "is about a lab that runs; tests/root/lab brings them all up",
    ),
    Rule(r"make ", Way.TARGET),
    Rule(r"cd build/", Way.ELSEWHERE, "is where a clone would be"),
    Rule(r"\.ci/release ", Way.ELSEWHERE, "changes the tree; a test runs it in a copy"),
    Rule(
        r"pybgpd run$",
        Way.ELSEWHERE,
        "reads a cluster's environment; tests/daemon and tests/etcd start it so",
    ),
    Rule(r"\.ci/run", Way.ELSEWHERE, "is what runs the tests"),
    Rule(r"\.venv/", Way.ELSEWHERE, "is about the checkout of a contributor"),
    Rule(r"kubectl ", Way.KUBECTL),
    Rule(r"etcdctl ", Way.ETCD),
    Rule(r"", Way.SANDBOX),
)


def rule_of(text: str) -> Rule:
    """Return the first row that fits a command."""
    return next(rule for rule in RULES if re.match(rule.pattern, text))
