"""What is known of the way to one next hop: a value, without what finds it out. Pure."""

from dataclasses import dataclass

from fib.routes import Hop
from rib.nlri import Nlri

Prefix = tuple[int, Nlri]  # afi, NLRI


@dataclass(frozen=True, slots=True)
class NextHopState:
    """What is known of the way to one next hop.

    Attributes:
        address: Its key, as watched (``rib.zones``).
        interface: The way out; empty if there is none.
        is_reachable: Paths through it are eligible.
        metric: The covering route's kernel metric: interior cost (RFC 4271 9.1.2.2 e).
        gateway: Whom to send to: the address itself where it is directly connected.
        hops: Every usable way, ready for a ``Target``; more than one over ECMP.
        is_local: It is an address of this machine.
        through: Our routes that lead there, the first one first; empty if other programs' routes
            alone lead there.
        loop: Our route that leads back to the address, if that is why it
            cannot be reached.
    """

    address: bytes
    interface: str = ""
    is_reachable: bool = False
    metric: int = 0
    gateway: bytes = b""
    hops: tuple[Hop, ...] = ()
    is_local: bool = False
    through: tuple[Prefix, ...] = ()
    loop: Prefix | None = None
