"""What all views share: the daemon as they see it, and how values become text."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Protocol

from bgpd.api.protocol import ControlError, Row
from bgpd.journal.event_journal import EventJournal
from bgpd.runtime.loop_lag import LagMeter
from bgpd.session.fsm import State
from bgpd.session.settings import PeerSettings
from bgpd.show.daemon_state import (
    ClusterState,
    CommitState,
    KernelState,
    Planned,
    ProcessState,
)
from bgpd.speaker.peer import Peer
from bgpd.speaker.speaker import Speaker
from bgpd.texts.moments import utc
from fib.kernel_policy import KernelPolicy
from fib.next_hop_state import NextHopState
from fib.routes import Fib, Hop
from rib.attributes import PathAttributes, describe
from rib.attributes.text import format_next_hop
from rib.family import FAMILIES_BY_NAME, Family
from rib.nlri import (
    Nlri,
    format_address,
    format_prefix,
    make_nlri,
    parse_prefix,
    sort_key,
)
from rib.path import NextHop, Path
from rib.zones import parts_of

if TYPE_CHECKING:
    from bgpd.speaker.draining import Draining
    from bgpd.speaker.selection_deferral import Report
    from fib.kernel_view import Link

MAX_TEXT: Final = 255  # octets of UTF-8 for the peer's operator, RFC 9003 2
SHOWN_NAMES: Final = 20  # of an error's list of what there is
_NEAREST_NAMES: Final = 5  # that an error names before the others
_SORTED_AT_ONCE: Final = 2048  # keys, some 2 ms
_LAST_OCTET: Final = 16  # of a key: an IPv6 address behind its length
_BUCKET_YIELD_AFTER: Final = 256  # keys put in order between yield points, about 0.1 ms

Wanted = Callable[[Nlri], bool]
"""Tells which prefixes are wanted."""

STATE_NAMES: Final[Mapping[State, str]] = {
    state: "".join(word.capitalize() for word in state.name.split("_"))
    for state in State
}


class ResetKind(Enum):
    """The kinds of reset."""

    SESSION = "session"  # Cease/4; graceful restart keeps the routes where agreed
    HARD = "hard"  # Cease/9 (RFC 8538): the routes go too
    SOFT_IN = "soft-in"  # routes are evaluated again, and a refresh was requested
    SOFT_OUT = "soft-out"  # routes are advertised again


class Actions(Protocol):
    """What commands can make the daemon do.

    The peer named is always one of the speaker's. Each may raise ``ControlError`` to say
    no; what it returns is lines for people.
    """

    def reset(self, address: str, kind: ResetKind) -> Iterable[str]:
        """Reset the peer at ``address``."""

    async def reload(self, *, allows_resets: bool = False) -> Iterable[str]:
        """Reload the configuration; return the plan."""

    def disable(self, address: str, text: str) -> Iterable[str]:
        """Disable a peer until ``enable``; ``text`` is for its operator (RFC 9003)."""

    def enable(self, address: str) -> Iterable[str]:
        """Enable a peer again."""

    def shut_down(self, text: str, *, flushes: bool) -> Iterable[str]:
        """Stop the daemon: peers drop our routes; with ``flushes`` the kernel does too."""


class Uploads(Protocol):
    """Long texts that clients send in pieces (``bgpd.daemon.uploads``)."""

    def add(self, name: str, piece: str) -> int:
        """Add a piece; return how many characters there are."""

    def take(self, name: str) -> str:
        """Return a text, and forget it."""


class Configuration(CommitState, Protocol):
    """Plans and applies configurations, and knows what waits (``ConfigCommit``).

    Each may raise ``ControlError``; what it returns is lines for people.
    """

    is_planning: bool

    @property
    def uploads(self) -> Uploads:
        """Long texts that are being sent."""

    def row(self) -> Row:
        """Return the state of the configuration."""

    async def plan(
        self, text: str, name: str, most: int, *, allows_resets: bool
    ) -> Planned:
        """Return what a configuration would do; nothing changes."""

    async def plan_objects(self, text: str, name: str, most: int) -> Planned:
        """Return what objects of the cluster would do; nothing changes."""

    async def apply(
        self, text: str, name: str, confirm: int, *, allows_resets: bool
    ) -> list[str]:
        """Put a configuration in force."""

    async def confirm(self) -> list[str]:
        """Confirm what was applied."""

    async def rollback(self) -> list[str]:
        """Take back what was applied."""


class NoKernel:
    """A daemon that leaves the kernel alone; implements ``KernelState``."""

    fib: Fib | None = None

    def policies(self) -> Mapping[Family, KernelPolicy]:
        """See ``KernelState``."""
        return {}

    def tunnel_fault(self) -> str:
        """See ``KernelState``."""
        return ""

    def links(self) -> "Iterable[Link]":
        """See ``KernelState``."""
        return ()

    def next_hop(self, address: bytes) -> NextHopState | None:
        """See ``KernelState``."""


class NoProcess:
    """A speaker without a daemon around it; implements ``ProcessState``."""

    node = ""
    changed_at = 0.0

    def own_as(self) -> int:
        """See ``ProcessState``."""
        return 0

    def warnings(self) -> Sequence[str]:
        """See ``ProcessState``."""
        return ()

    def recovery(self) -> "Report | None":
        """See ``ProcessState``."""


@dataclass(frozen=True, slots=True)
class DaemonView:
    """Everything that commands can show.

    Attributes:
        speaker: Tables and peers.
        started_at: The loop's clock when the daemon started, seconds.
        process: The daemon.
        kernel: The kernel's part.
        cluster: What is known of the cluster; ``None`` where there is no datastore.
        actions: ``None`` where nothing can be changed.
        configuration: Plans and applies others; ``None`` where there is no daemon.
        lag: Measures the event loop; ``None`` without measurement.
        journal: What happened.
        draining: Returns what drains peers; ``None`` where nothing can be changed.
    """

    speaker: Speaker
    started_at: float
    process: ProcessState = field(default_factory=NoProcess)
    kernel: KernelState = field(default_factory=NoKernel)
    cluster: ClusterState | None = None
    actions: Actions | None = None
    configuration: Configuration | None = None
    lag: LagMeter | None = None
    journal: EventJournal = field(default_factory=EventJournal)
    draining: "Callable[[], Draining] | None" = None

    def find_configuration(self) -> Configuration:
        """Return what plans and applies configurations.

        Raises:
            ControlError: ``read-only``.
        """
        if self.configuration is None:
            raise ControlError(
                "read-only", "this daemon accepts only read-only commands"
            )
        return self.configuration

    @property
    def now(self) -> float:
        """The loop's clock, seconds."""
        return self.speaker.loop.time()

    def wall_time(self, at: float) -> str:
        """Return a moment of the loop's clock in UTC, as ISO 8601."""
        moment = time.time() - (self.now - at)
        return utc(moment)


