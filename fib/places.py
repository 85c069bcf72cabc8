"""Routes that our earlier configuration put elsewhere: find them, take them over, remove them.

A place is a table with a protocol number; nothing else identifies the routes there.
So it only checks places that are known to be ours.
"""

import asyncio
import errno
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from fib.errors import FibError
from fib.netlink.route_batch import encode_operations
from fib.netlink.rtnetlink import (
    RTM_NEWROUTE,
    RouteMessage,
    delete_body,
    parse_route_dump,
    route_body,
    route_dump,
)
from fib.netlink.sockets import RequestSocket, dump
from fib.next_hop_objects import NextHopObjects
from fib.place import Place
from fib.plan import DELETE, REPLACE, Entry, Operation, Verb
from fib.routes import Target
from rib.family import AFI_IPV4, AFI_IPV6

SLICE: Final = 1000  # routes in one go, 1 to 3 ms in the kernel
_ATTEMPTS: Final = 3  # at a dump that changes break off

_Found = list[tuple[bytes, RouteMessage]]


async def count(place: Place) -> int:
    """Return how many routes there are.

    Raises:
        FibError: The kernel cannot be read.
    """
    found = [await _routes(afi, place) for afi in (AFI_IPV4, AFI_IPV6)]
    return sum(map(len, found))


async def elsewhere(here: Place) -> dict[Place, int]:
    """Return places other than ``here`` whose routes are like ours, and how many there are.

    Routes with our number in other tables; and those that lead through next-hop objects
    whose numbers we give, in any table. Nothing says that they are ours for certain.

    Raises:
        FibError: The kernel cannot be read.
    """
    found: Counter[Place] = Counter()
    for protocol in {here.protocol, *NextHopObjects.numbers_alike()}:
        for afi in (AFI_IPV4, AFI_IPV6):
            routes = await _dump(afi, Place(0, protocol))
            found.update(Place(route.table, route.protocol) for _, route in routes)
    del found[here]
    return dict(found)


async def remove(place: Place, *, has_objects: bool) -> int:
    """Remove every route of a place; return how many there were.

    Args:
        place: Which.
        has_objects: The next-hop objects of that number go, too: no other program uses them.

    Raises:
        FibError: The kernel cannot be read or written to.
    """
    sock = RequestSocket()
    try:
        removed = 0
        for afi in (AFI_IPV4, AFI_IPV6):
            found = await _routes(afi, place)
            removed += len(found)
            await _send(sock, afi, [*_removals(place, found)])
        if has_objects:
            objects = NextHopObjects(sock, place.protocol)
            objects.load()
            await _drop(sock, objects)
        return removed
    finally:
        await sock.close()


async def take_over(place: Place, protocol: int) -> int:
    """Give the routes of a place another protocol number, each in one step.

    They lead where they did, without next-hop objects: those of the former number go with
    it, once nothing leads through them.

    Returns:
        How many routes there were.

    Raises:
        FibError: The kernel cannot be read or written to.
    """
    sock = RequestSocket()
    try:
        objects = NextHopObjects(sock, place.protocol)
        objects.load()
        taken, faults = 0, 0
        for afi in (AFI_IPV4, AFI_IPV6):
            found = await _routes(afi, place)
            taken += len(found)
            new = [*_copies(afi, found, objects, Place(place.table, protocol))]
            faults += await _send(sock, afi, new)
        if not faults:
            await _drop(sock, objects)
        return taken
    finally:
        await sock.close()


async def _drop(sock: RequestSocket, objects: NextHopObjects) -> None:
    await sock.in_thread(lambda: objects.remove_unused(objects.outside()))


def _removals(place: Place, found: _Found) -> Iterator[Operation]:
    for nlri, route in found:
        entry = _entry(route)
        entry.delete_body = delete_body(place.table, place.protocol, route.metric)
        yield DELETE, nlri, entry


def _copies(
    afi: int, found: _Found, objects: NextHopObjects, place: Place
) -> Iterator[tuple[Verb, bytes, Entry]]:
    known: dict[int, Entry] = {}  # by the route's identity, which its like share
    for nlri, route in found:
        entry = known.get(id(route))
        if entry is None:
            kind, metric, source, hops = route.image
            if route.object_id:
                hops = objects.hops(route.object_id) or hops
            entry = known[id(route)] = _entry(route)
            image = (kind, metric, source, hops)
            entry.body = route_body(afi, image, place.table, place.protocol)
        yield REPLACE, nlri, entry


def _entry(route: RouteMessage) -> Entry:
    return Entry(Target(), route.metric, uses_object=False)


async def _routes(afi: int, place: Place) -> _Found:
    for attempt in range(_ATTEMPTS):
        try:
            return await _dump(afi, place)
        except FibError as error:
            if error.errno != errno.EINTR or attempt == _ATTEMPTS - 1:
                raise
    return []


async def _dump(afi: int, place: Place) -> _Found:
    found: _Found = []
    endings: dict[bytes, RouteMessage] = {}
    try:
        for data, items in dump(route_dump(afi, *place)):
            new = [item for item in items if item.type == RTM_NEWROUTE]
            found += parse_route_dump(data, new, endings)
            await asyncio.sleep(0)
    except FibError as error:
        if error.errno != errno.ENOENT:  # the kernel has no such table
            raise
    # A kernel without strict dumps ignores the filter.
    table, protocol = place
    return [
        each
        for each in found
        if each[1].protocol == protocol and table in (0, each[1].table)
    ]


async def _send(sock: RequestSocket, afi: int, operations: Sequence[Operation]) -> int:
    """Write in slices; return how many were refused."""
    faults = 0
    for start in range(0, len(operations), SLICE):
        some = operations[start : start + SLICE]
        first = sock.next_sequence(len(some))
        requests = encode_operations(some, afi, first)
        faults += len(await sock.exchange_aside(requests, first, len(some)))
        await asyncio.sleep(0)
    return faults
