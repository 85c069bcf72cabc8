"""Rtnetlink messages <-> octets: routes, next-hop objects, links, addresses. Pure.

Layouts are those of linux/netlink.h, rtnetlink.h, nexthop.h, in the machine's byte order.

    nlmsghdr  u32 len | u16 type | u16 flags | u32 sequence | u32 port id
    rtmsg     u8 family | u8 dst_len | u8 src_len | u8 tos | u8 table | u8 protocol
              u8 scope | u8 type | u32 flags
    nhmsg     u8 family | u8 scope | u8 protocol | u8 0 | u32 flags
    rtattr    u16 len | u16 type | value, padded to 4 octets

Routes are packed in one call per route with what they share prepared (``route_body``);
a dump of routes is parsed with all that follows the prefix as a key, because 100,000
routes show some hundred different endings.
"""

from collections.abc import Iterable, Iterator
from struct import Struct
from sys import byteorder
from typing import NamedTuple

from fib.routes import TargetKind
from rib.family import ADDRESS_OCTETS, AFI_IPV4, AFI_IPV6

HEADER = Struct("=IHHII")
HEADER_LEN = HEADER.size
_ATTR = Struct("=HH")
_U32 = Struct("=I")
_NEXTHOP = Struct("=HBBi")  # rtnexthop: len, flags, hops (weight - 1), ifindex
_GROUP_MEMBER = Struct("=IBBH")  # id, weight - 1, 0, 0
_ROUTE_REST = Struct("=BBBBBBI")  # rtmsg after dst_len
_NHMSG = Struct("=BBBBI")

AF_INET, AF_INET6 = 2, 10
AF_OF_AFI = {AFI_IPV4: AF_INET, AFI_IPV6: AF_INET6}
AFI_OF_AF = {AF_INET: AFI_IPV4, AF_INET6: AFI_IPV6}

NLMSG_NOOP, NLMSG_ERROR, NLMSG_DONE = 1, 2, 3
RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK = 16, 17, 18
RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR = 20, 21, 22
RTM_NEWROUTE, RTM_DELROUTE, RTM_GETROUTE = 24, 25, 26
RTM_NEWNEXTHOP, RTM_DELNEXTHOP, RTM_GETNEXTHOP = 104, 105, 106

NLM_F_REQUEST, NLM_F_ACK = 0x1, 0x4
NLM_F_DUMP_INTR = 0x10
NLM_F_ACK_TLVS = 0x200
NLM_F_DUMP = 0x300
NLM_F_REPLACE, NLM_F_EXCL, NLM_F_CREATE = 0x100, 0x200, 0x400

RTA_DST, RTA_IIF, RTA_OIF, RTA_GATEWAY, RTA_PRIORITY, RTA_PREFSRC = 1, 3, 4, 5, 6, 7
RTA_MULTIPATH, RTA_TABLE, RTA_VIA, RTA_NH_ID = 9, 15, 18, 30
NHA_ID, NHA_GROUP, NHA_BLACKHOLE, NHA_OIF, NHA_GATEWAY = 1, 2, 4, 5, 6
IFA_ADDRESS, IFA_LOCAL, IFLA_IFNAME = 1, 2, 3

RTNH_F_ONLINK = 4
IFF_UP, IFF_LOWER_UP = 0x1, 0x10000
IFA_F_SECONDARY, IFA_F_OPTIMISTIC, IFA_F_DADFAILED = 0x01, 0x04, 0x08
IFA_F_DEPRECATED, IFA_F_TENTATIVE, IFA_F_PERMANENT = 0x20, 0x40, 0x80
RT_SCOPE_LINK, RT_SCOPE_NOWHERE = 253, 255
RT_TABLE_COMPAT, RT_TABLE_MAIN, RT_TABLE_LOCAL = 252, 254, 255
RTN_UNICAST, RTN_LOCAL = 1, 2
DEFAULT_METRIC = {AFI_IPV4: 0, AFI_IPV6: 1024}  # IP6_RT_PRIO_USER


