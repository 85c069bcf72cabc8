"""Well-formed UPDATEs from the field decode to what three other decoders read."""

from collections.abc import Sequence
from dataclasses import replace

from rib.attributes import (
    AttributeContext,
    DecodedBlock,
    PathAttributes,
    decode_block,
    describe,
    extract_mp,
)
from rib.attributes.as_path import AsPath
from rib.attributes.codes import AS_TRANS, MP_REACH_NLRI
from rib.errors import Remedy
from rib.family import AFI_IPV4, IPV4_UNICAST, IPV6_UNICAST, Family
from rib.nlri import format_address, format_prefix, split, split_add_path
from tests.support.vectors import Record, divide_update, load, needs_vectors

pytestmark = needs_vectors

CONTEXT = AttributeContext(
    is_ibgp=True,
    four_octet_as=True,
    peer_as=65000,
    local_as=65000,
    allows_as_set=True,
    families=frozenset((IPV4_UNICAST, IPV6_UNICAST, Family(1, 2), Family(2, 2))),
    is_on_loopback=True,  # some captures are of sessions within one machine
)

# Decoders print what an RFC tells a speaker to refuse; these are the refusals, each by
# the clause in the problem's text.
REFUSED = (
    "is not a host address",  # RFC 4271 6.3: loc-RIB captures show 0.0.0.0, :: and ::1
    "missing (RFC 7606 3 d)",  # monitoring protocols shorten UPDATEs
    "unknown, yet marked well-known (RFC 4271 6.3)",
    "confederation segment (RFC 5065 5)",  # we are in none
    "a segment of no AS numbers (RFC 7606 7.2)",
)


def consensus() -> list[Record]:
    return [
        record
        for record in load("updates.jsonl.gz")
        if record["kind"] == "UPDATE"
        and record.get("expect", {}).get("confidence") == "consensus"
    ]


def decode(record: Record) -> tuple[DecodedBlock, bytes, bytes]:
    parts = divide_update(bytes.fromhex(record["hex"]))
    assert parts is not None
    withdrawn, block, nlri = parts
    is_wide = record["decode_as"]["asn4"] is not False
    context = replace(CONTEXT, four_octet_as=is_wide)
    return decode_block(block, context, has_nlri=bool(nlri)), withdrawn, nlri


def texts(run: bytes, afi: int, *, has_path_ids: bool) -> Sequence[object]:
    if has_path_ids:
        groups = split_add_path(run, afi).items()
        return sorted(
            [format_prefix(n, afi), path_id] for path_id, ns in groups for n in ns
        )
    return sorted(format_prefix(nlri, afi) for nlri in split(run, afi))


def is_refused(record: Record, decoded: DecodedBlock) -> bool:
    if (decoded.remedy or 0) <= Remedy.ATTRIBUTE_DISCARD:
        return False
    for problem in decoded.problems:
        if problem.remedy > Remedy.ATTRIBUTE_DISCARD:
            assert any(clause in problem.text for clause in REFUSED), (record, problem)
    return True


def expected_attributes(record: Record) -> dict[str, object]:
    said = record["expect"]["decode"]["attrs"]
    wanted = {
        name: said[name]
        for name in ("origin", "med", "local_pref", "originator_id")
        if name in said
    }
    for name in ("cluster_list", "communities", "large_communities"):
        if name in said:
            wanted[name] = said[name]
    if "atomic" in said:
        wanted["atomic_aggregate"] = True
    return wanted


def check_as_path(record: Record, attributes: PathAttributes) -> None:
    said = record["expect"]["decode"]["attrs"]
    path = attributes.as_path
    # RFC 6793 4.2.3: aggregated again by a 2-octet speaker, so AS4_PATH is out of date.
    is_stale = "as4_aggregator" in said and said["aggregator"][0] != AS_TRANS
    is_narrow = record["decode_as"]["asn4"] is False
    if "as4_path" in said and is_narrow and not is_stale:
        newer = [asn for _, asns in said["as4_path"] for asn in asns]
        older = [asn for _, asns in said["as_path"] for asn in asns]
        assert len(path.asns) == len(older)
        assert list(path.asns[-len(newer) :]) == newer
    else:
        segments = [[kind, list(asns)] for kind, asns in path.segments]
        assert segments == said["as_path"], record["id"]


def test_there_are_enough_vectors() -> None:
    assert len(consensus()) > 1200


