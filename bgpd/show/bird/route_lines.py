"""Routes as lines, in both forms.

10.1.0.0/24        via 10.0.0.2 on eth0 [peer1 22:42:57] * (100/1) [AS65010i]

Table master4:
10.1.0.0/24          unicast [peer1 2026-11-30 22:42:57] * (100/1) [AS65010i]
via 10.0.0.2 on eth0
"""

from collections.abc import Iterator
from textwrap import wrap
from typing import Final

from bgpd.api.bird import Line
from bgpd.show.bird.dialect import Dialect
from bgpd.show.bird.vocabulary import (
    DIRECT,
    KERNEL,
    STATIC,
    RouteLike,
    destination_of,
    ext_community_of,
    preference_of,
    protocol_of,
)
from bgpd.show.state import DaemonView, dotted
from rib.attributes import ORIGIN_EGP, ORIGIN_IGP
from rib.attributes.as_path import format_as_path
from rib.attributes.codes import AS_PATH
from rib.attributes.communities import format_large_community
from rib.nlri import format_address
from rib.path import Path

_ORIGINS: Final = {ORIGIN_IGP: "i", ORIGIN_EGP: "e"}
_ORIGIN_NAMES: Final = {ORIGIN_IGP: "IGP", ORIGIN_EGP: "EGP"}
_TYPES: Final = {DIRECT: "device", KERNEL: "inherit", STATIC: "static"}
_REMEMBERED: Final = 1024  # paths whose attributes are kept as lines
_WIDTH: Final = 900  # of a line: clients read 1,024 octets of one


class RouteLines:
    """Writes routes; what all prefixes of one path share is made once.

    Args:
        view: The daemon.
        dialect: The form.
    """

    def __init__(self, view: DaemonView, dialect: Dialect) -> None:
        self._now = view.now
        self._started_at = view.started_at
        self._dialect = dialect
        self._since = {
            source: peer.driver.session.counters.established_since
            for peer in view.speaker.peers.values()
            for source in peer.sources.values()
        }
        self._rest: dict[tuple[RouteLike, bool], str] = {}
        self._details: dict[RouteLike, list[Line]] = {}

    def __call__(self, title: str, path: RouteLike, *, is_best: bool) -> Iterator[Line]:
        """Yield a route's lines; ``title`` is empty where the prefix was shown."""
        key = (path, is_best)
        rest = self._rest.get(key)
        if rest is None:
            rest = self._rest[key] = self._make(path, is_best=is_best)
        if not self._dialect.is_second:
            yield Line(1007, f"{title:<18s} {rest}")
            return
        yield Line(1007, f"{title:<20s} {rest}")
        hop = path.next_hop
        if destination_of(path) == "unicast":
            way = f"dev {hop.interface}"
            if hop.address:
                way = f"via {format_address(hop.address)} on {hop.interface or '-'}"
            yield Line(1007, f"\t{way}")

    def details(self, path: RouteLike) -> list[Line]:
        """Return the lines below a route that ``all`` adds."""
        found = self._details.get(path)
        if found is None:
            if len(self._details) >= _REMEMBERED:
                self._details.clear()
            found = self._details[path] = list(detail_lines(path, self._dialect))
        return found

    def time_of(self, path: RouteLike) -> str:
        """Return since when a route is there."""
        # A path has the time at which its peer first sent these attributes; a filtered route
        # has none, and is as old as the session.
        since = path.made_at if isinstance(path, Path) else 0.0
        since = since or self._since.get(path.source) or self._started_at
        return self._dialect.time(since, self._now)

    def _make(self, path: RouteLike, *, is_best: bool) -> str:
        source = path.source
        sender = ""
        if source.address and source.address != path.next_hop.address:
            sender = f" from {format_address(source.address)}"
        mark = " *" if is_best else ""
        time = self.time_of(path)
        owner = f"[{protocol_of(source)} {time}{sender}]{mark}"
        preference = f"({preference_of(path)}{_metric(path)})"
        way = destination_of(path) if self._dialect.is_second else _way(path)
        return f"{way} {owner} {preference}{_info(path)}"


def _way(path: RouteLike) -> str:
    hop, destination = path.next_hop, destination_of(path)
    if destination != "unicast":
        return destination
    if hop.address:
        # Who trusts next hops does not know the device; readers want a word there.
        return f"via {format_address(hop.address)} on {hop.interface or '-'}"
    return f"dev {hop.interface}"


def _metric(path: RouteLike) -> str:
    if not path.source.address:
        return ""
    return f"/{path.next_hop.metric}" if path.next_hop.is_reachable else "/-"


def _info(path: RouteLike) -> str:
    if not path.source.address:
        return ""
    attributes = path.attributes
    origin = _ORIGINS.get(attributes.origin, "?")
    last = attributes.as_path.asns[-1:]
    return f" [AS{last[0]}{origin}]" if last else f" [{origin}]"


def route_type(path: RouteLike, dialect: Dialect) -> str:
    """Return what stands behind ``Type:``."""
    kind = _TYPES.get(protocol_of(path.source), "BGP")
    return f"{kind} univ" if dialect.is_second else f"{kind} unicast univ"


def attribute_texts(path: RouteLike) -> Iterator[tuple[str, str]]:
    """Yield the BGP attributes of a peer's route, by BIRD's name, as BIRD writes them."""
    if not path.source.address:
        return
    attributes = path.attributes
    yield "origin", _ORIGIN_NAMES.get(attributes.origin, "Incomplete")
    yield "as_path", format_as_path(attributes.get(AS_PATH) or b"")
    if attributes.next_hop:
        yield "next_hop", format_address(attributes.next_hop[:16])
    if attributes.med is not None:
        yield "med", str(attributes.med)
    local_pref = attributes.local_pref
    yield "local_pref", str(100 if local_pref is None else local_pref)
    if attributes.communities:
        shown = [f"({each >> 16},{each & 0xFFFF})" for each in attributes.communities]
        yield "community", " ".join(shown)
    if attributes.originator_id is not None:
        yield "originator_id", dotted(attributes.originator_id)
    if attributes.cluster_list:
        yield "cluster_list", " ".join(map(dotted, attributes.cluster_list))
    if attributes.ext_communities:
        parts = map(ext_community_of, attributes.ext_communities)
        yield "ext_community", " ".join(f"({', '.join(each)})" for each in parts)
    if attributes.large_communities:
        shown = [
            f"({format_large_community(each).replace(':', ', ')})"
            for each in attributes.large_communities
        ]
        yield "large_community", " ".join(shown)


def detail_lines(path: RouteLike, dialect: Dialect) -> Iterator[Line]:
    """Yield the lines below a route that ``all`` adds."""
    yield Line(1008, f"\tType: {route_type(path, dialect)}")
    for name, text in attribute_texts(path):
        first, rest = text, []
        if len(text) > _WIDTH and name.endswith("community"):  # BIRD breaks no others
            first, *rest = wrap(text, _WIDTH, break_long_words=False)
        yield Line(1012, f"\tBGP.{name}: {first}")
        for part in rest:
            yield Line(1012, f"\t\t{part}")