RawHop = tuple[bytes, int, bool, int]  # gateway, ifindex, is_onlink, weight
Image = tuple[int, int, bytes, tuple[RawHop, ...]]  # kind, metric, source, hops


class Message(NamedTuple):
    """One netlink message inside a received buffer."""

    type: int
    flags: int
    sequence: int
    port_id: int
    start: int  # of what follows the header
    end: int


class RouteMessage(NamedTuple):
    """A route as the kernel tells it; ``image`` is what distinguishes forwarding."""

    afi: int
    nlri: bytes
    table: int
    protocol: int
    tos: int
    metric: int
    object_id: int
    has_input_interface: bool
    image: Image


class NextHopMessage(NamedTuple):
    """A next-hop object: one hop, or a group of ``(id, weight)``."""

    id: int
    family: int
    protocol: int
    hop: RawHop | None
    group: tuple[tuple[int, int], ...]


class LinkMessage(NamedTuple):
    """A device; ``is_up`` means set up by the operator and with carrier."""

    link: int  # its ifindex
    name: str
    is_up: bool
    is_admin_up: bool


class AddressMessage(NamedTuple):
    """An address of a device; ``peer`` is the far end's on a point-to-point link."""

    link: int
    address: bytes
    length_bits: int
    peer: bytes = b""


# -- octets out ------------------------------------------------------------------------


def attribute(kind: int, value: bytes) -> bytes:
    """Return one rtattr."""
    return _ATTR.pack(len(value) + 4, kind) + value + bytes(-len(value) % 4)


def message(kind: int, flags: int, sequence: int, payload: bytes) -> bytes:
    """Return one netlink message."""
    size = HEADER_LEN + len(payload)
    return HEADER.pack(size, kind, flags, sequence, 0) + payload


def barrier(sequence: int) -> bytes:
    """Return a message that does nothing and is acknowledged: all before it is done."""
    return message(NLMSG_NOOP, NLM_F_REQUEST | NLM_F_ACK, sequence, b"")


def _gateway(hop: RawHop, afi: int) -> bytes:
    gateway = hop[0]
    if not gateway:
        return b""
    if len(gateway) == ADDRESS_OCTETS[afi]:
        return attribute(RTA_GATEWAY, gateway)
    family = AF_INET if len(gateway) == 4 else AF_INET6
    return attribute(RTA_VIA, family.to_bytes(2, byteorder) + gateway)


def _multipath(hops: Iterable[RawHop], afi: int) -> bytes:
    parts = []
    for hop in hops:
        via = _gateway(hop, afi)
        flags = RTNH_F_ONLINK if hop[2] else 0
        parts.append(_NEXTHOP.pack(8 + len(via), flags, hop[3] - 1, hop[1]) + via)
    return attribute(RTA_MULTIPATH, b"".join(parts))


def route_body(
    afi: int, image: Image, table: int, protocol: int, object_id: int = 0
) -> tuple[bytes, bytes]:
    """Return what all new routes with ``image`` share: rest of rtmsg, and attributes."""
    kind, metric, source, hops = image
    tail = _shared_tail(table, metric)
    if source:
        tail += attribute(RTA_PREFSRC, source)
    flags = scope = 0
    if object_id:
        tail += attribute(RTA_NH_ID, _U32.pack(object_id))
    elif len(hops) == 1:
        (hop,) = hops
        flags = RTNH_F_ONLINK if hop[2] else 0
        scope = 0 if hop[0] else RT_SCOPE_LINK
        tail += attribute(RTA_OIF, _U32.pack(hop[1])) + _gateway(hop, afi)
    elif hops:
        tail += _multipath(hops, afi)
    short = table if table < 256 else RT_TABLE_COMPAT
    return _ROUTE_REST.pack(0, 0, short, protocol, scope, kind, flags), tail


