import pytest

from reflector.export import (
    MEMO_MAX,
    Export,
    ExportContext,
    PeerType,
    RouteOrigin,
    route_origin_of,
)
from rib.attributes import make_attributes, parse_as_path
from rib.attributes.codes import (
    AIGP,
    AS_PATH,
    CLUSTER_LIST,
    COMMUNITIES,
    EXTENDED_COMMUNITIES,
    LOCAL_PREF,
    MULTI_EXIT_DISC,
    NEXT_HOP,
    ONLY_TO_CUSTOMER,
    ORIGINATOR_ID,
)
from rib.family import IPV6_UNICAST
from rib.nlri import parse_address
from rib.path import NextHop, Path, SourceKind
from rib.policy import (
    ACCEPT_ALL,
    GRACEFUL_SHUTDOWN,
    NO_ADVERTISE,
    NO_EXPORT,
    NO_EXPORT_SUBCONFED,
    Actions,
    Match,
    NextHopRule,
    Operator,
    Outcome,
    Policy,
    PolicySpec,
    Term,
    compile_policy,
    prefix_match,
)
from tests.support.cases import cases
from tests.support.exports import (
    CLUSTER,
    LOCAL_AS,
    SELF,
    SELF_IPV6,
    a_context,
    from_peer,
    told,
    values,
)
from tests.support.routes import nlris, some_attributes

pytestmark = pytest.mark.usefixtures("either_twin")

TO_EBGP = a_context(PeerType.EBGP, cluster_id=0)
TO_IBGP = a_context(PeerType.NON_CLIENT, cluster_id=0)
KINDS = (SourceKind.LOCAL, SourceKind.KERNEL, SourceKind.EBGP, SourceKind.IBGP)
GLOBAL = "2001:db8::9"
LINK_LOCAL = "fe80::9"
HOP = NextHop(bytes((192, 0, 2, 1)))
POLICY_HOP = bytes((203, 0, 113, 1))


def doing(actions: Actions, outcome: Outcome = Outcome.ACCEPT) -> PolicySpec:
    return PolicySpec("p", (Term("t", outcome, actions=actions),))


class TestAsPath:
    @pytest.mark.rfc("4271", "5.1.2", "MUST")
    @pytest.mark.parametrize("kind", KINDS)
    def test_our_as_is_prepended_towards_other_ases(self, kind: SourceKind) -> None:
        path = from_peer(kind, some_attributes("65001 65002"))
        assert values(told(path, TO_EBGP))[AS_PATH] == parse_as_path(
            f"{LOCAL_AS} 65001 65002"
        )

    @pytest.mark.rfc("4271", "5.1.2", "MUST")
    def test_what_we_originate_starts_with_our_as(self) -> None:
        path = from_peer(SourceKind.LOCAL, some_attributes())
        assert values(told(path, TO_EBGP))[AS_PATH] == parse_as_path(f"{LOCAL_AS}")

    @pytest.mark.rfc("4271", "5.1.2", "MUST NOT")
    @pytest.mark.parametrize("kind", KINDS[:3])
    def test_it_does_not_change_inside_the_as(self, kind: SourceKind) -> None:
        path = from_peer(kind, some_attributes("65001"))
        assert values(told(path, TO_IBGP))[AS_PATH] == parse_as_path("65001")

    def test_two_octet_peers_get_as_trans_and_the_path_beside_it(self) -> None:
        path = from_peer(SourceKind.EBGP, some_attributes("4200000000"))
        old = a_context(PeerType.EBGP, four_octet_as=False)
        found = values(told(path, old))
        assert (
            found[AS_PATH] == b"\x02\x02" + (LOCAL_AS).to_bytes(2, "big") + b"\x5b\xa0"
        )
        assert found[17] == parse_as_path(f"{LOCAL_AS} 4200000000")


class TestLocalPref:
    @pytest.mark.rfc("4271", "5.1.5", "MUST")
    @pytest.mark.parametrize("kind", KINDS[:3])
    @pytest.mark.parametrize("peer_type", [PeerType.CLIENT, PeerType.NON_CLIENT])
    def test_internal_peers_receive_one(self, kind, peer_type) -> None:
        context = a_context(peer_type)
        path = from_peer(kind, some_attributes())
        assert values(told(path, context))[LOCAL_PREF] == (100).to_bytes(4, "big")
        path = from_peer(kind, some_attributes(local_pref=7))
        assert values(told(path, context))[LOCAL_PREF] == (7).to_bytes(4, "big")

    @pytest.mark.rfc("4271", "5.1.5", "MUST NOT")
    @pytest.mark.parametrize("kind", KINDS)
    def test_external_peers_receive_none(self, kind: SourceKind) -> None:
        path = from_peer(kind, some_attributes(local_pref=7))
        assert LOCAL_PREF not in values(told(path, TO_EBGP))


