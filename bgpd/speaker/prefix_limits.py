"""How many prefixes a peer may advertise, and what to do above that (RFC 4271 6.7).

    limit           counts                                  ``block`` does
    --------------  --------------------------------------  ------------------------------
    max_prefixes    what loop checks and import policy      refuse further routes, until
                    let through                             there is room
    max_received    all that the peer announces             forget further routes
    max_advertised  what the peer is advertised             keep further routes back

Stale routes count for neither: the peer has not announced them on this session. The session
ends with Cease/1 where that is the action (RFC 4486 4), and the peer rests; with Cease/4,
an administrative reset, where it is we who have too many.
"""

import logging
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from bgpd.runtime.log_setup import alike
from bgpd.session.settings import FamilySettings, LimitAction, PeerSettings, peer_fields
from bgpd.wire.errors import CeaseSubcode, ErrorCode, NotifyError
from rib.adj_rib_in import AdjRibIn
from rib.family import Family

RANGE_REST: Final = 60
"""Seconds of rest for a neighbour of a range where none are configured: it is forgotten with
its session, and so is how often it has failed."""
_ENDS: Final = (LimitAction.RESTART, LimitAction.DISABLE)

_log = logging.getLogger(__name__)


class Limit(NamedTuple):
    """One limit of one family.

    Attributes:
        key: Its name in the configuration.
        most: So many prefixes are allowed.
        warning: Percent of them above which a warning is logged.
        action: What follows from more.
        restart_time: Seconds of rest after ``RESTART``; 0 is the usual back-off.
        unit: What is counted, for people.
    """

    key: str
    most: int
    warning: int
    action: LimitAction
    restart_time: int
    unit: str


def limits_of(mine: FamilySettings) -> Iterator[Limit]:
    """Yield the limits that are set for a family."""
    if mine.max_prefixes:
        yield Limit(
            "max_prefixes",
            mine.max_prefixes,
            mine.max_prefixes_warning,
            mine.max_prefixes_action,
            mine.max_prefixes_restart_time,
            f"prefixes of {mine.family}",
        )
    if mine.max_received:
        yield Limit(
            "max_received",
            mine.max_received,
            mine.max_received_warning,
            mine.max_received_action,
            mine.max_received_restart_time,
            f"received prefixes of {mine.family}",
        )


def outgoing_limit_of(mine: FamilySettings) -> Limit | None:
    """Return the limit of advertised routes of a family, if there is one."""
    if not mine.max_advertised:
        return None
    return Limit(
        "max_advertised",
        mine.max_advertised,
        mine.max_advertised_warning,
        mine.max_advertised_action,
        mine.max_advertised_restart_time,
        f"routes of {mine.family} to advertise",
    )