def find_peer(speaker: Speaker, name: str) -> Peer:
    """Return a peer by its name or address, or by its node where one session leads there.

    Raises:
        ControlError: ``no-such-peer``, or ``bad-argument`` if it is a node with several.
    """
    peer = speaker.peers.get(name)
    if peer is not None:
        return peer
    of_node: list[Peer] = []
    for peer in speaker.peers.values():
        if peer.settings.name == name:
            return peer
        if name and peer.settings.node == name:
            of_node.append(peer)
    if len(of_node) == 1:
        return of_node[0]
    if of_node:
        raise ControlError(
            "bad-argument",
            f"node {name!r} has {len(of_node)} sessions: name one",
            [peer.settings.name for peer in of_node],
        )
    names = sorted(peer.settings.name for peer in speaker.peers.values())
    text = f"there is no peer {name!r}"
    if name in speaker.neighbours.gone:
        text += "; it was a dynamic neighbour, and is gone: show peers --gone"
    raise ControlError("no-such-peer", text, nearest_first(name, names))


def find_peers(speaker: Speaker, names: Iterable[str]) -> tuple[Peer, ...]:
    """Return the peers of names or addresses, each once.

    Raises:
        ControlError: ``no-such-peer``.
    """
    return tuple(dict.fromkeys(find_peer(speaker, name) for name in names))


