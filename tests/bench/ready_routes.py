"""The kernel's own time: messages that were made before, sent by a loop that does nothing else.

``python -m tests.bench.ready_routes ORDER PREFIXES`` waits for a connection as a daemon would
for a session, sends when octets come, and deletes the routes' next-hop object when the connection
ends. Started by ``tests.bench.kernel``.
"""

import asyncio
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from fib.kernel import PROTOCOL_BIRD, SLICE
from fib.netlink.route_batch import encode_operations
from fib.netlink.rtnetlink import (
    AF_INET,
    NLM_F_CREATE,
    NLM_F_EXCL,
    RT_TABLE_MAIN,
    RTN_UNICAST,
    barrier,
    encode_next_hop,
    encode_next_hop_removal,
    route_body,
)
from fib.netlink.sockets import RequestSocket
from fib.new_routes import spread
from fib.plan import CREATE, Entry
from fib.routes import Hop, Target
from rib.family import AFI_IPV4
from tests.bench.feed import ROUTER, client_address
from tests.bench.loads import block_keys

ORDERS: Final[dict[str, Callable[[Sequence[bytes]], Sequence[bytes]]]] = {
    "told": lambda nlris: nlris,
    "spread": spread,
}
ANSWER: Final = 1 << 16  # octets
_OBJECT: Final = 1


def an_entry(sock: RequestSocket) -> Entry:
    """Make the next-hop object, and return the entry of its routes."""
    gateway = socket.inet_aton(client_address(4))
    hop = (gateway, socket.if_nametoindex("dut0"), False, 1)
    flags = NLM_F_CREATE | NLM_F_EXCL
    _, fault = sock.ask(encode_next_hop(_OBJECT, PROTOCOL_BIRD, AF_INET, hop, flags))
    if fault is not None:
        raise OSError(fault.errno, fault.text)
    entry = Entry(Target(hops=(Hop(gateway),)), 0, uses_object=True)
    image = (RTN_UNICAST, 0, b"", (hop,))
    place = RT_TABLE_MAIN, PROTOCOL_BIRD
    entry.body = route_body(AFI_IPV4, image, *place, _OBJECT)
    return entry


def messages(sock: RequestSocket, nlris: Sequence[bytes]) -> Iterator[bytes]:
    """Yield batches as ``fib.kernel_family`` sends them, each with its barrier."""
    entry = an_entry(sock)
    for at in range(0, len(nlris), SLICE):
        operations = [(CREATE, nlri, entry) for nlri in nlris[at : at + SLICE]]
        first = sock.next_sequence(len(operations))
        octets = encode_operations(operations, AFI_IPV4, first)
        yield octets + barrier(first + len(operations))


async def main() -> None:
    order, prefixes = sys.argv[1:]
    sock = RequestSocket()
    batches = list(messages(sock, ORDERS[order](block_keys(int(prefixes)))))
    with socket.create_server((ROUTER, 179)) as server:
        session, _ = server.accept()
    session.recv(1)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW) as kernel:
        for batch in batches:
            kernel.send(batch)
            kernel.recv(ANSWER)
    session.recv(1)
    sock.ask(encode_next_hop_removal(_OBJECT))
    signal.pause()


if __name__ == "__main__":
    asyncio.run(main())