def delete_body(table: int, protocol: int, metric: int) -> tuple[bytes, bytes]:
    """Return what all removals share; the kernel checks protocol and metric."""
    short = table if table < 256 else RT_TABLE_COMPAT
    rest = _ROUTE_REST.pack(0, 0, short, protocol, RT_SCOPE_NOWHERE, 0, 0)
    return rest, _shared_tail(table, metric)


def _shared_tail(table: int, metric: int) -> bytes:
    tail = attribute(RTA_TABLE, _U32.pack(table)) if table > 255 else b""
    return tail + (attribute(RTA_PRIORITY, _U32.pack(metric)) if metric else b"")


def encode_next_hop(
    object_id: int, protocol: int, family: int, hop: RawHop, flags: int
) -> bytes:
    """Return the message that makes or changes a single next-hop object."""
    gateway, index, is_onlink, _ = hop
    payload = _NHMSG.pack(family, 0, protocol, 0, RTNH_F_ONLINK if is_onlink else 0)
    payload += attribute(NHA_ID, _U32.pack(object_id))
    payload += attribute(NHA_OIF, _U32.pack(index))
    if gateway:
        payload += attribute(NHA_GATEWAY, gateway)
    return message(RTM_NEWNEXTHOP, NLM_F_REQUEST | flags, 0, payload)


def encode_group(
    object_id: int, protocol: int, members: Iterable[tuple[int, int]], flags: int
) -> bytes:
    """Return the message that makes or changes a group of ``(id, weight)``."""
    group = b"".join(_GROUP_MEMBER.pack(i, weight - 1, 0, 0) for i, weight in members)
    payload = _NHMSG.pack(0, 0, protocol, 0, 0)
    payload += attribute(NHA_ID, _U32.pack(object_id)) + attribute(NHA_GROUP, group)
    return message(RTM_NEWNEXTHOP, NLM_F_REQUEST | flags, 0, payload)


def encode_next_hop_removal(object_id: int) -> bytes:
    """Return the message that deletes a next-hop object and every route through it."""
    payload = bytes(_NHMSG.size) + attribute(NHA_ID, _U32.pack(object_id))
    return message(RTM_DELNEXTHOP, NLM_F_REQUEST, 0, payload)


def encode_next_hop_query(object_id: int) -> bytes:
    """Return the message that asks whether a next-hop object exists."""
    payload = bytes(_NHMSG.size) + attribute(NHA_ID, _U32.pack(object_id))
    return message(RTM_GETNEXTHOP, NLM_F_REQUEST, 0, payload)


def family_of(afi: int, hop: RawHop) -> int:
    """Return the AF_* number of a hop's next-hop object: its gateway's, else ours."""
    if not hop[0]:
        return AF_OF_AFI[afi]
    return AF_INET if len(hop[0]) == 4 else AF_INET6


def numbered(request: bytes, sequence: int) -> bytes:
    """Return one message with its sequence number filled in."""
    return request[:8] + _U32.pack(sequence) + request[12:]


def route_dump(afi: int, table: int, protocol: int) -> bytes:
    """Return a request for all routes; 0 means any table, any protocol."""
    short = table if table < 256 else RT_TABLE_COMPAT
    payload = bytes([AF_OF_AFI[afi], 0]) + _ROUTE_REST.pack(
        0, 0, short, protocol, 0, 0, 0
    )
    if table > 255:
        payload += attribute(RTA_TABLE, _U32.pack(table))
    return message(RTM_GETROUTE, NLM_F_REQUEST | NLM_F_DUMP, 0, payload)


def route_lookup(address: bytes) -> bytes:
    """Return a request for the route that the kernel would take to ``address``."""
    family = AF_INET if len(address) == 4 else AF_INET6
    payload = bytes([family, len(address) * 8]) + bytes(_ROUTE_REST.size)
    payload += attribute(RTA_DST, address)
    return message(RTM_GETROUTE, NLM_F_REQUEST, 0, payload)


def link_dump() -> bytes:
    """Return a request for all devices."""
    return message(RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, 0, bytes(16))


def address_dump() -> bytes:
    """Return a request for all addresses."""
    return message(RTM_GETADDR, NLM_F_REQUEST | NLM_F_DUMP, 0, bytes(8))