class TestMed:
    @pytest.mark.rfc("4271", "5.1.4", "MUST NOT")
    @pytest.mark.parametrize("kind", [SourceKind.EBGP, SourceKind.IBGP])
    def test_a_received_one_goes_to_no_other_as(self, kind: SourceKind) -> None:
        path = from_peer(kind, some_attributes(med=5))
        assert MULTI_EXIT_DISC not in values(told(path, TO_EBGP))

    @pytest.mark.rfc("4271", "5.1.4", "MAY")
    def test_a_received_one_goes_to_internal_peers(self) -> None:
        path = from_peer(SourceKind.EBGP, some_attributes(med=5))
        assert values(told(path, TO_IBGP))[MULTI_EXIT_DISC] == (5).to_bytes(4, "big")

    def test_our_own_goes_out(self) -> None:
        path = from_peer(SourceKind.LOCAL, some_attributes(med=5))
        assert values(told(path, TO_EBGP))[MULTI_EXIT_DISC] == (5).to_bytes(4, "big")

    @pytest.mark.parametrize("kind", [SourceKind.EBGP, SourceKind.IBGP])
    def test_one_that_policy_set_goes_out(self, kind: SourceKind) -> None:
        path = from_peer(kind, some_attributes(med=5))
        found = values(told(path, TO_EBGP, doing(Actions(med=6))))
        assert found[MULTI_EXIT_DISC] == (6).to_bytes(4, "big")

    @cases("kind", [SourceKind.EBGP, SourceKind.IBGP])
    @cases("received", [None, 0, 6, 7])
    def test_one_that_policy_set_to_what_was_received_goes_out(
        self, kind: SourceKind, received: int | None
    ) -> None:
        path = from_peer(kind, some_attributes(med=received))
        found = values(told(path, TO_EBGP, doing(Actions(med=6))))
        assert found[MULTI_EXIT_DISC] == (6).to_bytes(4, "big")
        path.has_own_med = True  # import policy's
        found = values(told(path, TO_EBGP))
        wanted = None if received is None else received.to_bytes(4, "big")
        assert found.get(MULTI_EXIT_DISC) == wanted

    def test_one_that_policy_takes_away_again_does_not_go_out(self) -> None:
        path = from_peer(SourceKind.EBGP, some_attributes(med=5))
        spec = PolicySpec(
            "twice",
            (
                Term("set", Outcome.NEXT, actions=Actions(med=6)),
                Term("take", Outcome.ACCEPT, actions=Actions(removes_med=True)),
            ),
        )
        assert MULTI_EXIT_DISC not in values(told(path, TO_EBGP, spec))


class TestDefaults:
    @pytest.mark.parametrize("peer_type", PeerType)
    @pytest.mark.parametrize("originates_default", [False, True])
    def test_peers_that_ask_for_a_default_receive_it(
        self, peer_type, originates_default
    ) -> None:
        path = from_peer(SourceKind.LOCAL, some_attributes(local_pref=100))
        path.source.is_default = True
        assert route_origin_of(path) is RouteOrigin.DEFAULT
        context = a_context(peer_type, originates_default=originates_default)
        assert (told(path, context) is not None) is originates_default

    def test_it_is_advertised_before_the_whole_table_is_there(self) -> None:
        path = from_peer(SourceKind.LOCAL, some_attributes(local_pref=100))
        path.source.is_default = True
        context = a_context(originates_default=True)
        export = Export(context, Policy(ACCEPT_ALL), defers_peer_routes=True)
        assert export(path) is not None

    def test_peers_that_ask_for_a_default_receive_other_routes_too(self) -> None:
        context = a_context(PeerType.EBGP, originates_default=True)
        assert told(from_peer(SourceKind.LOCAL), context) is not None
        assert told(from_peer(SourceKind.EBGP), context) is not None


class TestExtendedCommunities:
    STAYS, GOES = 0x4004_0000_0000_0001, 0x0002_0000_0000_0001

    @pytest.mark.rfc("4360", "6", "SHOULD")
    def test_those_that_stay_within_an_as_do(self) -> None:
        path = from_peer(
            SourceKind.IBGP, some_attributes(ext_communities=(self.STAYS, self.GOES))
        )
        wanted = self.GOES.to_bytes(8, "big")
        assert values(told(path, TO_EBGP))[EXTENDED_COMMUNITIES] == wanted

    def test_those_of_our_own_routes_go_out(self) -> None:
        path = from_peer(
            SourceKind.LOCAL, some_attributes(ext_communities=(self.STAYS,))
        )
        found = values(told(path, TO_EBGP))
        assert found[EXTENDED_COMMUNITIES] == self.STAYS.to_bytes(8, "big")

    @pytest.mark.parametrize("received", [(), (0x4004_0000_0000_0001,)])
    def test_those_that_export_policy_sets_go_out(self, received) -> None:
        path = from_peer(SourceKind.EBGP, some_attributes(ext_communities=received))
        for actions in (
            Actions(add_ext_communities=(self.STAYS,)),
            Actions(set_ext_communities=(self.STAYS,)),
        ):
            found = values(told(path, TO_EBGP, doing(actions)))
            assert found[EXTENDED_COMMUNITIES] == self.STAYS.to_bytes(8, "big")


