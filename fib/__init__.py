"""The kernel's routing table: desired routes in, kernel state and its changes out.

* ``routes``: plain types and the ``Fib`` interface; ``errors``.
* ``plan``: what must be written so that the kernel holds what is wanted (pure).
* ``rtnetlink``: messages <-> octets (pure); ``netlink``: the sockets.
* ``next_hop_objects``: the kernel's next-hop objects; ``kernel``: the real table;
  ``memory``: the same in memory.
* ``kernel_view``: links and other programs' routes; on it ``next_hop_watch`` (how BGP
  next hops are reached) and ``learned`` (routes of others to announce).

Only routes of our own protocol number in our own table are ever written or deleted.
"""

from fib.errors import FibError
from fib.routes import (
    Fault,
    Fib,
    FibCounts,
    FibRoute,
    Hop,
    RouteState,
    Target,
    TargetKind,
)

__all__ = [
    "Fault",
    "Fib",
    "FibCounts",
    "FibError",
    "FibRoute",
    "Hop",
    "RouteState",
    "Target",
    "TargetKind",
]