def next_hop_dump() -> bytes:
    """Return a request for all next-hop objects."""
    return message(RTM_GETNEXTHOP, NLM_F_REQUEST | NLM_F_DUMP, 0, bytes(8))


# -- octets in -------------------------------------------------------------------------


def split_messages(data: bytes) -> Iterator[Message]:
    """Yield the messages of one received buffer."""
    at, size = 0, len(data)
    while at + HEADER_LEN <= size:
        length, kind, flags, sequence, port_id = HEADER.unpack_from(data, at)
        if length < HEADER_LEN or at + length > size:
            return
        yield Message(kind, flags, sequence, port_id, at + HEADER_LEN, at + length)
        at += (length + 3) & ~3


def parse_attributes(data: bytes, start: int, end: int) -> dict[int, bytes]:
    """Return attributes by type; of repeated ones the last."""
    found = {}
    unpack = _ATTR.unpack_from
    while start + 4 <= end:
        length, kind = unpack(data, start)
        if length < 4:
            break
        found[kind & 0x3FFF] = data[start + 4 : start + length]
        start += (length + 3) & ~3
    return found


def parse_error(data: bytes, item: Message) -> tuple[int, str]:
    """Return the error number (0 for an acknowledgement) and the kernel's own words."""
    code = -int.from_bytes(data[item.start : item.start + 4], byteorder, signed=True)
    if not item.flags & NLM_F_ACK_TLVS:
        return code, ""
    # With NETLINK_CAP_ACK only the header of the refused message is repeated.
    extra = parse_attributes(data, item.start + 4 + HEADER_LEN, item.end)
    return code, extra.get(1, b"").rstrip(b"\0").decode(errors="replace")


def _number(value: bytes | None) -> int:
    return int.from_bytes(value, byteorder) if value else 0


def _via(found: dict[int, bytes]) -> bytes:
    return found.get(RTA_GATEWAY) or found.get(RTA_VIA, b"")[2:]


def _parse_multipath(value: bytes) -> Iterator[RawHop]:
    at = 0
    while at + 8 <= len(value):
        length, flags, hops, index = _NEXTHOP.unpack_from(value, at)
        if length < 8:
            return
        found = parse_attributes(value, at + 8, at + length)
        yield _via(found), index, bool(flags & RTNH_F_ONLINK), hops + 1
        at += (length + 3) & ~3


def canonical_hops(hops: Iterable[RawHop]) -> tuple[RawHop, ...]:
    """Return hops in an order of their own; the weight of a lone hop means nothing."""
    ordered = tuple(sorted(hops))
    if len(ordered) == 1:
        return ((*ordered[0][:3], 1),)
    return ordered


def _parse_rest(rest: bytes, found: dict[int, bytes], afi: int) -> RouteMessage:
    _, tos, table, protocol, _, kind, flags = _ROUTE_REST.unpack(rest)
    metric = _number(found.get(RTA_PRIORITY))
    hops: tuple[RawHop, ...] = ()
    if kind not in (TargetKind.BLACKHOLE, TargetKind.UNREACHABLE):
        if RTA_MULTIPATH in found:
            hops = canonical_hops(_parse_multipath(found[RTA_MULTIPATH]))
        elif RTA_OIF in found:
            index, is_onlink = _number(found[RTA_OIF]), bool(flags & RTNH_F_ONLINK)
            hops = ((_via(found), index, is_onlink, 1),)
    return RouteMessage(
        afi=afi,
        nlri=b"\0",
        table=_number(found.get(RTA_TABLE)) or table,
        protocol=protocol,
        tos=tos,
        metric=metric,
        object_id=_number(found.get(RTA_NH_ID)),
        has_input_interface=RTA_IIF in found,
        image=(kind, metric, found.get(RTA_PREFSRC, b""), hops),
    )