def check_text(arguments: Mapping[str, Any]) -> str:
    """Return the text for a peer's operator; empty for none.

    Raises:
        ControlError: ``bad-argument``.
    """
    text = str(arguments.get("text", ""))
    if len(text.encode()) > MAX_TEXT:
        raise ControlError(
            "bad-argument", f"text can have at most {MAX_TEXT} octets (RFC 9003 2)"
        )
    return text


def nearest_first(word: str, names: Sequence[str]) -> list[str]:
    """Return some of the names, those that ``word`` may have been meant for first."""
    near = get_close_matches(word, names, n=_NEAREST_NAMES, cutoff=0.6)
    others = [name for name in names if name not in near]
    shown = [*near, *others][:SHOWN_NAMES]
    if len(names) > len(shown):
        shown.append(f"... {len(names) - len(shown)} more")
    return shown


def find_families(arguments: Mapping[str, Any]) -> list[Family]:
    """Return the families of argument ``family``; all without it.

    Raises:
        ControlError: ``bad-argument``.
    """
    name = arguments.get("family")
    if name is None:
        return list(FAMILIES_BY_NAME.values())
    wanted = {"ipv4": "ipv4-unicast", "ipv6": "ipv6-unicast"}.get(name, name)
    if wanted not in FAMILIES_BY_NAME:
        raise ControlError(
            "bad-argument", f"there is no family {name!r}", sorted(FAMILIES_BY_NAME)
        )
    return [FAMILIES_BY_NAME[wanted]]


def find_prefix(text: str) -> tuple[Family, Nlri]:
    """Return the family and key of a prefix's text; an address is a host route.

    Raises:
        ControlError: ``bad-argument``.
    """
    try:
        afi, nlri = parse_prefix(text)
    except ValueError as error:
        raise ControlError(
            "bad-argument",
            f"{text!r} is neither a prefix nor an address",
            ("10.244.0.0/26", "fd00::/64", "10.244.0.1"),
        ) from error
    for family in FAMILIES_BY_NAME.values():
        if family.afi == afi:
            return family, nlri
    raise ControlError("bad-argument", f"no table holds {text!r}")


def find_wanted(arguments: Mapping[str, Any]) -> tuple[tuple[Family, ...], Wanted]:
    """Return the families and the test of ``family``, ``prefix`` and ``longer``.

    Raises:
        ControlError: ``bad-argument``.
    """
    families = find_families(arguments)
    prefix = arguments.get("prefix")
    is_longer = bool(arguments.get("longer"))
    if prefix is None:
        if is_longer:
            raise ControlError("bad-argument", "longer needs a prefix", ("prefix",))
        return tuple(families), _everything
    family, nlri = find_prefix(prefix)
    if family not in families:
        raise ControlError("bad-argument", f"{prefix} is not of that family")
    return (family,), _inside(nlri) if is_longer else nlri.__eq__


def _everything(_: Nlri) -> bool:
    return True


def _inside(cover: Nlri) -> Wanted:
    length_bits = cover[0]

    def is_inside(nlri: Nlri) -> bool:
        return nlri[0] >= length_bits and make_nlri(nlri[1:], length_bits) == cover

    return is_inside


def find_limit(arguments: Mapping[str, Any]) -> int | None:
    """Return the maximum number of rows; ``None`` for all.

    Raises:
        ControlError: ``bad-argument``.
    """
    limit: int | None = arguments.get("limit")
    if limit is not None and limit < 1:
        raise ControlError("bad-argument", "limit is a number of rows", ("1 or more",))
    return limit