class TestNextHop:
    @pytest.mark.rfc("4271", "5.1.3", "SHOULD")
    @pytest.mark.parametrize("kind", KINDS)
    def test_external_peers_receive_our_address(self, kind: SourceKind) -> None:
        assert values(told(from_peer(kind), TO_EBGP))[NEXT_HOP] == SELF

    @pytest.mark.parametrize("kind", KINDS)
    def test_it_is_kept_where_asked_for(self, kind: SourceKind) -> None:
        keep = a_context(PeerType.EBGP, self_from=frozenset())
        path = from_peer(kind, some_attributes(next_hop="192.0.2.9"))
        assert values(told(path, keep))[NEXT_HOP] == bytes((192, 0, 2, 9))

    @pytest.mark.rfc("4271", "5.1.3", "SHOULD NOT")
    @pytest.mark.parametrize("kind", KINDS[2:])
    def test_internal_peers_receive_it_unchanged(self, kind) -> None:
        path = from_peer(
            kind, some_attributes(next_hop="192.0.2.9", local_pref=1), is_client=True
        )
        assert values(told(path, TO_IBGP))[NEXT_HOP] == bytes((192, 0, 2, 9))
        own = a_context(PeerType.NON_CLIENT, self_from=frozenset({kind}))
        assert values(told(path, own))[NEXT_HOP] == SELF
        others = a_context(
            PeerType.NON_CLIENT, self_from=frozenset(SourceKind) - {kind}
        )
        assert values(told(path, others))[NEXT_HOP] == bytes((192, 0, 2, 9))

    @pytest.mark.parametrize("peer_type", PeerType)
    @pytest.mark.parametrize("self_from", [None, frozenset()])
    def test_a_route_without_a_next_hop_is_advertised_with_ours(
        self, peer_type, self_from
    ) -> None:
        own = make_attributes(next_hop=b"", local_pref=100)
        context = a_context(peer_type, self_from=self_from)
        path = from_peer(SourceKind.LOCAL, own)
        assert values(told(path, context))[NEXT_HOP] == SELF

    @pytest.mark.parametrize(
        "context",
        [
            TO_EBGP,
            TO_IBGP,
            a_context(PeerType.CLIENT, self_from=frozenset(SourceKind)),
            a_context(PeerType.EBGP, self_from=frozenset()),
        ],
    )
    @pytest.mark.parametrize("kind", KINDS)
    def test_what_export_policy_sets_is_advertised(
        self, kind: SourceKind, context: ExportContext
    ) -> None:
        path = from_peer(kind, is_client=True)
        found = values(told(path, context, doing(Actions(next_hop=POLICY_HOP))))
        assert found[NEXT_HOP] == POLICY_HOP

    @cases("kind", KINDS)
    @cases("peer_type", PeerType)
    def test_export_policy_may_name_ourselves(self, kind, peer_type) -> None:
        context = a_context(peer_type, self_from=frozenset())
        policy = doing(Actions(next_hop=NextHopRule.SELF))
        path = from_peer(kind, some_attributes(next_hop="192.0.2.9"), is_client=True)
        assert values(told(path, context, policy))[NEXT_HOP] == SELF

    @cases("kind", KINDS)
    @cases("peer_type", PeerType)
    def test_export_policy_may_leave_it_whatever_the_session_does(
        self, kind, peer_type
    ) -> None:
        context = a_context(peer_type, self_from=frozenset(SourceKind))
        policy = doing(Actions(next_hop=NextHopRule.UNCHANGED))
        path = from_peer(kind, some_attributes(next_hop="192.0.2.9"), is_client=True)
        found = values(told(path, context, policy))
        assert found[NEXT_HOP] == bytes((192, 0, 2, 9))

    @pytest.mark.parametrize("rule", [NextHopRule.UNCHANGED, NextHopRule.SELF])
    def test_what_has_none_has_ourselves_by_any_rule(self, rule) -> None:
        path = from_peer(SourceKind.LOCAL, make_attributes(next_hop=b""))
        found = values(told(path, TO_EBGP, doing(Actions(next_hop=rule))))
        assert found[NEXT_HOP] == SELF

    @pytest.mark.parametrize(
        ("rules", "expected"),
        [
            ((POLICY_HOP, NextHopRule.SELF), SELF),
            ((POLICY_HOP, NextHopRule.UNCHANGED), bytes((192, 0, 2, 9))),
            ((NextHopRule.SELF, POLICY_HOP), POLICY_HOP),
            ((NextHopRule.UNCHANGED, NextHopRule.SELF), SELF),
            ((NextHopRule.SELF, None), SELF),
        ],
    )
    def test_of_several_terms_the_last_counts(self, rules, expected) -> None:
        terms = tuple(
            Term(str(number), Outcome.NEXT, actions=Actions(next_hop=rule, med=number))
            for number, rule in enumerate(rules)
        )
        policy = PolicySpec("p", terms, accepts_unmatched=True)
        path = from_peer(SourceKind.EBGP, some_attributes(next_hop="192.0.2.9"))
        assert values(told(path, TO_EBGP, policy))[NEXT_HOP] == expected

    def test_a_policy_that_sets_what_is_there_sets_it(self) -> None:
        path = from_peer(SourceKind.EBGP, some_attributes(next_hop="203.0.113.1"))
        found = values(told(path, TO_EBGP, doing(Actions(next_hop=POLICY_HOP))))
        assert found[NEXT_HOP] == POLICY_HOP