def test_prefixes_of_every_message_are_read() -> None:
    for record in consensus():
        decoded, withdrawn, nlri = decode(record)
        said = record["expect"]["decode"]
        has_path_ids = bool(record["decode_as"]["addpath"])
        read = texts(nlri, AFI_IPV4, has_path_ids=has_path_ids)
        assert read == sorted(said["announce"]), record["id"]
        read = texts(withdrawn, AFI_IPV4, has_path_ids=has_path_ids)
        assert read == sorted(said["withdraw"]), record["id"]
        reach, wanted = decoded.mp_reach, said["attrs"].get("mp_reach")
        if wanted and reach:
            read = texts(reach.nlri, reach.family.afi, has_path_ids=has_path_ids)
            assert read == sorted(wanted["nlri"]), record["id"]
        unreach, wanted = decoded.mp_unreach, said["attrs"].get("mp_unreach")
        if wanted:
            assert unreach is not None
            read = texts(unreach.nlri, unreach.family.afi, has_path_ids=has_path_ids)
            assert read == sorted(wanted["withdrawn"]), record["id"]


def test_attributes_of_every_message_are_read() -> None:
    compared = filtered = 0
    for record in consensus():
        decoded, _, nlri = decode(record)
        said = record["expect"]["decode"]["attrs"]
        if is_refused(record, decoded):
            filtered += 1
            continue
        attributes = decoded.attributes
        if attributes is None:
            assert not nlri
            assert decoded.mp_reach is None
            continue
        compared += 1
        shown = describe(attributes)
        wanted = expected_attributes(record)
        communities = wanted.pop("communities", None)
        assert {name: shown.get(name) for name in wanted} == wanted, record["id"]
        if communities is not None:
            numbers = [f"{c >> 16}:{c & 0xFFFF}" for c in attributes.communities]
            assert numbers == communities, record["id"]
        if "ext_communities" in said:
            assert list(attributes.ext_communities) == said["ext_communities"]
        if "as_path" in said:
            check_as_path(record, attributes)
        if nlri:
            assert shown["next_hop"] == said["next_hop"], record["id"]
    assert compared > 1000
    assert filtered < 120


def test_next_hops_of_mp_reach_are_read() -> None:
    compared = 0
    for record in consensus():
        decoded, _, _ = decode(record)
        wanted = record["expect"]["decode"]["attrs"].get("mp_reach")
        if not wanted or decoded.mp_attributes is None:
            continue
        octets = decoded.mp_attributes.next_hop
        size = 4 if len(octets) == 4 else 16
        read = [
            format_address(octets[at : at + size]) for at in range(0, len(octets), size)
        ]
        assert read == wanted["next_hop"], record["id"]
        compared += 1
    assert compared > 340


def test_canonical_octets_decode_to_themselves() -> None:
    for record in consensus():
        decoded, _, _ = decode(record)
        attributes = decoded.attributes
        if attributes is None:
            continue
        again = decode_block(
            attributes.octets,
            CONTEXT,
            has_nlri=len(attributes.next_hop) == 4,
            mp_next_hop=b"" if len(attributes.next_hop) == 4 else attributes.next_hop,
        )
        assert again.problems == ()
        assert again.attributes is not None
        assert again.attributes.octets is attributes.octets


def test_taking_mp_attributes_out_first_gives_the_same_attributes() -> None:
    compared = 0
    for record in consensus():
        decoded, _, nlri = decode(record)
        parts = divide_update(bytes.fromhex(record["hex"]))
        assert parts is not None
        taken = extract_mp(parts[1])
        if taken is None or decoded.mp_reach is None or nlri:
            continue
        rest, reach, _ = taken
        assert reach is not None
        is_wide = record["decode_as"]["asn4"] is not False
        again = decode_block(
            rest,
            replace(CONTEXT, four_octet_as=is_wide),
            has_nlri=False,
            mp_next_hop=decoded.mp_reach.next_hop,
        )
        if decoded.attributes is None:
            assert decoded.remedy is not None
            assert again.attributes is None or any(
                problem.type_code == MP_REACH_NLRI for problem in decoded.problems
            )
            continue
        assert again.attributes is not None
        assert again.attributes.octets == decoded.attributes.octets
        assert again.attributes.next_hop == decoded.attributes.next_hop
        compared += 1
    assert compared > 300


def test_origin_as_and_neighbour_of_every_path_are_its_ends() -> None:
    for record in consensus():
        said = record["expect"]["decode"]["attrs"].get("as_path")
        decoded, _, _ = decode(record)
        if not said or decoded.attributes is None or any(k != 2 for k, _ in said):
            continue
        path: AsPath = decoded.attributes.as_path
        assert decoded.attributes.decision_fields()[4] == path.neighbour_as
        assert path.neighbour_as == path.asns[0]
        assert path.origin_as == path.asns[-1]


def test_every_other_message_is_survived() -> None:
    for record in load("updates.jsonl.gz"):
        parts = divide_update(bytes.fromhex(record["hex"]))
        if parts is None:
            continue
        for is_wide in (False, True):
            for is_ibgp in (False, True):
                context = replace(CONTEXT, four_octet_as=is_wide, is_ibgp=is_ibgp)
                decoded = decode_block(parts[1], context, has_nlri=bool(parts[2]))
                if decoded.attributes is not None:
                    assert describe(decoded.attributes)["origin"]
                    decoded.attributes.decision_fields()
