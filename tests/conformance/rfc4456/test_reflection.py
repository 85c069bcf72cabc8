"""RFC 4456: which routes a reflector advertises to whom, and what it adds to them."""

import pytest

from reflector.export import (
    REFLECTION_RULES,
    Export,
    PeerType,
    RouteOrigin,
    route_origin_of,
)
from rib.attributes import make_attributes
from rib.attributes.codes import CLUSTER_LIST, NEXT_HOP, ORIGINATOR_ID
from rib.attributes.path_attributes import edit, iterate
from rib.import_checks import FilterReason, ImportChecks
from rib.path import Path, SourceKind
from rib.policy import ACCEPT_ALL, Policy
from tests.support.exports import CLUSTER, a_context, from_peer, told, values
from tests.support.routes import some_attributes

pytestmark = pytest.mark.usefixtures("either_twin")

OTHER_CLUSTER = 0x0A000002

SOURCES = {
    RouteOrigin.OWN: (from_peer(SourceKind.LOCAL), from_peer(SourceKind.KERNEL)),
    RouteOrigin.CLIENT: (from_peer(is_client=True),),
    RouteOrigin.NON_CLIENT: (from_peer(),),
    RouteOrigin.EBGP: (from_peer(SourceKind.EBGP),),
}


def words(*numbers: int) -> bytes:
    return b"".join(number.to_bytes(4, "big") for number in numbers)


@pytest.mark.rfc("4456", "6", "MUST")
@pytest.mark.parametrize("peer_type", PeerType)
@pytest.mark.parametrize("origin", SOURCES)
def test_only_routes_of_non_clients_to_non_clients_stay(
    origin: RouteOrigin, peer_type: PeerType
) -> None:
    stays = origin is RouteOrigin.NON_CLIENT and peer_type is PeerType.NON_CLIENT
    assert ((origin, peer_type) in REFLECTION_RULES) != stays
    for path in SOURCES[origin]:
        assert route_origin_of(path) is origin
        assert (told(path, a_context(peer_type)) is None) == stays


@pytest.mark.rfc("4456", "8", "MUST")
@pytest.mark.parametrize(
    ("is_client", "peer_type"),
    [
        (True, PeerType.CLIENT),
        (True, PeerType.NON_CLIENT),
        (False, PeerType.CLIENT),
    ],
)
@pytest.mark.parametrize("communities", [(), tuple(range(70))])
def test_reflection_names_the_originator_and_the_cluster(
    is_client, peer_type: PeerType, communities: tuple[int, ...]
) -> None:
    attributes = some_attributes("65001", communities=communities, local_pref=100)
    path = from_peer(attributes=attributes, is_client=is_client, router_id=77)
    found = values(told(path, a_context(peer_type)))
    assert found[ORIGINATOR_ID] == words(77)
    assert found[CLUSTER_LIST] == words(CLUSTER)


@pytest.mark.rfc("4456", "8", "MUST NOT")
def test_an_originator_that_is_there_stays() -> None:
    attributes = some_attributes(originator_id=5, local_pref=100)
    path = from_peer(attributes=attributes, is_client=True, router_id=77)
    assert values(told(path))[ORIGINATOR_ID] == words(5)


@pytest.mark.rfc("4456", "8", "MUST")
@pytest.mark.parametrize("length", [1, 62, 63, 64, 300])
def test_the_cluster_is_prepended(length: int) -> None:
    there = tuple(range(1, length + 1))
    attributes = some_attributes(originator_id=5, cluster_list=there, local_pref=100)
    path = from_peer(attributes=attributes, is_client=True)
    assert values(told(path))[CLUSTER_LIST] == words(CLUSTER, *there)


@pytest.mark.rfc("4456", "7", "SHOULD")
def test_each_cluster_between_two_clients_is_named_once() -> None:
    path = from_peer(is_client=True, cluster_id=OTHER_CLUSTER)
    there = a_context(PeerType.CLIENT, cluster_id=CLUSTER)
    assert values(told(path, there))[CLUSTER_LIST] == words(CLUSTER, OTHER_CLUSTER)
    out = a_context(PeerType.NON_CLIENT, cluster_id=CLUSTER)
    assert values(told(path, out))[CLUSTER_LIST] == words(OTHER_CLUSTER)
    back = from_peer(cluster_id=OTHER_CLUSTER)
    assert values(told(back, there))[CLUSTER_LIST] == words(CLUSTER)