class TestIpv6:
    def context(
        self, peer_type: PeerType = PeerType.NON_CLIENT, **changes
    ) -> ExportContext:
        changes = {"family": IPV6_UNICAST, "local_address": SELF_IPV6, **changes}
        return a_context(peer_type, **changes)

    @pytest.mark.rfc("4760", "3", "MUST")
    @pytest.mark.parametrize("kind", KINDS[:3])
    def test_the_next_hop_is_advertised_beside_the_attributes(self, kind) -> None:
        attributes = some_attributes(next_hop=GLOBAL)
        outgoing = told(from_peer(kind, attributes), self.context())
        assert outgoing is not None
        assert outgoing.next_hop == attributes.next_hop
        assert NEXT_HOP not in values(outgoing)
        outgoing = told(from_peer(kind, attributes), self.context(PeerType.EBGP))
        assert outgoing is not None
        assert outgoing.next_hop == SELF_IPV6

    @pytest.mark.rfc("2545", "3", "MUST")
    def test_a_link_local_address_stays_on_its_link(self) -> None:
        both = (
            some_attributes(next_hop=GLOBAL).next_hop
            + some_attributes(next_hop=LINK_LOCAL).next_hop
        )
        path = from_peer(SourceKind.EBGP, make_attributes(next_hop=both))
        outgoing = told(path, self.context())
        assert outgoing is not None
        assert outgoing.next_hop == both[:16]
        alone = from_peer(SourceKind.EBGP, some_attributes(next_hop=LINK_LOCAL))
        outgoing = told(alone, self.context())
        assert outgoing is not None
        assert outgoing.next_hop == SELF_IPV6

    @pytest.mark.parametrize(
        "address", ["fe80::9", "fe81::9", "feb0::9", "febf:ffff::9"]
    )
    def test_no_link_local_address_is_advertised_off_its_link(
        self, address: str
    ) -> None:
        attributes = some_attributes(next_hop=address)
        for kind in KINDS[:3]:
            outgoing = told(from_peer(kind, attributes), self.context())
            assert outgoing is not None
            assert outgoing.next_hop == SELF_IPV6
        keeps = self.context(PeerType.EBGP, self_from=frozenset())
        outgoing = told(from_peer(SourceKind.EBGP, attributes), keeps)
        assert outgoing is not None
        assert outgoing.next_hop == SELF_IPV6  # the peers on the link are unknown

    @pytest.mark.parametrize(
        "address", ["fe00::9", "fe7f::9", "fec0::9", "fd80::9", "2a80::9", "ff80::9"]
    )
    def test_an_address_that_only_resembles_a_link_local_one_is_advertised(
        self, address
    ) -> None:
        attributes = some_attributes(next_hop=address)
        outgoing = told(from_peer(SourceKind.EBGP, attributes), self.context())
        assert outgoing is not None
        assert outgoing.next_hop == attributes.next_hop

    @pytest.mark.rfc("2545", "3", "MUST")
    @pytest.mark.parametrize(
        ("zone", "is_kept"), [("eth0", True), ("eth1", False), ("", False)]
    )
    def test_it_is_left_alone_where_both_peers_are_on_that_link(
        self, zone: str, *, is_kept: bool
    ) -> None:
        link_local = parse_address(LINK_LOCAL)
        path = from_peer(SourceKind.EBGP, make_attributes(next_hop=link_local))
        path.next_hop = NextHop(link_local, key=link_local + b"eth0")
        context = self.context(PeerType.EBGP, self_from=frozenset(), zone=zone)
        outgoing = told(path, context)
        assert outgoing is not None
        assert outgoing.next_hop == (link_local if is_kept else SELF_IPV6)

    def test_a_link_local_address_never_stands_alone_if_the_links_are_unknown(
        self,
    ) -> None:
        link_local = parse_address(LINK_LOCAL)
        path = from_peer(SourceKind.EBGP, make_attributes(next_hop=link_local))
        outgoing = told(path, self.context(PeerType.EBGP, self_from=frozenset()))
        assert outgoing is not None
        assert outgoing.next_hop == SELF_IPV6

    @pytest.mark.rfc("2545", "3", "MUST")
    def test_both_our_addresses_are_advertised_on_a_link_that_we_share(self) -> None:
        pair = SELF_IPV6 + parse_address(LINK_LOCAL)
        for kind, peer_type in (
            (SourceKind.LOCAL, PeerType.NON_CLIENT),
            (SourceKind.EBGP, PeerType.EBGP),
        ):
            path = from_peer(kind, some_attributes(next_hop=GLOBAL))
            if kind is SourceKind.LOCAL:
                path = from_peer(kind, make_attributes(next_hop=b""))
            outgoing = told(path, self.context(peer_type, local_address=pair))
            assert outgoing is not None
            assert outgoing.next_hop == pair

    @pytest.mark.parametrize("kind", KINDS[2:])
    @pytest.mark.parametrize("peer_type", [PeerType.CLIENT, PeerType.NON_CLIENT])
    def test_an_ipv4_next_hop_cannot_be_advertised(
        self, kind, peer_type: PeerType
    ) -> None:
        attributes = some_attributes(next_hop="192.0.2.1", local_pref=100)
        path = from_peer(kind, attributes, is_client=True)
        assert told(path, self.context(peer_type)) is None
        no_address = self.context(PeerType.EBGP, local_address=SELF)
        assert told(from_peer(SourceKind.LOCAL), no_address) is None

    @pytest.mark.rfc("8950", "3", "MUST")
    def test_ipv4_with_an_ipv6_next_hop(self) -> None:
        path = from_peer(SourceKind.EBGP, some_attributes(next_hop=GLOBAL))
        agreed = a_context(PeerType.NON_CLIENT, extended_next_hop=True)
        outgoing = told(path, agreed)
        assert outgoing is not None
        assert outgoing.next_hop == path.attributes.next_hop
        assert NEXT_HOP not in values(outgoing)

    @pytest.mark.rfc("8950", "4", "MUST NOT")
    def test_ipv4_with_an_ipv6_next_hop_needs_the_capability(self) -> None:
        path = from_peer(SourceKind.EBGP, some_attributes(next_hop=GLOBAL))
        assert told(path, a_context(PeerType.NON_CLIENT)) is None

    @pytest.mark.rfc("8950", "4", "SHOULD")
    def test_ipv4_over_an_ipv6_session_has_our_ipv6_address(self) -> None:
        agreed = a_context(
            PeerType.EBGP, extended_next_hop=True, local_address=SELF_IPV6
        )
        outgoing = told(from_peer(SourceKind.LOCAL), agreed)
        assert outgoing is not None
        assert outgoing.next_hop == SELF_IPV6
        assert NEXT_HOP not in values(outgoing)
        plain = told(from_peer(SourceKind.LOCAL), a_context(extended_next_hop=True))
        assert plain is not None
        assert plain.next_hop == b""


