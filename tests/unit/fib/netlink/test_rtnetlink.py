import struct

import pytest

from fib.netlink.route_batch import encode_operations
from fib.netlink.rtnetlink import (
    HEADER_LEN,
    NLM_F_ACK,
    NLM_F_CREATE,
    NLM_F_EXCL,
    NLM_F_REPLACE,
    NLMSG_ERROR,
    NLMSG_NOOP,
    RTM_DELROUTE,
    RTM_NEWROUTE,
    Image,
    barrier,
    canonical_hops,
    delete_body,
    encode_group,
    encode_next_hop,
    family_of,
    message,
    numbered,
    parse_error,
    parse_link,
    parse_next_hop,
    parse_route,
    parse_route_dump,
    route_body,
    split_messages,
)
from fib.netlink.socket_filter import ignore_port, ignore_routes_of
from fib.plan import CREATE, DELETE, REPLACE, Entry, Verb
from fib.routes import Hop, Target, TargetKind
from rib.family import AFI_IPV4, AFI_IPV6
from rib.nlri import parse_address, parse_prefix
from tests.support.cases import cases

V4, V6 = parse_address("10.0.0.2"), parse_address("fd00::2")
PREFIX = {AFI_IPV4: "20.0.1.64/26", AFI_IPV6: "fd20:1::/122"}

IMAGES: list[tuple[int, Image]] = [
    (AFI_IPV4, (1, 0, b"", ((V4, 3, False, 1),))),
    (AFI_IPV4, (1, 50, b"\x0a\0\0\1", ((V4, 3, True, 1),))),
    (AFI_IPV4, (1, 0, b"", ((V6, 3, False, 1),))),
    (AFI_IPV4, (1, 0, b"", ((b"", 7, False, 1),))),
    (AFI_IPV4, (1, 0, b"", ((V4, 3, False, 2), (V6, 4, True, 256)))),
    (AFI_IPV4, (6, 0, b"", ())),
    (AFI_IPV6, (1, 1024, b"", ((V6, 3, False, 1),))),
    (AFI_IPV6, (1, 7, b"", ((V6, 3, False, 1), (V6, 4, False, 9)))),
    (AFI_IPV6, (7, 1024, b"", ())),
]


def an_entry(
    afi: int, image: Image, table: int = 254, protocol: int = 12, object_id: int = 0
) -> Entry:
    entry = Entry(Target(TargetKind.UNICAST, (Hop(V4),)), image[1], uses_object=False)
    entry.image = image
    entry.body = route_body(afi, image, table, protocol, object_id)
    entry.delete_body = delete_body(table, protocol, image[1])
    return entry


@cases(("afi", "image"), IMAGES)
@cases("table", [254, 1000])
def test_a_route_is_read_as_it_was_written(afi: int, image: Image, table: int) -> None:
    nlri = parse_prefix(PREFIX[afi])[1]
    data = encode_operations([(CREATE, nlri, an_entry(afi, image, table))], afi, 5)
    (item,) = split_messages(data)
    assert (item.type, item.sequence) == (RTM_NEWROUTE, 5)
    route = parse_route(data, item.start, item.end)
    assert route is not None
    assert (route.nlri, route.table, route.protocol) == (nlri, table, 12)
    assert route.image == image
    assert route.metric == image[1]


def test_each_verb_has_its_flags_and_number() -> None:
    entry = an_entry(AFI_IPV4, IMAGES[0][1])
    operations = [(verb, b"\x18\x14\0\1", entry) for verb in (CREATE, REPLACE, DELETE)]
    items = list(split_messages(encode_operations(operations, AFI_IPV4, 7)))
    assert [item.sequence for item in items] == [7, 8, 9]
    assert [item.type for item in items] == [RTM_NEWROUTE, RTM_NEWROUTE, RTM_DELROUTE]
    assert items[0].flags == 1 | NLM_F_CREATE | NLM_F_EXCL
    assert items[1].flags == 1 | NLM_F_CREATE | NLM_F_REPLACE


def test_a_removal_names_our_protocol_and_any_scope() -> None:
    entry = an_entry(AFI_IPV4, (1, 9, b"", ()), protocol=77)
    data = encode_operations([(DELETE, b"\x18\x14\0\1", entry)], AFI_IPV4, 1)
    (item,) = split_messages(data)
    assert data[item.start + 5 : item.start + 8] == bytes([77, 255, 0])
    route = parse_route(data, item.start, item.end)
    assert route is not None
    assert route.metric == 9


def test_the_default_route() -> None:
    entry = an_entry(AFI_IPV4, IMAGES[0][1])
    data = encode_operations([(CREATE, b"\0", entry)], AFI_IPV4, 1)
    (item,) = split_messages(data)
    route = parse_route(data, item.start, item.end)
    assert route is not None
    assert route.nlri == b"\0"


def test_a_route_through_an_object_names_it_and_no_gateway() -> None:
    entry = an_entry(AFI_IPV4, IMAGES[0][1], object_id=99)
    data = encode_operations([(CREATE, b"\x18\x14\0\1", entry)], AFI_IPV4, 1)
    (item,) = split_messages(data)
    route = parse_route(data, item.start, item.end)
    assert route is not None
    assert (route.object_id, route.image[3]) == (99, ())


def as_dumped(prefix: str, metric: int) -> bytes:
    # The kernel tells RTA_TABLE first, then RTA_DST.
    _, nlri = parse_prefix(prefix)
    payload = bytes([2, nlri[0], 0, 0, 254, 12, 0, 1, 0, 0, 0, 0])
    payload += struct.pack("=HHI", 8, 15, 254)
    if nlri[0]:
        payload += struct.pack("=HH4s", 8, 1, nlri[1:])
    payload += struct.pack("=HHI", 8, 6, metric) + struct.pack("=HHI", 8, 4, 3)
    return message(RTM_NEWROUTE, 0, 1, payload)