def in_reading_order(nlris: list[Nlri]) -> Iterator[Nlri | None]:
    """Yield keys by address, shorter first; ``None`` between them is a yield point.

    Sorting a million at once would hold up the loop for seconds. They are put into
    buckets by one octet of their addresses after the other, until a bucket is small, and each is
    sorted when its turn comes.
    """
    yield from _by_octet(nlris, 1)


def _by_octet(nlris: list[Nlri], at: int) -> Iterator[Nlri | None]:
    """Yield keys that are alike up to octet ``at``."""
    if len(nlris) <= _SORTED_AT_ONCE or at > _LAST_OCTET:
        yield from sorted(nlris, key=sort_key)
        yield None
        return
    buckets: dict[int, list[Nlri]] = {}
    for count, nlri in enumerate(nlris):
        octet = nlri[at] if at < len(nlri) else 0
        buckets.setdefault(octet, []).append(nlri)
        if count % _BUCKET_YIELD_AFTER == 0:
            yield None
    for octet in sorted(buckets):
        yield from _by_octet(buckets.pop(octet), at + 1)


def dotted(number: int) -> str:
    """Return an identifier as people write it."""
    return format_address(number.to_bytes(4, "big"))


def describe_next_hop(
    next_hop: NextHop, way: NextHopState | None = None
) -> dict[str, Any]:
    """Return the state of a next hop.

    Args:
        next_hop: As the decision process knows it.
        way: How it is reached; ``None`` if it is not tracked.
    """
    zone = parts_of(next_hop.key).zone
    return {
        "address": format_next_hop(next_hop.address, zone) or None,
        "is_reachable": next_hop.is_reachable,
        "metric": next_hop.metric,
        "hops": [] if way is None else [describe_hop(hop) for hop in way.hops],
        "resolved_through": []
        if way is None
        else [_prefix_text(each) for each in way.through],
        "resolution_loop": None
        if way is None or way.loop is None
        else _prefix_text(way.loop),
    }


def describe_hop(hop: Hop) -> Row:
    """Return one way out."""
    return {
        "gateway": format_address(hop.gateway) if hop.gateway else None,
        "interface": hop.interface or None,
        "is_onlink": hop.is_onlink,
        "weight": hop.weight,
    }


def _prefix_text(prefix: tuple[int, Nlri]) -> str:
    afi, nlri = prefix
    return format_prefix(nlri, afi)


class Describer:
    """Attributes as data, once per distinct set; used for one answer, so nothing is forgotten."""

    def __init__(self) -> None:
        self._known: dict[PathAttributes, dict[str, Any]] = {}

    def __call__(self, attributes: PathAttributes) -> dict[str, Any]:
        """Return the attributes by the RFCs' field names."""
        known = self._known.get(attributes)
        if known is None:
            known = self._known[attributes] = describe(attributes)
        return known

    def of_path(self, path: Path) -> dict[str, Any]:
        """Return a path's attributes; a link-local next hop has its zone (RFC 4007 11)."""
        known = self(path.attributes)
        zone = parts_of(path.next_hop.key).zone
        if not zone:
            return known
        return {**known, "next_hop": format_next_hop(path.attributes.next_hop, zone)}


def peer_type_of(peer: Peer) -> str:
    """Return the type of a peer: ``client``, ``non-client`` or ``ebgp``."""
    settings = peer.settings
    if not is_ibgp(peer):
        return "ebgp"
    return "client" if settings.is_client else "non-client"


def is_ibgp(peer: Peer) -> bool:
    """Whether a peer is of our AS; as configured where no session stands."""
    if peer.negotiated is not None:
        return peer.negotiated.is_ibgp
    return _is_configured_ibgp(peer.settings)


def _is_configured_ibgp(settings: PeerSettings) -> bool:
    return settings.is_internal is True