class TestRoles:
    """RFC 9234 5, as the sender."""

    @pytest.mark.rfc("9234", "5", "MUST NOT")
    @pytest.mark.parametrize("role", ["customer", "peer", "rs-client"])
    def test_marked_routes_go_to_customers_only(self, role: str) -> None:
        marked = make_attributes(next_hop=SELF, otc=65001)
        path = from_peer(SourceKind.EBGP, marked)
        assert told(path, a_context(PeerType.EBGP, role=role)) is None

    @pytest.mark.rfc("9234", "5", "MUST")
    @pytest.mark.parametrize("role", ["provider", "rs"])
    def test_marked_routes_go_down_unchanged(self, role: str) -> None:
        marked = make_attributes(next_hop=SELF, otc=65001)
        outgoing = told(
            from_peer(SourceKind.EBGP, marked), a_context(PeerType.EBGP, role=role)
        )
        assert values(outgoing)[ONLY_TO_CUSTOMER] == (65001).to_bytes(4, "big")

    @pytest.mark.rfc("9234", "5", "MUST")
    @cases(
        ("role", "is_marked"),
        [
            ("provider", True),
            ("peer", True),
            ("rs", True),
            ("customer", False),
            ("rs-client", False),
            ("", False),
        ],
    )
    @cases("kind", KINDS)
    def test_routes_that_go_down_or_aside_are_marked(
        self, role: str, is_marked, kind: SourceKind
    ) -> None:
        found = values(told(from_peer(kind), a_context(PeerType.EBGP, role=role)))
        expected = LOCAL_AS.to_bytes(4, "big") if is_marked else None
        assert found.get(ONLY_TO_CUSTOMER) == expected

    def test_without_a_role_a_mark_is_passed_on(self) -> None:
        marked = make_attributes(next_hop=SELF, otc=65001)
        found = values(told(from_peer(SourceKind.EBGP, marked), TO_EBGP))
        assert found[ONLY_TO_CUSTOMER] == (65001).to_bytes(4, "big")


class TestPolicy:
    def test_what_it_rejects_is_not_told(self) -> None:
        assert told(from_peer(), spec=doing(Actions(), Outcome.REJECT)) is None

    def test_what_it_changes_is_advertised(self) -> None:
        spec = doing(Actions(add_communities=(7,), prepend=(64512, 64512)))
        found = values(told(from_peer(SourceKind.LOCAL), TO_EBGP, spec))
        assert found[COMMUNITIES] == (7).to_bytes(4, "big")
        assert found[AS_PATH] == parse_as_path("64512 64512 64512")

    @pytest.mark.rfc("1997", "Well-known Communities", "MUST NOT")
    @pytest.mark.parametrize(
        ("community", "targets"),
        [
            (NO_EXPORT, {PeerType.CLIENT, PeerType.NON_CLIENT}),
            (NO_EXPORT_SUBCONFED, {PeerType.CLIENT, PeerType.NON_CLIENT}),
            (NO_ADVERTISE, set()),
            (GRACEFUL_SHUTDOWN, set(PeerType)),
        ],
    )
    def test_well_known_communities_bind_whatever_policy_does(
        self, community: int, targets: set[PeerType]
    ) -> None:
        path = from_peer(SourceKind.EBGP, some_attributes(communities=(community,)))
        spec = doing(Actions(set_communities=()))
        for peer_type in PeerType:
            is_told = told(path, a_context(peer_type), spec) is not None
            assert is_told == (peer_type in targets)

    def test_policy_sees_where_a_route_comes_from(self) -> None:
        match = Match(source_kinds=frozenset({SourceKind.EBGP}))
        spec = PolicySpec("p", (Term("t", Outcome.ACCEPT, match),))
        assert told(from_peer(SourceKind.EBGP), spec=spec) is not None
        assert told(from_peer(is_client=True), spec=spec) is None


