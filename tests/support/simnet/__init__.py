"""SimNet: a network in memory and a clock that jumps, for whole speakers without sockets or sleeps.

``VirtualLoop`` is an asyncio loop whose time stands still while anything is ready, and jumps to the
next timer when nothing is. ``SimNet`` has the hosts and links that its sockets run over, with what
TCP does to BGP: bounded buffers, latency, segments cut anywhere, lost links and retransmission,
resets, hosts that vanish, MD5 keys and TTLs. Everything above the sockets is the real thing:
``bgpd.net``, sessions, tables, limits.

What it leaves out: congestion, reordering, link-local zones, devices.
``tests/unit/bgpd/net/test_network_contract.py`` holds it to what the kernel does.
"""

from tests.support.simnet.hosts import Host, SimNet
from tests.support.simnet.loop import VirtualLoop
from tests.support.simnet.run import (
    advance,
    on_virtual_time,
    run_virtually,
    settle,
    sim,
    stand_still,
)

__all__ = [
    "Host",
    "SimNet",
    "VirtualLoop",
    "advance",
    "on_virtual_time",
    "run_virtually",
    "settle",
    "sim",
    "stand_still",
]
