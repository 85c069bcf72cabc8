"""Which peers are drained, why and since when; values and their text, no input or output.

A drain makes the routes of a peer the last choice here, and ours the last choice there (RFC
8326), while the session stays up: so traffic moves before it ends.
"""

import json
from dataclasses import dataclass, field
from enum import Enum
from ipaddress import ip_address
from typing import Any, Final, NamedTuple

from bgpd.session.zones import split_zone

SUFFIX: Final = ".drains"  # of the file, beside the control socket
MAX_ORDERS: Final = 65536
MAX_OCTETS: Final = 32 << 20
_MAX_TEXT: Final = 255  # octets, RFC 9003 2
_FORMAT: Final = 1


class DrainOrigin(Enum):
    """Who wants a drain."""

    COMMAND = "command"
    NODE = "node"  # a label of the node
    SHUTDOWN = "shutdown"  # the daemon is about to end


class DrainOrder(NamedTuple):
    """A drain.

    Attributes:
        since: When it began, seconds of the wall clock.
        by: Who wants it.
        text: For the peer's operator (RFC 9003), where the session ends.
        is_shut: The session was shut down, and stays down until the drain is over.
    """

    since: float
    by: DrainOrigin = DrainOrigin.COMMAND
    text: str = ""
    is_shut: bool = False


@dataclass(slots=True)
class DrainOrders:
    """All drains.

    Attributes:
        whole: Of all peers, those to come included, by who wants it.
        peers: Of single peers, by address.
    """

    whole: dict[DrainOrigin, DrainOrder] = field(default_factory=dict)
    peers: dict[str, DrainOrder] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.whole or self.peers)

    def of(self, address: str) -> DrainOrder | None:
        """Return the drain of a peer; ``None`` if it is not drained."""
        known = self.peers.get(address)
        return next(iter(self.whole.values()), None) if known is None else known

    def is_shut(self, address: str) -> bool:
        """Whether a drain has shut a peer's session down."""
        known = self.peers.get(address)
        return known is not None and known.is_shut


def encode(orders: DrainOrders) -> str:
    """Return the text of all that outlives the process; empty for nothing."""
    whole = [
        _plain(order)
        for origin, order in orders.whole.items()
        if origin is not DrainOrigin.SHUTDOWN
    ]
    peers = {address: _plain(order) for address, order in orders.peers.items()}
    if not (whole or peers):
        return ""
    return json.dumps({"format": _FORMAT, "all": whole, "peers": peers}) + "\n"


def _plain(order: DrainOrder) -> dict[str, Any]:
    return {**order._asdict(), "by": order.by.value}


def decode(text: str) -> DrainOrders | None:
    """Return the parsed text; ``None`` if it has another form. One bad peer is left out."""
    try:
        found = json.loads(text)
        if found["format"] != _FORMAT:
            return None
        whole = [_order(each) for each in found["all"]]
        rows = list(found["peers"].items())[:MAX_ORDERS]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    orders = DrainOrders({order.by: order for order in whole})
    for address, row in rows:
        try:
            ip_address(split_zone(address)[0])
            orders.peers[address] = _order(row)
        except (ValueError, TypeError, KeyError):
            continue
    return orders


def _order(row: Any) -> DrainOrder:  # noqa: ANN401  # of a file
    since, text, is_shut = row["since"], row["text"], row["is_shut"]
    if not (
        isinstance(since, int | float)
        and isinstance(text, str)
        and isinstance(is_shut, bool)
        and len(text.encode()) <= _MAX_TEXT
    ):
        raise ValueError(row)
    return DrainOrder(float(since), DrainOrigin(row["by"]), text, is_shut)