@pytest.mark.rfc("7311", "3.3", "MUST NOT")
def test_aigp_does_not_go_to_other_ases() -> None:
    path = from_peer(SourceKind.IBGP, some_attributes(aigp=5))
    assert AIGP not in values(told(path, TO_EBGP))
    inside = values(told(from_peer(attributes=path.attributes, is_client=True)))
    assert inside[AIGP] == b"\1\0\x0b" + (5).to_bytes(8, "big")


@pytest.mark.rfc("7311", "3.4.3", "MUST")
@pytest.mark.parametrize("kind", [SourceKind.IBGP, SourceKind.EBGP])
def test_aigp_stays_with_the_next_hop_that_it_was_counted_to(kind: SourceKind) -> None:
    received = some_attributes(aigp=5, next_hop="192.0.2.9", local_pref=100)
    path = from_peer(kind, received, is_client=True)
    keeps = a_context(PeerType.CLIENT, self_from=frozenset())
    assert AIGP in values(told(path, keeps))
    to_self = a_context(PeerType.CLIENT, self_from=frozenset({kind}))
    found = values(told(path, to_self))
    assert AIGP not in found
    assert found[NEXT_HOP] == SELF
    spec = doing(Actions(next_hop=POLICY_HOP))
    assert AIGP not in values(told(path, keeps, spec))
    imported = received.with_changes({NEXT_HOP: POLICY_HOP}, next_hop=POLICY_HOP)
    path = from_peer(kind, imported, received=received, is_client=True)
    assert AIGP not in values(told(path, keeps))


@pytest.mark.rfc("8669", "8", "MUST")
@pytest.mark.rfc("9012", "11", "MUST")
@pytest.mark.parametrize("code", [23, 40])
@pytest.mark.parametrize("kind", [SourceKind.IBGP, SourceKind.EBGP])
def test_what_stays_within_a_domain_leaves_it_only_where_configured(
    code: int, kind: SourceKind
) -> None:
    received = some_attributes(local_pref=100, aigp=7).with_changes({code: b"abc"})
    path = from_peer(kind, received, is_client=True)
    assert values(told(path, a_context(PeerType.CLIENT)))[code] == b"abc"
    assert code not in values(told(path, TO_EBGP))
    friend = a_context(PeerType.EBGP, cluster_id=0, is_same_domain=True)
    assert values(told(path, friend))[code] == b"abc"


@pytest.mark.rfc("4360", "6", "MUST")
def test_communities_that_stay_within_an_as_do_not_go_to_others() -> None:
    stays, goes = 0x4004_FDE8_0000_0001, 0x0002_FDE8_0000_0001
    both = from_peer(
        SourceKind.EBGP,
        make_attributes(next_hop=POLICY_HOP, ext_communities=(stays, goes)),
    )
    outside = values(told(both, TO_EBGP))
    assert outside[EXTENDED_COMMUNITIES] == goes.to_bytes(8, "big")
    alone = from_peer(
        SourceKind.EBGP, make_attributes(next_hop=POLICY_HOP, ext_communities=(stays,))
    )
    assert EXTENDED_COMMUNITIES not in values(told(alone, TO_EBGP))
    assert len(values(told(both, TO_IBGP))[EXTENDED_COMMUNITIES]) == 16


def test_all_that_may_go_out_does_and_nothing_else() -> None:
    stays, goes, also = 0x4006_0000_0000_0001, 0x0002_FDE8_0000_0001, 0x0002 << 48
    made = make_attributes(next_hop=POLICY_HOP, ext_communities=(goes, stays, also))
    found = values(told(from_peer(SourceKind.EBGP, made), TO_EBGP))
    assert found[EXTENDED_COMMUNITIES] == b"".join(
        each.to_bytes(8, "big") for each in (goes, also)
    )


