"""Every record is read back by a reader that is not ours, with what was put into it."""

from hypothesis import given
from hypothesis import strategies as st

from bgpd.evidence.mrt_records import (
    Encoding,
    Ends,
    TablePeer,
    count_of,
    message_record,
    peer_index_table,
    rib_entry,
    rib_record,
    state_record,
    table_attributes,
)
from bgpd.wire.framing import encode_message
from rib.attributes import make_attributes
from rib.attributes.codes import MP_REACH_NLRI
from rib.family import AFI_IPV4, IPV4_UNICAST, IPV6_UNICAST, Family
from rib.nlri import format_address, format_prefix
from tests.support.mrt_readers import number_of, parsed, value_of

AS_NUMBERS = st.integers(0, 0xFFFFFFFF)
TIMES = st.integers(0, 0xFFFFFFFF)
FAMILIES = st.sampled_from((IPV4_UNICAST, IPV6_UNICAST))
STATES = st.integers(1, 6)
IPV4 = st.binary(min_size=4, max_size=4)
IPV6 = st.binary(min_size=16, max_size=16)
PEERS = st.builds(TablePeer, AS_NUMBERS, IPV4 | IPV6, AS_NUMBERS)
ENDS = st.builds(Ends, AS_NUMBERS, AS_NUMBERS, IPV4, IPV4) | st.builds(
    Ends, AS_NUMBERS, AS_NUMBERS, IPV6, IPV6
)


@st.composite
def prefixes(draw: st.DrawFn, family: Family) -> bytes:
    bits = draw(st.integers(0, 32 if family.afi == AFI_IPV4 else 128))
    octets = (bits + 7) // 8
    value = draw(st.binary(min_size=octets, max_size=octets))
    if bits % 8:
        value = value[:-1] + bytes((value[-1] & (0xFF00 >> bits % 8) & 0xFF,))
    return bytes((bits,)) + value


@given(at=TIMES, collector=AS_NUMBERS, peers=st.lists(PEERS, max_size=5))
def test_a_table_of_peers(at: int, collector: int, peers: list[TablePeer]) -> None:
    (read,) = parsed(peer_index_table(at, collector, peers, "view"))
    assert [*read["timestamp"]] == [at]
    assert read["collector_bgp_id"] == format_address(collector.to_bytes(4, "big"))
    assert read["view_name"] == "view"
    assert [
        (each["peer_bgp_id"], each["peer_ip"], int(each["peer_as"]))
        for each in read["peer_entries"]
    ] == [
        (format_address(p.router_id.to_bytes(4, "big")), shown(p.address), p.asn)
        for p in peers
    ]


@given(
    data=st.data(),
    at=TIMES,
    family=FAMILIES,
    sequence=TIMES,
    paths=st.lists(
        st.tuples(st.integers(0, 0xFFFF), TIMES, TIMES, TIMES), min_size=1, max_size=4
    ),
    has_path_ids=st.booleans(),
)
def test_a_prefix_of_a_table(
    data, at, family, sequence, paths, *, has_path_ids
) -> None:
    nlri = data.draw(prefixes(family))
    next_hop = data.draw(IPV4 if family == IPV4_UNICAST else IPV6)
    entries = [
        rib_entry(
            place,
            originated,
            table_attributes(make_attributes(next_hop=next_hop, med=med)),
            path_id if has_path_ids else None,
        )
        for place, originated, med, path_id in paths
    ]
    (read,) = parsed(
        rib_record(
            at, family, sequence, nlri, count_of(entries), has_path_ids=has_path_ids
        )
    )
    assert read["sequence_number"] == sequence
    prefix = format_prefix(nlri, family.afi)
    assert f"{read['prefix']}/{read['length']}" == prefix or family == IPV6_UNICAST
    assert read["length"] == nlri[0]
    assert len(read["rib_entries"]) == len(paths)
    for each, (place, originated, med, path_id) in zip(
        read["rib_entries"], paths, strict=True
    ):
        assert each["peer_index"] == place
        assert [*each["originated_time"]] == [originated]
        assert each.get("path_id") == (path_id if has_path_ids else None)
        attributes = each["path_attributes"]
        assert value_of(attributes, 4) == med
        if family == IPV4_UNICAST:
            assert value_of(attributes, 3) == format_address(next_hop)
        else:
            assert value_of(attributes, MP_REACH_NLRI)["next_hop"] == [shown(next_hop)]


@given(
    at=st.integers(0, 0xFFFFFFFF * 1_000_000).map(lambda micro: micro / 1_000_000),
    ends=ENDS,
    old=STATES,
    new=STATES,
)
def test_a_change_of_state(at: float, ends: Ends, old: int, new: int) -> None:
    (read,) = parsed(state_record(at, ends, old, new))
    seconds = number_of(read["timestamp"])
    assert abs(seconds + read["microsecond_timestamp"] / 1_000_000 - at) < 1e-5
    assert number_of(read["old_state"]) == old
    assert number_of(read["new_state"]) == new
    assert_ends(read, ends)


@given(ends=ENDS, four=st.booleans(), is_sent=st.booleans(), path_ids=st.booleans())
def test_an_update(ends: Ends, *, four: bool, is_sent: bool, path_ids: bool) -> None:
    route = b"\x18\x0a\x01\x02"
    if path_ids:
        route = b"\0\0\0\x07" + route
    block = make_attributes(next_hop=b"\x0a\0\0\x01").octets
    body = bytes(2) + len(block).to_bytes(2, "big") + block + route
    encoding = Encoding(four, frozenset((IPV4_UNICAST,)) if path_ids else frozenset())
    message = encode_message(2, body)
    (read,) = parsed(message_record(7.25, ends, message, encoding, is_sent=is_sent))
    (subtype,) = read["subtype"].values()
    assert ("AS4" in subtype) == four
    assert ("LOCAL" in subtype) == is_sent
    assert ("ADDPATH" in subtype) == path_ids
    (nlri,) = read["bgp_message"]["nlri"]
    assert (nlri["prefix"], nlri["length"]) == ("10.1.2.0", 24)
    assert nlri.get("path_id") == (7 if path_ids else None)
    assert_ends(read, ends if four else short(ends))


def short(ends: Ends) -> Ends:
    """Return ends as two-octet AS numbers tell them (RFC 6793 9)."""
    peer, local = (n if n <= 0xFFFF else 23456 for n in (ends.peer_as, ends.local_as))
    return ends._replace(peer_as=peer, local_as=local)


def shown(address: bytes) -> str:
    return format_address(address)


def assert_ends(read: dict[str, str], ends: Ends) -> None:
    assert int(read["peer_as"]) == ends.peer_as
    assert int(read["local_as"]) == ends.local_as
    assert read["peer_ip"] == shown(ends.peer)
    assert read["local_ip"] == shown(ends.local)