def test_routes_of_a_dump_that_differ_in_the_prefix_only_are_one() -> None:
    data = b"".join(
        as_dumped(prefix, metric)
        for prefix, metric in [
            ("20.0.0.0/24", 5),
            ("20.0.1.64/26", 5),
            ("20.0.2.0/24", 6),
            ("0.0.0.0/0", 5),
        ]
    )
    routes = parse_route_dump(data, split_messages(data), {})
    assert [nlri for nlri, _ in routes] == [
        parse_prefix(p)[1]
        for p in ("20.0.0.0/24", "20.0.1.64/26", "20.0.2.0/24", "0.0.0.0/0")
    ]
    assert routes[0][1] is routes[1][1]
    assert [route.metric for _, route in routes] == [5, 5, 6, 5]


def test_next_hop_objects_are_read_as_they_were_written() -> None:
    for hop in ((V4, 3, True, 1), (V6, 4, False, 1), (b"", 5, False, 1)):
        family = family_of(AFI_IPV4, hop)
        data = encode_next_hop(77, 12, family, hop, NLM_F_CREATE)
        (item,) = split_messages(data)
        found = parse_next_hop(data, item.start, item.end)
        assert found == (77, family, 12, hop, ())
    data = encode_group(78, 12, [(1, 1), (2, 256)], NLM_F_CREATE)
    (item,) = split_messages(data)
    assert parse_next_hop(data, item.start, item.end).group == ((1, 1), (2, 256))


def test_errors_tell_the_number_and_the_kernels_words() -> None:
    repeated = bytes(HEADER_LEN)
    words = b"Nexthop has invalid gateway\0"
    payload = struct.pack("=i", -101) + repeated
    payload += struct.pack("=HH", len(words) + 4, 1) + words
    data = message(NLMSG_ERROR, 0x200, 4, payload)
    (item,) = split_messages(data)
    assert parse_error(data, item) == (101, "Nexthop has invalid gateway")
    data = message(NLMSG_ERROR, 0x100, 4, struct.pack("=i", -17) + repeated)
    (item,) = split_messages(data)
    assert parse_error(data, item) == (17, "")


def test_a_link_is_up_with_carrier_only() -> None:
    name = struct.pack("=HH5s3x", 9, 3, b"eth0\0")
    for flags, is_up in ((0x10001, True), (1, False), (0x10000, False)):
        payload = struct.pack("=BBHiII", 0, 0, 1, 9, flags, 0) + name
        data = message(16, 0, 0, payload)
        (item,) = split_messages(data)
        link = parse_link(data, item.start, item.end)
        assert (link.link, link.name, link.is_up) == (9, "eth0", is_up)


def test_a_cut_buffer_ends_the_messages() -> None:
    data = barrier(1) + barrier(2)
    assert len(list(split_messages(data))) == 2
    assert len(list(split_messages(data[:-1]))) == 1
    assert list(split_messages(b"\x04\0\0\0" + bytes(20))) == []
    (item,) = split_messages(numbered(barrier(1), 9))
    assert (item.type, item.sequence) == (NLMSG_NOOP, 9)
    assert item.flags & NLM_F_ACK


def test_hops_have_an_order_of_their_own_and_a_lone_one_no_weight() -> None:
    a, b = (V4, 3, False, 2), (V6, 1, False, 5)
    assert canonical_hops([a, b]) == canonical_hops([b, a])
    assert canonical_hops([a]) == ((V4, 3, False, 1),)


def run_filter(program: bytes, packet: bytes) -> bool:
    steps = list(struct.iter_unpack("=HBBI", program))
    at, value = 0, 0
    sizes = {0x20: 4, 0x28: 2, 0x30: 1}
    while True:
        code, if_true, if_false, k = steps[at]
        at += 1
        if code in sizes:
            value = int.from_bytes(packet[k : k + sizes[code]], "big")
        elif code == 0x15:
            at += if_true if value == k else if_false
        else:
            return bool(k)


def test_filters_keep_out_what_we_did_and_nothing_else() -> None:
    ours = bytearray(as_dumped("20.0.0.0/24", 5))
    struct.pack_into("=I", ours, 12, 4711)
    assert not run_filter(ignore_port(4711), bytes(ours))
    assert run_filter(ignore_port(4712), bytes(ours))
    assert not run_filter(ignore_routes_of(12), bytes(ours))
    assert run_filter(ignore_routes_of(13), bytes(ours))
    struct.pack_into("=H", ours, 4, RTM_DELROUTE)
    assert not run_filter(ignore_routes_of(12), bytes(ours))
    link = message(16, 0, 0, bytes([12]) * 20)
    assert run_filter(ignore_routes_of(12), link)


@pytest.mark.parametrize("afi", [AFI_IPV4, AFI_IPV6])
@pytest.mark.parametrize("verb", [CREATE, REPLACE, DELETE])
def test_many_alike_are_written_as_each_by_itself(afi: int, verb: Verb) -> None:
    entry = an_entry(afi, (1, 20, b"", ((b"", 3, False, 1),)), 254)
    size = 4 if afi == AFI_IPV4 else 16
    prefixes = [b"\0", *(bytes([n]) + bytes([7] * ((n + 7) // 8)) for n in (8, 20, 32))]
    prefixes += [bytes([size * 8]) + bytes([n] * size) for n in range(20)]
    operations = [(verb, nlri, entry) for nlri in prefixes]
    alone = (
        encode_operations([operation], afi, 70_000 + n)
        for n, operation in enumerate(operations)
    )
    assert encode_operations(operations, afi, 70_000) == b"".join(alone)