def test_policy_may_look_at_the_way_out() -> None:
    path = from_peer(is_client=True)
    path.next_hop.interface = "eth0"
    some = nlris("10.1.0.0/16", "11.1.0.0/16")
    rejects = PolicySpec(
        "p",
        (Term("t", Outcome.REJECT, Match(interface="eth*")),),
        accepts_unmatched=True,
    )
    assert told(path, spec=rejects) is None
    low = prefix_match(Operator.IN, "10.0.0.0/8")
    one = PolicySpec(
        "p",
        (Term("t", Outcome.REJECT, Match(interface="eth*", prefixes=low)),),
        accepts_unmatched=True,
    )
    groups = Export(a_context(), compile_policy(one)).divide(path, some)
    assert {tuple(members): outgoing is None for outgoing, members in groups} == {
        (some[0],): True,
        (some[1],): False,
    }


@pytest.mark.rfc("4456", "6", "MUST")
def test_a_route_s_origin_is_who_it_was_learned_from() -> None:
    origins = [route_origin_of(from_peer(kind)) for kind in KINDS]
    assert origins == [
        RouteOrigin.OWN,
        RouteOrigin.OWN,
        RouteOrigin.EBGP,
        RouteOrigin.NON_CLIENT,
    ]
    assert route_origin_of(from_peer(is_client=True)) is RouteOrigin.CLIENT


class TestWhatIsRemembered:
    """An export keeps outgoing forms, by value, and never without a bound."""

    def test_only_our_own_routes_while_there_may_be_better_ones(self) -> None:
        early = Export(a_context(), Policy(ACCEPT_ALL), defers_peer_routes=True)
        assert early.defers_peer_routes is True
        assert Export(a_context(), Policy(ACCEPT_ALL)).defers_peer_routes is False
        assert early(from_peer(SourceKind.LOCAL)) is not None
        assert early(from_peer(SourceKind.KERNEL)) is not None
        assert early(from_peer(SourceKind.EBGP)) is None
        client = from_peer(is_client=True)
        assert early(client) is None
        assert early.reflection_of(client.source) is None

    @pytest.mark.rfc("4456", "8", "MUST")
    def test_our_cluster_id_is_added_once(self) -> None:
        export = Export(a_context(), Policy(ACCEPT_ALL))
        for cluster_id, expected in ((CLUSTER, 4), (7, 8)):
            path = from_peer(is_client=True, cluster_id=cluster_id)
            found = values(export(path))
            assert found[CLUSTER_LIST][:4] == CLUSTER.to_bytes(4, "big")
            assert len(found[CLUSTER_LIST]) == expected
            assert found[ORIGINATOR_ID] == path.source.router_id.to_bytes(4, "big")
        internal = values(export(from_peer()))
        assert internal[CLUSTER_LIST] == CLUSTER.to_bytes(4, "big")
        to_internal = Export(a_context(PeerType.NON_CLIENT), Policy(ACCEPT_ALL))
        client = from_peer(is_client=True, cluster_id=7)
        assert values(to_internal(client))[CLUSTER_LIST] == bytes((0, 0, 0, 7))

    def test_nothing_is_added_to_routes_that_are_not_reflected(self) -> None:
        export = Export(a_context(PeerType.NON_CLIENT), Policy(ACCEPT_ALL))
        assert export.reflection_of(from_peer(is_client=True).source)
        assert export.reflection_of(from_peer().source) is None
        assert export.reflection_of(from_peer(SourceKind.EBGP).source) is None

    def test_a_changed_kind_of_peer_clears_what_depended_on_it(self) -> None:
        spec = doing(Actions(local_pref=7))
        for export in (
            Export(a_context(), Policy(ACCEPT_ALL)),
            Export(a_context(), compile_policy(spec)),
        ):
            path = from_peer(is_client=True)
            before = export.outgoing(path)
            assert export.outgoing(path) is before
            path.source.router_id = 9
            path.source.cluster_id = 9
            assert export.outgoing(path) is before
            export.forget()
            found = values(export.outgoing(path))
            assert found[ORIGINATOR_ID] == bytes((0, 0, 0, 9))
            assert found[CLUSTER_LIST][4:] == bytes((0, 0, 0, 9))

    def test_prefixes_that_fare_alike_share_an_outgoing_form(self) -> None:
        low = Match(prefixes=prefix_match(Operator.IN, "10.0.0.0/15"))
        spec = PolicySpec(
            "p",
            (Term("t", Outcome.ACCEPT, low, Actions(local_pref=7)),),
            accepts_unmatched=True,
        )
        export = Export(a_context(), compile_policy(spec))
        some = nlris("10.0.0.0/16", "10.1.0.0/16", "10.2.0.0/16")
        path = from_peer(is_client=True)
        (one, first), (other, second) = export.divide(path, some)
        assert [*first, *second] == some
        assert values(one)[LOCAL_PREF] == bytes((0, 0, 0, 7))
        assert values(other)[LOCAL_PREF] == bytes((0, 0, 0, 100))
        assert [outgoing for outgoing, _ in export.divide(path, some)] == [one, other]
        assert export.divide(path, some)[0][0] is one
        internal = Export(a_context(PeerType.NON_CLIENT), compile_policy(spec))
        assert internal.divide(from_peer(), some) == ((None, some),)

    def test_ever_new_paths_do_not_fill_memory(self) -> None:
        low = Match(prefixes=prefix_match(Operator.IN, "10.0.0.0/15"))
        spec = PolicySpec(
            "p", (Term("t", Outcome.REJECT, low),), accepts_unmatched=True
        )
        export = Export(a_context(), compile_policy(spec))
        some = nlris("10.0.0.0/16", "10.2.0.0/16")
        for _ in range(4097):
            export.divide(from_peer(is_client=True), some)
        assert 0 < len(export._shapes) <= MEMO_MAX


