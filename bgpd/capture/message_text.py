"""What a message says, in one line. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from bgpd.wire.capabilities import Capabilities
from bgpd.wire.errors import NotifyError
from bgpd.wire.framing import HEADER_LEN, MessageType
from bgpd.wire.notification import decode_notification
from bgpd.wire.open import decode_open
from bgpd.wire.route_refresh import decode_route_refresh
from bgpd.wire.update import split_fields
from rib.attributes import AttributeContext, decode_block, describe
from rib.attributes.text import format_next_hop
from rib.family import IPV4_UNICAST, Family
from rib.nlri import (
    Nlri,
    NlriError,
    format_address,
    format_prefix,
    split,
    split_add_path,
)

MOST_PREFIXES: Final = 8  # of a line
TYPE_NAMES: Final = {
    int(kind): kind.name.lower().replace("_", "-") for kind in MessageType
}
_WORDS: Final = (
    ("next_hop", "next hop"),
    ("as_path", "AS path"),
    ("origin", "origin"),
    ("local_pref", "local preference"),
    ("med", "MED"),
    ("communities", "communities"),
    ("large_communities", "large communities"),
    ("ext_communities", "extended communities"),
    ("originator_id", "originator"),
    ("cluster_list", "cluster list"),
)


@dataclass(slots=True)
class UpdateContent:
    """What an UPDATE announces and withdraws.

    Attributes:
        announced: Family, path identifier and prefix of each; 0 for no identifier.
        withdrawn: As ``announced``.
        attributes: Of the announced routes, as ``rib.attributes.describe``.
        problems: What is malformed.
        ended: The family that it is the End-of-RIB of (RFC 4724 2).
    """

    announced: list[tuple[Family, int, Nlri]] = field(default_factory=list)
    withdrawn: list[tuple[Family, int, Nlri]] = field(default_factory=list)
    attributes: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    ended: Family | None = None


def read_update(
    body: bytes, context: AttributeContext, add_path: frozenset[Family]
) -> UpdateContent:
    """Read an UPDATE; never raises.

    Args:
        body: Without header.
        context: The session it was on.
        add_path: Families with path identifiers in its direction.
    """
    content = UpdateContent()
    try:
        withdrawn, block, nlri = split_fields(body)
    except NotifyError as error:
        content.problems.append(error.text)
        return content
    decoded = decode_block(block, context, has_nlri=bool(nlri))
    content.problems += [problem.text for problem in decoded.problems]
    reach, unreach = decoded.mp_reach, decoded.mp_unreach
    runs = [(content.withdrawn, IPV4_UNICAST, withdrawn)]
    runs += [(content.announced, IPV4_UNICAST, nlri)]
    if unreach is not None:
        runs.append((content.withdrawn, unreach.family, unreach.nlri))
    if reach is not None:
        runs.append((content.announced, reach.family, reach.nlri))
    for found, family, run in runs:
        prefixes, problem = _prefixes(run, family, has_ids=family in add_path)
        found.extend(prefixes)
        content.problems += problem
    attributes = decoded.attributes or decoded.mp_attributes
    if attributes is not None:
        content.attributes = describe(attributes)
        if reach is not None:
            content.attributes["next_hop"] = format_next_hop(reach.next_hop)
    if not any(run for _, _, run in runs) and not content.problems:
        content.ended = IPV4_UNICAST if unreach is None else unreach.family
    return content


def _prefixes(
    run: bytes, family: Family, *, has_ids: bool
) -> tuple[list[tuple[Family, int, Nlri]], list[str]]:
    """Return the prefixes of a run; none and the reason where it is malformed."""
    try:
        if not has_ids:
            return [(family, 0, nlri) for nlri in split(run, family.afi)], []
        by_id = split_add_path(run, family.afi).items()
    except NlriError as error:
        return [], [str(error)]
    return [(family, path_id, nlri) for path_id, each in by_id for nlri in each], []


def text_of(
    octets: bytes, context: AttributeContext, add_path: frozenset[Family]
) -> str:
    """Return what a whole message says; never raises.

    Args:
        octets: With header.
        context: The session it was on.
        add_path: Families with path identifiers in its direction.
    """
    kind, body = octets[HEADER_LEN - 1], octets[HEADER_LEN:]
    try:
        if kind == MessageType.OPEN:
            return _open_text(body)
        if kind == MessageType.UPDATE:
            return update_text(read_update(body, context, add_path))
        if kind == MessageType.NOTIFICATION and len(body) >= 2:
            return str(decode_notification(body))
        if kind == MessageType.ROUTE_REFRESH and len(body) >= 4:
            refresh = decode_route_refresh(body, has_enhanced=True)
            if refresh is not None:
                return f"{refresh.subtype.name.lower()} {refresh.family}"
    except NotifyError as error:
        return f"malformed: {error.text}"
    return "" if kind == MessageType.KEEPALIVE else f"{len(body)} octets"


def _open_text(body: bytes) -> str:
    if len(body) < 10:
        return f"malformed: {len(body)} octets"
    opened = decode_open(body)
    router_id = format_address(opened.router_id.to_bytes(4))
    words = [
        f"AS {opened.asn}",
        f"hold time {opened.hold_time} s",
        f"router ID {router_id}",
    ]
    return ", ".join([*words, *_capability_words(opened.capabilities)])


def _capability_words(offered: Capabilities) -> Iterator[str]:
    yield from map(str, offered.families)
    for is_there, name in (
        (offered.has_route_refresh, "route refresh"),
        (offered.has_enhanced_refresh, "enhanced route refresh"),
        (offered.has_extended_message, "extended messages"),
        (offered.four_octet_as is not None, "four-octet AS"),
    ):
        if is_there:
            yield name
    for family, direction in offered.add_path:
        yield f"ADD-PATH {direction.name.lower()} {family}"
    graceful = offered.graceful_restart
    if graceful is not None:
        yield f"graceful restart {graceful.restart_time} s"
    if offered.long_lived is not None:
        yield "long-lived graceful restart"
    if offered.role is not None:
        yield f"role {offered.role}"
    if offered.hostname:
        yield f"host name {offered.hostname}"
    for code, _ in offered.unknown:
        yield f"capability {code}"


def update_text(content: UpdateContent) -> str:
    """Return what an UPDATE says."""
    parts = []
    if content.ended is not None:
        parts.append(f"End-of-RIB {content.ended}")
    if content.announced:
        parts.append(f"advertises {_prefix_text(content.announced)}")
        words = [
            f"{name} {_value_text(content.attributes[key])}"
            for key, name in _WORDS
            if content.attributes.get(key) not in (None, "")
        ]
        if words:
            parts.append(", ".join(words))
    if content.withdrawn:
        parts.append(f"withdraws {_prefix_text(content.withdrawn)}")
    if content.problems:
        parts.append(f"malformed: {', '.join(content.problems)}")
    return "; ".join(parts)


def _value_text(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _prefix_text(prefixes: Sequence[tuple[Family, int, Nlri]]) -> str:
    shown = [
        format_prefix(nlri, family.afi) + (f" (path {path_id})" if path_id else "")
        for family, path_id, nlri in prefixes[:MOST_PREFIXES]
    ]
    more = len(prefixes) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
