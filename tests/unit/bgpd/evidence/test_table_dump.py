"""Dumps of tables, read back by mrtparse."""

from bgpd.evidence.mrt_records import OURSELVES
from bgpd.evidence.table_dump import SLICE, TableDump
from rib.attributes import make_attributes
from rib.family import IPV4_UNICAST, IPV6_UNICAST
from rib.loc_rib import LocRib
from rib.path import NextHop, Path, Source, SourceKind
from tests.support.mrt_readers import number_of, parsed, value_of
from tests.support.speakers import some_nlris

A = Source("a", SourceKind.IBGP, address=b"\x0a\0\0\x01", router_id=1, asn=65001)
B = Source("b", SourceKind.EBGP, address=bytes(15) + b"\2", router_id=2, asn=65002)
HERE = Source("here", SourceKind.LOCAL)
HOP = NextHop(b"\x0a\0\0\x01")
AT = 1_700_000_000.0


def path(source: Source, med: int, *, path_id: int = 0) -> Path:
    attributes = make_attributes(next_hop=HOP.address, med=med)
    return Path(source, attributes, HOP, path_id=path_id)


def dump_of(*tables: LocRib, identified: tuple[Source, ...] = ()) -> TableDump:
    return TableDump(
        tables, 99, 65000, at=AT, since=50.0, add_path=identified.__contains__
    )


def octets_of(dump: TableDump) -> bytes:
    return b"".join(chunk.octets for chunk in dump.chunks() if chunk is not None)


def test_a_dump_has_each_path_of_each_prefix_and_its_peer() -> None:
    rib = LocRib(IPV4_UNICAST)
    one, two = some_nlris(2)
    A.heard_at = 40.0
    rib.announce([one, two], path(A, 7))
    rib.announce([one], path(B, 8))
    rib.announce([two], path(HERE, 9))
    peers, *records = parsed(octets_of(dump_of(rib)))
    by_place = [(each["peer_ip"], each["peer_as"]) for each in peers["peer_entries"]]
    assert by_place[OURSELVES] == ("0.0.0.0", "65000")
    assert set(by_place[1:]) == {("10.0.0.1", "65001"), ("::2", "65002")}
    assert [r["sequence_number"] for r in records] == [0, 1]
    told = {
        (r["prefix"], by_place[e["peer_index"]][0], value_of(e["path_attributes"], 4))
        for r in records
        for e in r["rib_entries"]
    }
    assert told == {
        ("10.0.0.0", "10.0.0.1", 7),
        ("10.0.0.0", "::2", 8),
        ("10.0.1.0", "10.0.0.1", 7),
        ("10.0.1.0", "0.0.0.0", 9),
    }
    (originated,) = {
        number_of(e["originated_time"])
        for r in records
        for e in r["rib_entries"]
        if by_place[e["peer_index"]][1] == "65001"
    }
    assert originated == AT - 10


def test_paths_with_identifiers_are_in_records_of_their_own() -> None:
    rib = LocRib(IPV4_UNICAST)
    (nlri,) = some_nlris(1)
    rib.announce([nlri], path(A, 1, path_id=3))
    rib.announce([nlri], path(A, 2, path_id=0))
    rib.announce([nlri], path(B, 3))
    _, plain, identified = parsed(octets_of(dump_of(rib, identified=(A,))))
    assert number_of(plain["subtype"]) == 2
    assert number_of(identified["subtype"]) == 8
    assert len(plain["rib_entries"]) == 1
    assert {e["path_id"] for e in identified["rib_entries"]} == {0, 3}


def test_a_dump_is_of_the_moment_it_was_made_at_whatever_comes_later() -> None:
    rib, other = LocRib(IPV4_UNICAST), LocRib(IPV6_UNICAST)
    nlris = some_nlris(3 * SLICE)
    rib.announce(nlris, path(A, 1))
    dump = dump_of(rib, other)
    chunks = dump.chunks()
    made = []
    for chunk in chunks:  # the first yield point
        if chunk is None:
            break
        made.append(chunk.octets)
    rib.withdraw(nlris, A)
    rib.announce(some_nlris(1, 11 << 24), path(A, 2))
    made += [chunk.octets for chunk in chunks if chunk is not None]
    _, *records = parsed(b"".join(made))
    assert len(records) == dump.prefix_count == len(nlris)
    assert {value_of(r["rib_entries"][0]["path_attributes"], 4) for r in records} == {1}


def test_no_step_is_longer_than_a_slice() -> None:
    rib = LocRib(IPV4_UNICAST)
    rib.announce(some_nlris(10 * SLICE), path(A, 1))
    steps = [*dump_of(rib).chunks()]
    assert steps.count(None) == 10