class TestTheShortWay:
    """Plain routes of internal peers are reflected by their blocks unless a rule forbids it."""

    @pytest.mark.parametrize("peer_type", [PeerType.CLIENT, PeerType.NON_CLIENT])
    def test_reflection_without_policy_has_it(self, peer_type: PeerType) -> None:
        export = Export(a_context(peer_type), Policy(ACCEPT_ALL))
        assert export.reflects_only is True
        path = from_peer(is_client=True)
        outgoing = export(path)
        assert outgoing is not None
        reflection = export.reflection_of(path.source)
        assert reflection is not None
        assert outgoing.attributes == path.attributes.octets + reflection.tail

    @pytest.mark.parametrize(
        "context",
        [
            a_context(PeerType.EBGP),
            a_context(family=IPV6_UNICAST),
            a_context(four_octet_as=False),
            a_context(self_from=frozenset(SourceKind)),
        ],
    )
    def test_where_more_than_a_tail_differs_there_is_none(self, context) -> None:
        assert Export(context, Policy(ACCEPT_ALL)).reflects_only is False

    def test_with_a_policy_there_is_none(self) -> None:
        spec = PolicySpec("all", (), accepts_unmatched=True)
        assert Export(a_context(), compile_policy(spec)).reflects_only is False


class TestMemory:
    def test_there_is_room_for_as_many_small_forms_as_the_bound_says(self) -> None:
        export = Export(a_context(PeerType.NON_CLIENT), Policy(ACCEPT_ALL))
        sources = [from_peer(is_client=number % 2 == 0).source for number in range(2)]
        block = some_attributes(local_pref=100)
        paths = [Path(sources[n % 2], block, HOP) for n in range(MEMO_MAX + 1)]
        assert export.outgoing(paths[0]) is not None
        assert export.outgoing(paths[1]) is None
        for path in paths[:MEMO_MAX]:
            export.outgoing(path)
        assert len(export._memo) == MEMO_MAX
        export.outgoing(paths[MEMO_MAX])
        assert len(export._memo) == 1

    @pytest.mark.parametrize(
        "peer_type", [PeerType.CLIENT, PeerType.NON_CLIENT, PeerType.EBGP]
    )
    def test_nothing_is_kept_for_each_peer_that_ever_was(
        self, peer_type: PeerType
    ) -> None:
        export = Export(a_context(peer_type), Policy(ACCEPT_ALL))
        path = from_peer(SourceKind.IBGP, some_attributes())
        for number in range(1, 3 * MEMO_MAX, 7):
            source = from_peer(SourceKind.IBGP, some_attributes()).source
            source.router_id = number
            source.is_client = number % 2 == 0
            path = Path(source, some_attributes(), HOP)
            export.reflection_of(source)
            export.outgoing(path)
            if number % 100 == 1:
                export.age()
        assert sum(memo.count for memo in export._memos()) <= 8 * 300
        for _ in range(2):
            export.age()
        assert sum(memo.count for memo in export._memos()) == 0
        assert export.outgoing(path) == export(path)

    def test_large_blocks_count_as_several(self) -> None:
        export = Export(a_context(max_message_len=65535), Policy(ACCEPT_ALL))
        large = some_attributes(communities=range(16_000))
        for _ in range(500):
            export.outgoing(from_peer(SourceKind.IBGP, large))
        assert export._memo.count <= 2 * MEMO_MAX // (64_000 // 512)

    def test_large_forms_count_as_several(self) -> None:
        large = from_peer(
            is_client=True, attributes=some_attributes(communities=range(1000))
        )
        low = Match(prefixes=prefix_match(Operator.IN, "10.0.0.0/15"))
        spec = PolicySpec(
            "p", (Term("t", Outcome.REJECT, low),), accepts_unmatched=True
        )
        export = Export(a_context(), Policy(ACCEPT_ALL))
        judging = Export(a_context(), compile_policy(spec))
        weight = 1 + 4000 // 512
        for _ in range(MEMO_MAX // weight + 1):
            path = Path(large.source, large.attributes, large.next_hop)
            export.outgoing(path)
            judging.divide(path, nlris("10.2.0.0/16"))
        assert len(export._memo) < 10
        assert len(judging._shapes) < 10

    def test_repeated_questions_use_the_cached_answer(self) -> None:
        export = Export(a_context(), Policy(ACCEPT_ALL))
        path, other = from_peer(is_client=True), from_peer(router_id=5)
        outgoing = export.outgoing(path)
        reflection = export.reflection_of(path.source)
        assert export.reflection_of(other.source) is not reflection
        assert len(export._reflections) == 2
        export.age()
        assert export.outgoing(path) is outgoing
        assert export.reflection_of(path.source) is reflection