@pytest.mark.rfc("4456", "8", "MUST NOT")
@pytest.mark.parametrize("kind", [SourceKind.LOCAL, SourceKind.KERNEL, SourceKind.EBGP])
def test_only_reflected_routes_are_marked(kind: SourceKind) -> None:
    found = values(told(from_peer(kind)))
    assert ORIGINATOR_ID not in found
    assert CLUSTER_LIST not in found


@pytest.mark.rfc("4456", "8", "MUST NOT")
def test_the_marks_do_not_leave_the_as() -> None:
    attributes = some_attributes(originator_id=5, cluster_list=(1, 2), local_pref=9)
    found = values(told(from_peer(attributes=attributes), a_context(PeerType.EBGP)))
    assert ORIGINATOR_ID not in found
    assert CLUSTER_LIST not in found


@pytest.mark.rfc("4456", "10", "SHOULD NOT")
def test_nothing_else_changes() -> None:
    attributes = make_attributes(
        next_hop=bytes((192, 0, 2, 9)),
        origin=1,
        as_path=b"\x02\x01\x00\x00\xfd\xe9",
        med=7,
        local_pref=150,
        atomic_aggregate=True,
        aggregator=(65001, bytes((1, 2, 3, 4))),
        communities=(1, 2, 3),
        ext_communities=(1, 2),
        large_communities=((1, 2, 3),),
        otc=65001,
        others={99: b"unknown"},
    )
    path = from_peer(attributes=attributes, is_client=True)
    outgoing = told(path)
    assert outgoing is not None
    without = edit(outgoing.attributes, {ORIGINATOR_ID: None, CLUSTER_LIST: None})
    assert without == attributes.octets
    codes = [code for _, code, _ in iterate(outgoing.attributes)]
    assert codes == sorted(codes)


@pytest.mark.rfc("4456", "10", "SHOULD NOT")
def test_the_next_hop_is_reflected_unless_the_operator_says_otherwise() -> None:
    attributes = some_attributes(next_hop="192.0.2.9", local_pref=100)
    path = from_peer(attributes=attributes, is_client=True)
    assert values(told(path))[NEXT_HOP] == bytes((192, 0, 2, 9))
    own = a_context(self_from=frozenset(SourceKind))
    assert values(told(path, own))[NEXT_HOP] == own.local_address


class TestLoops:
    RULES = ImportChecks(
        Policy(ACCEPT_ALL),
        local_as=64512,
        router_id=CLUSTER,
        cluster_ids=frozenset({OTHER_CLUSTER, 77}),
    )

    def refusal(self, path: Path) -> FilterReason | None:
        filtered = self.RULES.check(path.attributes, path.source)
        return None if filtered is None else filtered.refusal

    @pytest.mark.rfc("4456", "8", "SHOULD")
    def test_our_own_routes_are_ignored_when_they_come_back(self) -> None:
        attributes = some_attributes(originator_id=CLUSTER)
        path = from_peer(attributes=attributes)
        assert self.refusal(path) is FilterReason.OWN_ORIGINATOR

    @pytest.mark.rfc("4456", "8", "SHOULD")
    @pytest.mark.parametrize("cluster", [OTHER_CLUSTER, 77])
    def test_routes_that_passed_our_cluster_are_ignored(self, cluster: int) -> None:
        attributes = some_attributes(originator_id=1, cluster_list=(1, 2, cluster))
        path = from_peer(attributes=attributes)
        assert self.refusal(path) is FilterReason.OWN_CLUSTER

    def test_others_are_welcome(self) -> None:
        attributes = some_attributes(
            "65001", originator_id=9, cluster_list=(1, 2), communities=(CLUSTER, 77)
        )
        assert self.refusal(from_peer(attributes=attributes)) is None

    def test_a_reflected_route_is_filtered_by_the_reflector_itself(self) -> None:
        path = from_peer(is_client=True, cluster_id=77)
        export = Export(a_context(cluster_id=77), Policy(ACCEPT_ALL))
        outgoing = export(path)
        assert outgoing is not None
        again = some_attributes(
            originator_id=int.from_bytes(values(outgoing)[ORIGINATOR_ID], "big"),
            cluster_list=(77,),
        )
        assert self.refusal(from_peer(attributes=again)) is FilterReason.OWN_CLUSTER
