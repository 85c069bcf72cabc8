"""How BIRD names and writes things: protocols, preferences, times."""

import re
import time
from fnmatch import translate
from functools import lru_cache
from typing import Final, Protocol

from bgpd.pipeline.local_sources import BGP_PREFERENCE
from bgpd.session.events import DownKind, DownReason
from bgpd.session.fsm import State
from bgpd.speaker.peer import Peer
from rib.attributes import PathAttributes
from rib.attributes.communities import format_ext_community
from rib.path import NextHop, Source, SourceKind

DEVICE, DIRECT, KERNEL, STATIC = "device1", "direct1", "kernel1", "static1"
TABLE: Final = "master"
TABLES: Final = frozenset({"master", "master4", "master6"})

_PREFERENCES: Final = {DIRECT: 240, STATIC: 200, KERNEL: 10}
_LONG_AGO: Final = 20 * 3600  # seconds; from then on the date is shown
_UNSAFE: Final = re.compile(r"\W", re.ASCII)

_STATES: Final = {
    State.IDLE: "Idle",
    State.CONNECT: "Connect",
    State.ACTIVE: "Active",
    State.OPEN_SENT: "OpenSent",
    State.OPEN_CONFIRM: "OpenConfirm",
    State.ESTABLISHED: "Established",
}
# What BIRD puts before the text of an error.
_ERROR_CLASSES: Final = {
    DownKind.CONNECTION_LOST: "Socket: ",
    DownKind.CONNECT_FAILED: "Socket: ",
}


class RouteLike(Protocol):
    """What is shown of a route, be it in the table or filtered."""

    @property
    def source(self) -> Source:
        """Who announced it."""

    @property
    def attributes(self) -> PathAttributes:
        """What came with it."""

    @property
    def next_hop(self) -> NextHop:
        """Where it leads."""

    @property
    def weight(self) -> int:
        """See ``Path``."""


def destination_of(path: RouteLike) -> str:
    """Return where a route leads: ``unicast``, ``blackhole`` or ``unreachable``."""
    hop = path.next_hop
    if not hop.is_reachable or (path.source.address and not hop.address):
        return "unreachable"
    return "unicast" if hop.address or hop.interface else "blackhole"


def ext_community_of(community: int) -> tuple[str, str, str]:
    """Return the parts of an extended community as BIRD writes them."""
    text = format_ext_community(community)
    if text.startswith("0x"):
        return "generic", f"0x{community >> 32:x}", f"0x{community & 0xFFFFFFFF:x}"
    kind, _, rest = text.partition(":")
    administrator, _, value = rest.rpartition(":")
    return kind, administrator.removesuffix("L"), value


def protocol_of(source: Source) -> str:
    """Return the protocol that a route of ``source`` belongs to in BIRD."""
    if source.address:
        return safe_name(source.name)
    if source.kind is SourceKind.KERNEL:
        return DIRECT if source.name == "direct" else KERNEL
    return STATIC


def preference_of(path: RouteLike) -> int:
    """Return BIRD's preference of a route."""
    if path.source.address:
        return BGP_PREFERENCE + path.weight
    return _PREFERENCES[protocol_of(path.source)]


def fits(name: str, pattern: str) -> bool:
    """Return whether a name fits a pattern with ``*`` and ``?``.

    The standard library remembers up to 32,768 patterns; this function remembers a few.
    """
    return _pattern(pattern).match(name) is not None


@lru_cache(maxsize=8)
def _pattern(pattern: str) -> re.Pattern[str]:
    return re.compile(translate(pattern))


def safe_name(name: str) -> str:
    """Return a peer's name as one word: rows are split at blanks."""
    return _UNSAFE.sub("_", name) or "_"


def state_of(peer: Peer) -> str:
    """Return the word for a session's state; there always is one."""
    session = peer.driver.session
    if not session.is_started:
        return "Down"
    if session.state in (State.ACTIVE, State.CONNECT) and peer.settings.is_passive:
        return "Passive"
    return _STATES[session.state]


def protocol_state_of(peer: Peer) -> str:
    """Return the state of a peer's protocol."""
    if peer.state is State.ESTABLISHED:
        return "up"
    return "start" if peer.driver.session.is_started else "down"


def error_of(peer: Peer) -> str:
    """Return why a session is down, in one line; empty without a reason."""
    reason: DownReason | None = peer.driver.session.counters.last_down
    if reason is None or peer.state is State.ESTABLISHED:
        return ""
    if reason.notification is not None:
        return str(reason.notification)
    return _ERROR_CLASSES.get(reason.kind, "") + (reason.text or reason.kind.value)


def moment(at: float, now: float) -> str:
    """Return a time of the loop's clock as rows show it: the hour, or the date."""
    age = max(0.0, now - at)
    shape = "%H:%M:%S" if age < _LONG_AGO else "%Y-%m-%d"
    return time.strftime(shape, time.localtime(time.time() - age))


def date_and_time(at: float, now: float) -> str:
    """Return a time of the loop's clock in full."""
    age = max(0.0, now - at)
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(time.time() - age))
