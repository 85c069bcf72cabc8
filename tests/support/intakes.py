"""Sessions without sockets: an ``UpdateReceiver`` with its tables, and what came of it."""

from collections.abc import Iterable

from bgpd.pipeline.update_receiver import Taken, UpdateReceiver
from rib.adj_rib_in import AdjRibIn
from rib.attributes import AttributeContext
from rib.family import IPV4_UNICAST, IPV6_UNICAST, Family
from rib.import_checks import ImportChecks
from rib.loc_rib import LocRib
from rib.next_hops import NextHopTable
from rib.path import Source, SourceKind
from rib.path_set import paths_of
from rib.policy import ACCEPT_ALL, PolicySpec, compile_policy
from tests.support.attributes import IBGP, LOCAL_AS

FAMILIES = (IPV4_UNICAST, IPV6_UNICAST)
Routes = dict[tuple[Family, bytes, int], tuple[bytes, bytes]]


def update(block: bytes = b"", nlri: bytes = b"", withdrawn: bytes = b"") -> bytes:
    """Return an UPDATE's body."""
    return b"%b%b%b%b%b" % (
        len(withdrawn).to_bytes(2, "big"),
        withdrawn,
        len(block).to_bytes(2, "big"),
        block,
        nlri,
    )


class Session:
    """One peer's way in, with tables of its own."""

    def __init__(
        self,
        context: AttributeContext = IBGP,
        *,
        add_path: Iterable[Family] = (),
        families: Iterable[Family] = FAMILIES,
        spec: PolicySpec = ACCEPT_ALL,
        is_long_way: bool = False,
    ) -> None:
        kind = SourceKind.IBGP if context.is_ibgp else SourceKind.EBGP
        self.source = Source("peer", kind, address=bytes(4), asn=context.peer_as)
        self.next_hops = NextHopTable()
        self.ribs = {
            family: AdjRibIn(
                self.source, LocRib(family), self.rules(spec), self.next_hops
            )
            for family in families
        }
        self.intake = UpdateReceiver(self.ribs, context, frozenset(add_path))
        self._is_long_way = is_long_way

    def rules(self, spec: PolicySpec) -> ImportChecks:
        return ImportChecks(compile_policy(spec), local_as=LOCAL_AS, router_id=1)

    def take(self, *bodies: bytes) -> Taken:
        if not self._is_long_way:
            return self.intake.take(bodies)
        taken = Taken()
        self.intake._plain_ipv4 = None  # no short way, and nothing is remembered
        for body in bodies:
            for rib in self.ribs.values():
                rib.forget_outcomes()
            some = self.intake.take([body])
            taken.ended += some.ended
            taken.error = some.error
            if some.error:
                break
        return taken

    def routes(self) -> Routes:
        """Return what is accepted: family, prefix, identifier -> attributes, next hop."""
        return {
            (family, nlri, path.path_id): (
                path.attributes.octets,
                path.attributes.next_hop,
            )
            for family, rib in self.ribs.items()
            for nlri, entry in rib.loc_rib.table.items()
            for path in paths_of(entry)
        }

    def refused(self) -> set[tuple[Family, bytes, int]]:
        return {
            (family, *key) for family, rib in self.ribs.items() for key in rib.filtered
        }
