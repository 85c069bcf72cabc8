"""What other settings would do to sessions and routes, found in short steps.

The order is that of the way of a route: who we are and the policies, what peers have sent, our
own routes, the decision, and then what is read from the tables: best paths, exports, the
kernel. A session that would be reset is taken to come back with the routes that it has now, for
graceful restart or its peer bring them; what a peer would send that is not there yet cannot be
known, and a note says so.
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from bgpd.node.route_origination import RouteOrigination
from bgpd.preview.advertised import GroupComparison, RouteCounts
from bgpd.preview.forwarding import Moves, best_moves, kernel_moves
from bgpd.preview.origins import ShadowOrigins
from bgpd.preview.sessions import (
    PeerAfter,
    SessionChange,
    by_router_id,
    find_session_changes,
    peers_after,
)
from bgpd.preview.shadow import Judged, ShadowTable, Steps
from bgpd.preview.wanted import Wanted
from bgpd.session.ranges import RangeTable
from bgpd.session.settings import PeerSettings
from bgpd.speaker.context import SpeakerContext
from bgpd.speaker.import_context import decoding_of
from bgpd.speaker.local_numbers import LocalNumbers
from bgpd.speaker.peer import Peer
from bgpd.speaker.speaker import Speaker
from fib.kernel_policy import KernelPolicy
from reflector.export import Export, ExportContext
from reflector.group import UpdateGroup
from rib.family import Family
from rib.next_hops import TRUSTING
from rib.nlri import parse_address
from rib.path import Source
from rib.path_set import Entry
from rib.policy import Policy

if TYPE_CHECKING:
    from bgpd.kernel.forwarding import Forwarding

_SHOWN: Final = 8  # names in a note
PEERS: Final = 32  # looked at in one step, about a millisecond
Pairs = Mapping[tuple[Entry | None, Entry | None], list[bytes]]


@dataclass(frozen=True, slots=True)
class PeerRoutes:
    """What changes for one peer in one family.

    Attributes:
        peer: Whose.
        family: AFI and SAFI.
        accepted_now: Routes of the peer that compete.
        accepted_then: Those that would.
        advertised: Prefixes that the peer would be advertised, no longer or otherwise.
    """

    peer: Peer
    family: Family
    accepted_now: int
    accepted_then: int
    advertised: RouteCounts


class ChangePreview:
    """Works out what other settings would do; ``run`` once.

    Args:
        speaker: What runs.
        origination: Its own routes.
        forwarding: The kernel's part.
        wanted: What there would be.
        most: So many prefixes are named of each kind of change.

    Attributes:
        sessions: The neighbours concerned.
        peers: What changes for peers, where something does.
        best: Best paths that would move, by family.
        kernel_routes: Kernel routes that would, likewise; no families without a kernel table.
        notes: What could not be foreseen.
        stage: What is being worked out, for people.
    """

    def __init__(
        self,
        speaker: Speaker,
        origination: RouteOrigination,
        forwarding: "Forwarding | None",
        wanted: Wanted,
        most: int,
    ) -> None:
        self.sessions: list[SessionChange] = []
        self.peers: list[PeerRoutes] = []
        self.best: dict[Family, Moves] = {}
        self.kernel_routes: dict[Family, Moves] = {}
        self.notes: list[str] = []
        self.stage = "sessions"
        self._speaker = speaker
        self._origination = origination
        self._forwarding = forwarding
        self._wanted = wanted
        self._most = most
        self._sources: dict[Source, Source] = {}  # of sessions: as they would be

    def run(self) -> Steps:
        """Work it out, in short steps."""
        speaker, wanted = self._speaker, self._wanted
        ranges = RangeTable()
        for entry in wanted.settings.ranges:
            ranges.set(entry)
            yield
        yield from self._find_sessions(ranges)
        self.stage = "policies"
        context = yield from self._context()
        after: list[PeerAfter] = []
        for number, each in enumerate(peers_after(speaker, wanted.peers, ranges)):
            after.append(each)
            if number % PEERS == PEERS - 1:
                yield
        self._note_unknown(after)
        self.stage = "routes"
        decision = wanted.identity.decision
        tables: dict[Family, ShadowTable] = {}
        for family, live in speaker.tables.items():
            tables[family] = ShadowTable(live.loc_rib, decision)
            yield  # a copy of a large table takes some milliseconds
        next_hops = context.next_hops
        for family, table in tables.items():
            judged = yield from self._judged(family, after, context)
            yield from table.judge(judged, next_hops)
        yield from self._originate(tables, context)
        self.stage = "decisions"
        if decision != speaker.context.decision:
            for table in tables.values():
                yield from table.decide_again()
        for family, table in tables.items():
            self.stage = f"what peers are advertised of {family}"
            yield from self._compare(family, table, after, context)

    # -- sessions -------------------------------------------------------------------------

    def _find_sessions(self, ranges: RangeTable) -> Steps:
        wanted, speaker = self._wanted.peers, self._speaker
        ended: set[str] = set()
        for change in find_session_changes(speaker, wanted, ranges):
            if change is not None:
                self.sessions.append(change)
                if change.ends_session:
                    ended.add(change.step.name)
            yield
        if _number(self._wanted.identity.router_id) != speaker.context.router_id:
            for address, peer in tuple(speaker.peers.items()):
                if peer.negotiated is not None and address not in ended:
                    self.sessions.append(by_router_id(address, peer))
                yield

    def _note_unknown(self, after: list[PeerAfter]) -> None:
        new = [change.name for change in self.sessions if change.peer is None]
        if new:
            self.notes.append(_of("what they send is unknown", "added", new))
        other = [each.peer.settings.name for each in after if each.is_new_kind]
        if other:
            text = (
                "their next session is with another AS; what they send then is unknown"
            )
            self.notes.append(_of(text, "changed", other))
        decoded = [
            each.peer.settings.name
            for each in after
            if each.settings is not None
            and each.peer.negotiated is not None
            and decoding_of(each.settings) != decoding_of(each.peer.settings)
        ]
        if decoded:
            text = "they send their routes again; what differs is unknown"
            self.notes.append(_of(text, "decoded otherwise", decoded))

    # -- who we would be ------------------------------------------------------------------

    def _context(self) -> Generator[None, None, SpeakerContext]:
        """Return what all sessions would share."""
        wanted, context = self._wanted, self._speaker.context
        identity = wanted.identity
        policies = yield from context.policies.variant(wanted.policies)
        router_id = _number(identity.router_id)
        cluster_id = _number(identity.cluster_id) if identity.cluster_id else router_id
        numbers = LocalNumbers(cluster_id, identity.asn)
        for count, settings in enumerate(wanted.peers.values()):
            numbers.note(None, settings)
            if count % PEERS == PEERS - 1:
                yield
        for entry in wanted.settings.ranges:
            numbers.note(None, entry.template)
            yield
        return replace(
            context,
            next_hops=context.next_hops.beside(TRUSTING),
            policies=policies,
            numbers=numbers,
            router_id=router_id,
            decision=identity.decision,
            own_addresses=wanted.own_addresses,
            allows_reserved=identity.allows_reserved,
        )

    # -- what peers have sent -------------------------------------------------------------

    def _judged(
        self, family: Family, after: list[PeerAfter], context: SpeakerContext
    ) -> Generator[None, None, list[Judged]]:
        """Return the peers of a family whose routes would be judged otherwise."""
        found: list[Judged] = []
        for number, each in enumerate(after):
            judged = self._judged_one(family, each, context)
            if judged is not None:
                found.append(judged)
            if number % PEERS == PEERS - 1:
                yield
        return found

    def _judged_one(
        self, family: Family, each: PeerAfter, context: SpeakerContext
    ) -> Judged | None:
        peer, settings = each.peer, each.settings
        rib = peer.ribs_in.get(family)
        if rib is None:
            return None
        if settings is None or each.is_new_kind or family not in each.families:
            return Judged(rib, None, rib.rules)
        offered = peer.driver.session.offer(settings)
        rules = peer.imports.rules_under(context, offered)
        source = self._source_of(peer.sources[family], peer, settings, context)
        is_same = (
            source is rib.source
            and rules.equals(rib.rules)
            and settings.families == peer.settings.families
        )
        return None if is_same else Judged(rib, source, rules, settings.families)

    def _source_of(
        self,
        source: Source,
        peer: Peer,
        settings: PeerSettings,
        context: SpeakerContext,
    ) -> Source:
        """Return a peer as the tables would know it: another one if it is reflected otherwise."""
        negotiated = peer.negotiated
        if negotiated is None:
            return source
        is_client = settings.is_client and negotiated.is_ibgp
        cluster_id = context.numbers.cluster_id_of(settings)
        if (is_client, cluster_id) == (source.is_client, source.cluster_id):
            return source
        other = Source(
            settings.name,
            source.kind,
            address=source.address,
            router_id=source.router_id,
            asn=source.asn,
            is_client=is_client,
            cluster_id=cluster_id,
            weight=source.weight,
        )
        other.zone, other.epoch = source.zone, source.epoch
        return self._sources.setdefault(source, other)

    # -- our own routes -------------------------------------------------------------------

    def _originate(
        self, tables: Mapping[Family, ShadowTable], context: SpeakerContext
    ) -> Steps:
        origination, wanted = self._origination, self._wanted
        own = ShadowOrigins(
            tables, context.next_hops, allows_reserved=context.allows_reserved
        )
        configured, discovered = origination.in_force
        then = origination.configured_by(wanted.settings)
        yield
        yield from own.replace(configured, then.plain)
        if wanted.desired is not None:
            yield from own.replace(
                discovered, origination.discovered_by(wanted.desired)
            )
        announced = origination.conditional.announced()
        yield from own.follow_conditions(announced, then, context.policies)

    # -- what is read from the tables -------------------------------------------------------

    def _compare(
        self,
        family: Family,
        table: ShadowTable,
        after: list[PeerAfter],
        context: SpeakerContext,
    ) -> Steps:
        touched = yield from table.pairs(everything=False)
        moves = self.best[family] = Moves(self._most)
        yield from best_moves(touched, moves)
        groups = Comparisons(self._speaker, family, context, self._most)
        for each in after:
            groups.add(each, self._sources)
            yield
        everything: Pairs = touched
        if groups.needs_everything or self._has_other_kernel(family):
            everything = yield from table.pairs(everything=True)
        yield from groups.compare(touched, everything)
        counts = table.loc_rib.path_counts
        changed = groups.results()
        for each in after:
            source = each.peer.sources[family]
            found = PeerRoutes(
                each.peer,
                family,
                table.counts.get(source, 0),
                counts.get(self._sources.get(source, source), 0),
                changed.get(source) or RouteCounts(0),
            )
            is_same = found.accepted_now == found.accepted_then
            if not (is_same and found.advertised.is_empty):
                self.peers.append(found)
            yield
        yield from self._compare_kernel(family, touched, everything)

    def _has_other_kernel(self, family: Family) -> bool:
        forwarding, kernel = self._forwarding, self._wanted.kernel
        if forwarding is None or kernel is None:
            return False
        now = forwarding.policies()
        return family in now and kernel.get(family, KernelPolicy()) != now[family]

    def _compare_kernel(
        self, family: Family, touched: Pairs, everything: Pairs
    ) -> Steps:
        forwarding, kernel = self._forwarding, self._wanted.kernel
        now = None if forwarding is None else forwarding.copied_feed(family)
        if forwarding is None or now is None:
            return
        is_other = self._has_other_kernel(family)
        then = now
        if is_other and kernel is not None:
            policy = kernel.get(family, KernelPolicy())
            then = forwarding.copied_feed(family, policy) or now
        moves = self.kernel_routes[family] = Moves(self._most)
        yield from kernel_moves(everything if is_other else touched, now, then, moves)


class Comparisons:
    """The update groups of one family, as they are and as they would be.

    Args:
        speaker: What runs.
        family: AFI and SAFI.
        context: What sessions would share.
        most: So many prefixes are named for each peer and kind of change.
    """

    def __init__(
        self, speaker: Speaker, family: Family, context: SpeakerContext, most: int
    ) -> None:
        self._tables = speaker.tables[family]
        self._family = family
        self._context = context
        self._most = most
        self._now: dict[UpdateGroup, Export] = {}
        self._then: dict[tuple[ExportContext, Policy], Export] = {}
        self._found: dict[tuple[Export, Export | None], GroupComparison] = {}

    def add(self, each: PeerAfter, sources: Mapping[Source, Source]) -> None:
        """Add a peer, if it has a session of the family."""
        source = each.peer.sources[self._family]
        group = self._tables.group_of(source)
        if group is None:
            return
        now = self._now.get(group)
        if now is None:
            # Of its own: the one in use must not remember routes that there are only here.
            real = group.export
            now = self._now[group] = Export(
                real.context, real.policy, defers_peer_routes=real.defers_peer_routes
            )
        other = sources.get(source, source)
        then = self._export_of(each, other, now)
        comparison = self._found.get((now, then))
        if comparison is None:
            comparison = GroupComparison(now, then, self._most)
            self._found[now, then] = comparison
        comparison.add(source, other)

    def _export_of(self, each: PeerAfter, source: Source, now: Export) -> Export | None:
        """Return the export to come; the present one where it is the same."""
        peer, settings, negotiated = each.peer, each.settings, each.peer.negotiated
        if settings is None or negotiated is None:
            return None
        if each.is_new_kind or self._family not in each.families:
            return None
        terms = peer.exports.terms_under(
            self._context, settings, source, self._family, negotiated
        )
        context, policy = terms
        if context == now.context and policy.spec == now.policy.spec:
            return now
        known = self._then.get(terms)
        if known is None:
            known = self._then[terms] = Export(
                context, policy, defers_peer_routes=now.defers_peer_routes
            )
        return known

    @property
    def needs_everything(self) -> bool:
        """Whether routes that stay what they are may look different to someone."""
        return any(each.is_other_export for each in self._found.values())

    def compare(self, touched: Pairs, everything: Pairs) -> Steps:
        """Compare what all groups are advertised."""
        for each in self._found.values():
            yield from each.compare(everything if each.is_other_export else touched)

    def results(self) -> dict[Source, RouteCounts]:
        """Return what changes for each peer."""
        return dict(pair for each in self._found.values() for pair in each.results())


def _number(dotted: str) -> int:
    return int.from_bytes(parse_address(dotted), "big")


def _of(text: str, what: str, names: list[str]) -> str:
    shown = ", ".join(names[:_SHOWN])
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{what}: {shown}{more}: {text}"