def parse_route(data: bytes, start: int, end: int) -> RouteMessage | None:
    """Return one route; ``None`` for anything but an IPv4 or IPv6 route."""
    afi = AFI_OF_AF.get(data[start])
    if afi is None:
        return None
    bits = data[start + 1]
    found = parse_attributes(data, start + 12, end)
    route = _parse_rest(data[start + 2 : start + 12], found, afi)
    address = found.get(RTA_DST, b"").ljust(ADDRESS_OCTETS[afi], b"\0")
    nlri = bytes([bits]) + address[: (bits + 7) >> 3]
    return route._replace(nlri=nlri)


Endings = dict[bytes, RouteMessage]


# hot: per prefix, in dumps
def parse_route_dump(
    data: bytes, messages: Iterable[Message], endings: Endings
) -> list[tuple[bytes, RouteMessage]]:
    """Return ``(nlri, route)``; routes that differ in the prefix only are one object.

    Args:
        data: One received buffer.
        messages: Its RTM_NEWROUTE messages.
        endings: Memo of one dump; start with an empty one.
    """
    routes = []
    for item in messages:
        start = item.start
        bits = data[start + 1]
        size = 8 if data[start] == AF_INET else 20
        at = start + 20  # behind rtmsg and RTA_TABLE
        if data[at : at + 4] != _DST_HEADS.get(size) or bits == 0:
            route = parse_route(data, start, item.end)
            if route is not None:
                routes.append((route.nlri, route))
            continue
        key = data[start].to_bytes(1, "big") + data[start + 2 : at]
        key += data[at + size : item.end]
        known = endings.get(key)
        if known is None:
            known = parse_route(data, start, item.end)
            if known is None:
                continue
            endings[key] = known
        nlri = data[start + 1 : start + 2] + data[at + 4 : at + 4 + ((bits + 7) >> 3)]
        routes.append((nlri, known))
    return routes


_DST_HEADS = {8: _ATTR.pack(8, RTA_DST), 20: _ATTR.pack(20, RTA_DST)}


def parse_next_hop(data: bytes, start: int, end: int) -> NextHopMessage:
    """Return one next-hop object; a blackhole one has neither hop nor group."""
    family, _, protocol, _, flags = _NHMSG.unpack_from(data, start)
    found = parse_attributes(data, start + 8, end)
    members = found.get(NHA_GROUP, b"")
    group = tuple((m[0], m[1] + 1) for m in _GROUP_MEMBER.iter_unpack(members))
    hop = None
    if NHA_OIF in found:
        is_onlink = bool(flags & RTNH_F_ONLINK)
        hop = (found.get(NHA_GATEWAY, b""), _number(found[NHA_OIF]), is_onlink, 1)
    return NextHopMessage(_number(found.get(NHA_ID)), family, protocol, hop, group)


def parse_link(data: bytes, start: int, end: int) -> LinkMessage:
    """Return one device."""
    _, _, _, index, flags, _ = Struct("=BBHiII").unpack_from(data, start)
    name = parse_attributes(data, start + 16, end).get(IFLA_IFNAME, b"")
    is_up = flags & (IFF_UP | IFF_LOWER_UP) == IFF_UP | IFF_LOWER_UP
    return LinkMessage(
        index, name.rstrip(b"\0").decode(errors="replace"), is_up, bool(flags & IFF_UP)
    )


def address_flags(data: bytes, start: int) -> int:
    """Return the flags of an address (``IFA_F_*``), those of the first octet."""
    return data[start + 2]


def is_tentative(data: bytes, start: int) -> bool:
    """Say whether an address is not to be used before it is found to be unique."""
    return bool(address_flags(data, start) & IFA_F_TENTATIVE)


def parse_address_message(data: bytes, start: int, end: int) -> AddressMessage:
    """Return one address; of a point-to-point link the local one."""
    found = parse_attributes(data, start + 8, end)
    far = found.get(IFA_ADDRESS, b"")
    address = found.get(IFA_LOCAL) or far
    return AddressMessage(
        _U32.unpack_from(data, start + 4)[0],
        address,
        data[start + 1],
        far if far != address else b"",
    )
