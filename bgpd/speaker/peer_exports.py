"""What is advertised to one peer: its place in the update groups, and its source in the tables.

A peer is in one group for each family of its session. What the group shares is
``bgpd.speaker.export_context``; when that is another one, the peer moves.
"""

from collections.abc import Iterable, Mapping

from bgpd.net.driver import PeerDriver
from bgpd.pipeline.inbound_refresh import marks_of
from bgpd.session.negotiation import Negotiated
from bgpd.session.settings import PeerSettings
from bgpd.speaker.context import SpeakerContext
from bgpd.speaker.export_context import export_context
from bgpd.speaker.local_addresses import zone_of
from reflector.advertised_limit import AdvertisedLimit
from reflector.export import ExportContext
from rib.family import Family
from rib.nlri import parse_address
from rib.path import Source, SourceKind
from rib.policy import Policy


class PeerExports:
    """The sending side of one peer.

    Args:
        context: The tables, and what all sessions share.
        driver: Writes; its session's settings are the peer's.
        sources: The peer as the tables know it, by family.
    """

    def __init__(
        self,
        context: SpeakerContext,
        driver: PeerDriver,
        sources: Mapping[Family, Source],
    ) -> None:
        self._context = context
        self._driver = driver
        self._sources = sources

    # -- how tables know the peer -------------------------------------------------------

    def is_another(self, negotiated: Negotiated) -> bool:
        """Whether the peer of a new session differs from the one that the tables know.

        Decisions that rested on the former one's identity are void then, and so are its
        stale routes.
        """
        facts = _facts(negotiated)
        return any(
            facts != (source.kind, source.router_id, source.asn)
            for source in self._sources.values()
        )

    def describe(self, negotiated: Negotiated) -> None:
        """Make the peer of a new session known to the tables."""
        settings = self._driver.session.settings
        facts = _facts(negotiated)
        address = parse_address(settings.remote_addr.partition("%")[0])
        zone = zone_of(settings.remote_addr, negotiated)
        for family, source in self._sources.items():
            if facts != (source.kind, source.router_id, source.asn):
                self._context.tables[family].re_export_routes_of(source)
                source.kind, source.router_id, source.asn = facts
            source.address, source.zone = address, zone
        self._reflect_as(is_ibgp=negotiated.is_ibgp)

    def _reflect_as(self, *, is_ibgp: bool) -> None:
        """Set what reflection needs of the sources; their routes follow what changed."""
        settings = self._driver.session.settings
        is_client = settings.is_client and is_ibgp
        cluster_id = self._context.numbers.cluster_id_of(settings)
        for family, source in self._sources.items():
            if (is_client, cluster_id) != (source.is_client, source.cluster_id):
                self._context.tables[family].re_export_routes_of(source)
                source.is_client, source.cluster_id = is_client, cluster_id

    # -- update groups ------------------------------------------------------------------

    def join(self, negotiated: Negotiated) -> None:
        """Enter the update groups of a session's families."""
        for family in negotiated.families:
            self._context.tables[family].join(
                self._sources[family],
                *self.terms(family, negotiated),
                self._driver.write,
            )

    def move(self, negotiated: Negotiated) -> None:
        """Join the update groups again: what the peer gets depends on other things now."""
        self._reflect_as(is_ibgp=negotiated.is_ibgp)
        for family in negotiated.families:
            self._context.tables[family].move(
                self._sources[family], *self.terms(family, negotiated)
            )

    def terms(
        self, family: Family, negotiated: Negotiated
    ) -> tuple[ExportContext, Policy]:
        """Return what a group's members share."""
        settings = self._driver.session.settings
        return self.terms_under(
            self._context, settings, self._sources[family], family, negotiated
        )

    def terms_under(
        self,
        context: SpeakerContext,
        settings: PeerSettings,
        source: Source,
        family: Family,
        negotiated: Negotiated,
    ) -> tuple[ExportContext, Policy]:
        """Return what the members of the peer's group would share under other settings.

        Args:
            context: Who we would be.
            settings: The peer's.
            source: The peer as the tables would know it.
            family: AFI and SAFI.
            negotiated: Of the session.
        """
        session = self._driver.session
        shared = export_context(
            context,
            session.offer(settings),
            source,
            negotiated,
            family=family,
            local_addr=session.local_addr,
        )
        policy = context.policies.export_of(settings, is_ibgp=negotiated.is_ibgp)
        return shared, policy

    def refresh(self, family: Family, negotiated: Negotiated | None) -> None:
        """Advertise all routes again, as the peer asked (RFC 2918, RFC 7313)."""
        begin, end = marks_of(family, negotiated)
        self._context.tables[family].refresh(
            self._sources[family], before=begin, after=end
        )

    def writing_paused(self, families: Iterable[Family]) -> None:
        """Make update groups note changes for the peer: its socket is full."""
        for family in families:
            self._context.tables[family].writing_paused(self._sources[family])

    def writing_resumed(self, families: Iterable[Family]) -> None:
        """Make update groups send the peer what they noted."""
        for family in families:
            self._context.tables[family].writing_resumed(self._sources[family])

    def limit(self, family: Family) -> AdvertisedLimit | None:
        """Return the counter of routes advertised to the peer, if it has a limit."""
        tables = self._context.tables.get(family)
        group = None if tables is None else tables.group_of(self._sources[family])
        return None if group is None else group.limit


def _facts(negotiated: Negotiated) -> tuple[SourceKind, int, int]:
    """Return what decisions about a peer's routes depend on."""
    kind = SourceKind.IBGP if negotiated.is_ibgp else SourceKind.EBGP
    return kind, negotiated.peer_router_id, negotiated.peer_as