class PrefixLimits:
    """Watches the limits of one peer.

    Attributes:
        exceeded: The limit that ended the last session; ``None`` where another reason did.
        is_disabled: No session is wanted because of it.
    """

    def __init__(self) -> None:
        self.exceeded: Limit | None = None
        self.is_disabled = False
        # What was logged, until the number is below again.
        self._warned: set[tuple[Family, str]] = set()
        self._full: set[tuple[Family, str]] = set()

    def begin(self) -> None:
        """A session begins."""
        self.exceeded = None
        self.is_disabled = False
        self._warned.clear()
        self._full.clear()

    def disable(self, settings: PeerSettings) -> bool:
        """Return whether the limit that ended a session keeps the peer down, and log it.

        If so, it waits until an operator enables it.
        """
        limit = self.exceeded
        if limit is None or limit.action is not LimitAction.DISABLE:
            return False
        self.is_disabled = True
        _log.error(
            "%(peer)s (%(address)s): disabled by %(limit_name)s of %(limit)d; `pybgpctl "
            "enable-peer %(peer)s` enables it again",
            {
                "event": "peer-disabled",
                **peer_fields(settings),
                "limit_name": limit.key,
                "limit": limit.most,
            },
        )
        return True

    def look(
        self,
        settings: PeerSettings,
        ribs: Mapping[Family, AdjRibIn],
        *,
        is_dynamic: bool = False,
    ) -> NotifyError | None:
        """Return the error that ends the session, if a limit says so; log what it should.

        Args:
            settings: The peer's.
            ribs: What it announced.
            is_dynamic: It is a neighbour of a range.
        """
        for mine in settings.families:
            rib = ribs.get(mine.family)
            if rib is None or not (mine.max_prefixes or mine.max_received):
                continue
            for limit in limits_of(mine):
                count = rib.fresh_count
                if limit.key == "max_received":
                    count += len(rib.filtered)
                error = self._evaluate(settings, mine.family, limit, count)
                if error is not None:
                    if is_dynamic and not error.rest_time:
                        error.rest_time = RANGE_REST
                    return error
        return None

    def look_out(
        self,
        settings: PeerSettings,
        family: Family,
        count: int,
        *,
        is_dynamic: bool = False,
    ) -> NotifyError | None:
        """Return, like ``look``, what to do about the number of routes sent to the peer.

        Args:
            settings: The peer's.
            family: AFI and SAFI.
            count: Routes that there are for it, those kept back too.
            is_dynamic: It is a neighbour of a range.
        """
        mine = next((each for each in settings.families if each.family == family), None)
        limit = None if mine is None else outgoing_limit_of(mine)
        if limit is None:
            return None
        error = self._evaluate(settings, family, limit, count)
        if error is None:
            return None
        rest = error.rest_time or (RANGE_REST if is_dynamic else 0)
        return NotifyError(
            ErrorCode.CEASE,
            CeaseSubcode.ADMINISTRATIVE_RESET,
            text=error.text,
            rest_time=rest,
        )

    def _evaluate(
        self, settings: PeerSettings, family: Family, limit: Limit, count: int
    ) -> NotifyError | None:
        key = family, limit.key
        if count > limit.most and limit.action in _ENDS:
            self.exceeded = limit
            data = family.afi.to_bytes(2, "big") + bytes([family.safi])
            return NotifyError(
                ErrorCode.CEASE,
                CeaseSubcode.MAX_PREFIXES_REACHED,
                data + limit.most.to_bytes(4, "big"),
                f"{count} {limit.unit}, the limit is {limit.most}",
                rest_time=limit.restart_time,
            )
        is_blocking = limit.action is LimitAction.BLOCK
        is_full = count > limit.most or (is_blocking and count == limit.most)
        is_near = count > limit.most * limit.warning // 100
        if (is_full and key not in self._full) or (is_near and key not in self._warned):
            _log.warning(
                "%(peer)s (%(address)s): %(count)d %(unit)s, the limit is %(limit)d; "
                "blocking further ones"
                if is_full and is_blocking
                else "%(peer)s (%(address)s): %(count)d %(unit)s, the limit is %(limit)d",
                {
                    "event": "prefix-limit",
                    **peer_fields(settings),
                    "family": family,
                    "count": count,
                    "unit": limit.unit,
                    "limit": limit.most,
                    "limit_name": limit.key,
                    "is_blocking": is_full and is_blocking,
                },
                extra=alike("peer", "limit_name family is_blocking"),
            )
        _keep(self._full, key, holds=is_full)
        _keep(self._warned, key, holds=is_near)
        return None


def _keep(
    said: set[tuple[Family, str]], key: tuple[Family, str], *, holds: bool
) -> None:
    if holds:
        said.add(key)
    else:
        said.discard(key)


def block(rib: AdjRibIn, families: tuple[FamilySettings, ...]) -> None:
    """Apply its limits to the table of a family; see ``rib.admission``."""
    most: dict[str, int] = {}
    for mine in families:
        if mine.family == rib.loc_rib.family:
            most = {
                limit.key: limit.most
                for limit in limits_of(mine)
                if limit.action is LimitAction.BLOCK
            }
    rib.limit(most.get("max_prefixes"), most.get("max_received"))


def has_more_room(
    before: tuple[FamilySettings, ...], after: tuple[FamilySettings, ...], key: Family
) -> bool:
    """Whether there is room now for routes that ``max_received`` discarded."""
    was, now = (
        next((mine for mine in families if mine.family == key), FamilySettings(key))
        for families in (before, after)
    )
    is_blocking = now.max_received_action is LimitAction.BLOCK
    return was.max_received_action is LimitAction.BLOCK and (
        not is_blocking or not now.max_received or now.max_received > was.max_received
    )
